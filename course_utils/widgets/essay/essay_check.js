/* The essay check: what a student's essay still lacks. This module draws one trait:
 *   sheet  {file, saved, verdict, is_clear, length, strategy, sections, read, ledger, cited, unused, groups, n_more, evidence,
 *          readings}; a finding in a group is {severity, kind, says, quote, words, place, blocks}: its paragraph, and the words
 */

import "#shared/panel.css";
import "#shared/essay_view.css";
import "./essay_check.css";

import { send } from "#shared/connection.js";
import { button, make } from "#shared/dom.js";
import { buildBlock, findWords } from "#shared/essay_view.js";
import { count } from "#shared/format.js";
import { buildHead, buildMessage, newView, openView, showFailure } from "#shared/panel.js";
import { visible } from "#shared/text.js";

const ROOM = 1.25; // the bar goes on beyond the most words that are asked for

/* ---- building ------------------------------------------------------------------------------------------------------ */

function build(v) {
  const head = buildHead(v, "Essay check");
  v.saved = make("p", { class: "ec-saved" });
  v.verdict = make("p", { class: "ec-verdict" });
  v.told = make("div", { class: "ec-told", role: "status" }, v.saved, v.verdict);
  v.again = button("Check again", () => send(v, { kind: "check" }), { class: "cp-main" });
  buildMessage(v);
  for (const name of ["length", "sections", "strategy", "read", "ledger", "cited", "unused", "found"]) v[name] = make("div", { class: `ec-${name}` });
  const left = make("div", {}, make("h3", {}, "Words"), v.length, v.sections, make("h3", {}, "Strategy"), v.strategy, make("h3", {}, "Readings"), v.read);
  const right = make("div", {}, make("h3", {}, "Your evidence"), v.ledger, v.cited, v.unused);
  v.body = make("div", { class: "ec-body" }, make("div", { class: "ec-columns" }, left, right), make("h3", {}, "What the checks noticed"), v.found);
  v.body.addEventListener("keydown", (event) => onKey(v, event));
  const free = make("p", { class: "cp-hint" }, "These checks give no points and cost none.");
  v.root = make("section", { class: "cp ec", "aria-label": "Essay check" }, head, make("div", { class: "ec-row" }, v.told, v.again), v.message, free, v.body);
}

/** Lines, each with a sign that is also a word. */
function buildLines(lines, empty) {
  if (!lines.length) return [make("p", { class: "cp-hint" }, empty)];
  return [make("ul", { class: "ec-lines" }, ...lines.map(({ isGood, word, head, line }) =>
    make("li", {}, buildSign(isGood ? "✓" : "✗", word, isGood), make("span", { dir: "auto" }, make("strong", {}, visible(head)), ` ${visible(line)}`)),
  ))];
}

const buildSign = (sign, word, isGood) => make("span", { class: "ec-sign", "data-good": String(isGood) }, make("span", { "aria-hidden": "true" }, sign), make("span", { class: "cp-unseen" }, `${word}: `));

function buildBar({ n, least, most }) {
  const whole = Math.max(most * ROOM, n);
  const share = (value) => `${(100 * value) / whole}%`;
  const [band, fill] = [make("span", { class: "ec-band" }), make("span", { class: "ec-fill" })];
  Object.assign(band.style, { left: share(least), width: share(most - least) });
  fill.style.width = share(n);
  const marks = [least, most].map((value) => {
    const mark = make("span", { class: "ec-mark" }, count(value));
    mark.style.left = share(value);
    return mark;
  });
  return make("div", { class: "ec-scale", "aria-hidden": "true" }, make("div", { class: "ec-bar" }, band, fill), ...marks);
}

function buildSectionRow({ title, n, faults, hints }, most) {
  const bar = make("span", { class: "ec-fill" });
  bar.style.width = `${(100 * n) / Math.max(most, 1)}%`;
  const counted = (k, word) => (k ? `${k} ${word}${k === 1 ? "" : "s"}` : "");
  const told = [counted(faults, "fault"), counted(hints, "hint")].filter(Boolean).join(", ");
  return make("tr", {}, make("th", { scope: "row", dir: "auto" }, visible(title)),
    make("td", { class: "ec-n" }, count(n), make("span", { class: "ec-bar", "aria-hidden": "true" }, bar)),
    make("td", { class: faults ? "ec-out" : "ec-soft" }, told || (n ? "–" : "empty")));
}

/* ---- findings ------------------------------------------------------------------------------------------------------ */

function buildGroup(v, { title, findings }) {
  return make("section", { class: "ec-group" }, make("h4", { dir: "auto" }, visible(title)), make("ul", {}, ...findings.map((each) => buildItem(v, each))));
}

function buildItem(v, found) {
  const isFault = found.severity === "fault";
  const label = make("span", { class: "ec-kind" }, `${isFault ? "✗ Fault" : "· Hint"}: ${found.kind}`);
  const parts = [label, ...(found.quote ? [make("q", { class: "ec-quote", dir: "auto" }, visible(found.quote))] : []), make("span", { class: "ec-says", dir: "auto" }, visible(found.says))];
  if (!found.blocks.length) return make("li", {}, make("div", { class: "ec-item", "data-severity": found.severity }, ...parts));
  const choose = button("", () => turn(v, choose, under, found), { class: "ec-item", "data-severity": found.severity, "aria-expanded": "false" });
  choose.append(...parts);
  const under = make("div", { class: "ec-under ev" });
  return make("li", {}, choose, under);
}

/** Show or hide the paragraph of a finding, with the words that are meant marked. */
function turn(v, choose, under, found) {
  const isOpen = choose.getAttribute("aria-expanded") === "true";
  choose.setAttribute("aria-expanded", String(!isOpen));
  under.replaceChildren();
  if (isOpen) return;
  const text = make("section", { class: "ev-section", "aria-label": "The paragraph" }, ...found.blocks.map((block) => buildBlock(v, block)));
  under.append(text);
  for (const range of withEdges(findWords(text, found.letters, found.place), found.words)) range.surroundContents(make("mark"));
}

/** Words are found by letters and digits; their first and last signs, such as a bracket or %, are marked with them. */
function withEdges(ranges, words) {
  const [head, tail] = [words.match(/^[^\p{L}\p{N}]*/u)[0], words.match(/[^\p{L}\p{N}]*$/u)[0]];
  const [first, last] = [ranges[0], ranges.at(-1)];
  if (first?.startContainer.data.slice(0, first.startOffset).endsWith(head)) first.setStart(first.startContainer, first.startOffset - head.length);
  if (last?.endContainer.data.startsWith(tail, last.endOffset)) last.setEnd(last.endContainer, last.endOffset + tail.length);
  return ranges;
}

/** The arrows go from one finding to the next; Escape folds what is open. */
function onKey(v, event) {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  const items = [...v.found.querySelectorAll("button.ec-item")];
  if (step && items.includes(event.target)) {
    items[items.indexOf(event.target) + step]?.focus();
    event.preventDefault();
  }
  if (event.key === "Escape") foldFrom(event.target);
}

function foldFrom(node) {
  const cite = node.closest(".ev-card")?.ofCite ?? node.closest(".ev-cite[aria-expanded='true']");
  const open = cite ?? node.closest(".ec-group > ul > li")?.querySelector(".ec-item[aria-expanded='true']");
  open?.click();
  open?.focus();
}

/* ---- what the kernel says ------------------------------------------------------------------------------------------ */

function showCheck(v) {
  const sheet = v.model.get("sheet");
  v.body.hidden = sheet.file === undefined;
  v.saved.textContent = v.body.hidden ? "Nothing could be checked. Save first: Ctrl+S." : `${visible(sheet.file)}, as saved ${sheet.saved}. Save first: Ctrl+S.`;
  v.verdict.textContent = sheet.verdict ?? "";
  v.verdict.dataset.good = String(Boolean(sheet.is_clear));
  if (v.body.hidden) return;
  showWords(v, sheet);
  v.strategy.replaceChildren(...buildLines([{ isGood: Boolean(sheet.strategy), word: sheet.strategy ? "chosen" : "missing", head: sheet.strategy || "None is chosen yet", line: "" }]));
  v.read.replaceChildren(...buildLines(sheet.read.map(({ title, line, is_engaged }) => ({ isGood: is_engaged, word: is_engaged ? "engaged" : "not engaged yet", head: title, line }))));
  showEvidence(v, sheet);
  const more = sheet.n_more ? [make("p", { class: "cp-hint" }, `And ${count(sheet.n_more)} more, which come up when some of these are mended.`)] : [];
  const none = make("p", { class: "cp-hint" }, "Nothing.");
  v.found.replaceChildren(...(sheet.groups.length ? sheet.groups.map((group) => buildGroup(v, group)) : [none]), ...more);
}

function showWords(v, { length, sections }) {
  v.length.replaceChildren(make("p", { class: length.is_out ? "ec-out" : "cp-strong" }, length.says), buildBar(length));
  const most = Math.max(...sections.map((each) => each.n));
  const head = make("tr", {}, ...["Section", "Words", "Noticed"].map((name) => make("th", { scope: "col" }, name)));
  const rows = sections.map((each) => buildSectionRow(each, most));
  v.sections.replaceChildren(make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows)));
}

function showEvidence(v, { ledger, cited, unused }) {
  const faults = ledger.faults.map((fault) => make("p", { class: "ec-alarm" }, visible(fault)));
  v.ledger.replaceChildren(make("p", { class: "cp-hint" }, visible(ledger.says)), ...faults);
  const lines = cited.map(({ id, line, is_there }) => ({ isGood: is_there, word: is_there ? "cited" : "cited, but not there", head: id, line }));
  v.cited.replaceChildren(make("p", {}, `Cited: ${cited.length}`), ...buildLines(lines, "A record is cited by its id in a sentence, such as [@E-07f3]."));
  const rest = make("ul", { class: "ec-lines" }, ...unused.map(({ id, line }) => make("li", {}, make("span", { dir: "auto" }, make("strong", {}, id), ` ${visible(line)}`))));
  v.unused.replaceChildren(...(unused.length ? [make("details", {}, make("summary", {}, `In your ledger and not cited: ${unused.length}`), rest)] : []));
}

/* ---- the way onto the page ----------------------------------------------------------------------------------------- */

function render({ model, el }) {
  const v = newView(model, el);
  v.showState = () => showFailure(v);
  build(v);
  return openView(v, { message: () => showFailure(v), sheet: () => showCheck(v) });
}

export default { render };
