/* An essay as marking panels show it. This module draws two traits:
 *   sheet     {key, number, length, is_out, strategy, sections, findings, evidence, readings, notices}, all of them plain
 *             data: a section is {key, title, blocks, more}, a block {kind, runs}, a run {text, style, id or href}
 *   pictures  {id: {src, alt} or {why}}, each asked for when its citation is unfolded
 * A person's text enters through text nodes only; links are shown with their addresses and lead nowhere.
 */

import { send } from "#shared/connection.js";
import { button, make } from "#shared/dom.js";
import { LETTER_OR_DIGIT, visible } from "#shared/text.js";

const SIGNS = { reproduced: "✓", "within tolerance": "≈", "not reproduced": "✗", "cannot be tried": "–", "not sampled": "○" };
const SIGN_ELSE = "?";
const AGAIN = {
  reproduced: "Done again: reproduced", "within tolerance": "Done again: within tolerance", "not reproduced": "Done again: not reproduced",
  "cannot be tried": "Done again: cannot be tried", "not sampled": "Not done again", "no such record": "No such record", "nothing is known": "Nothing is known of it",
};

/* ---- building ------------------------------------------------------------------------------------------------------ */

export function buildEssay(v, name) {
  v.essayName = name;
  v.essayTitle = make("h3", { class: "ev-title", tabindex: "-1" });
  v.essayFacts = make("p", { class: "ev-facts" });
  v.notices = make("div", { class: "ev-notices" });
  v.findings = make("details", { class: "ev-findings" });
  v.text = make("div", { class: "ev-text" });
  v.essay = make("article", { class: "ev", "aria-label": "Essay" }, v.essayTitle, v.essayFacts, v.notices, v.findings, v.text);
  v.essay.addEventListener("keydown", (event) => onEssayKey(event));
  return v.essay;
}

function buildNotice({ title, lines, is_alarm }) {
  const list = make("ul", {}, ...lines.map((line) => make("li", {}, visible(line))));
  if (is_alarm) return make("div", { class: "ev-alarm" }, make("p", { class: "cp-strong" }, `! ${title}`), list);
  return make("details", {}, make("summary", {}, title), list);
}

function buildSection(v, { key, title, blocks, more }) {
  const node = make("section", { class: "ev-section" }, make("h4", {}, visible(title)));
  let list = null;
  for (const block of blocks) {
    if (block.kind !== "item") list = null;
    else if (!list) node.append((list = make("ul")));
    (list ?? node).append(buildBlock(v, block));
  }
  if (!blocks.length) node.append(make("p", { class: "cp-hint" }, "Nothing was written here."));
  if (more) node.append(make("p", { class: "cp-hint" }, more));
  v.sections.set(key, node);
  return node;
}

export function buildBlock(v, { kind, runs }) {
  const words = make(kind === "code" ? "pre" : "p", { class: `ev-block ev-${kind}`, dir: "auto" });
  const under = make("div", { class: "ev-under" });
  words.append(...runs.map((run) => buildRun(v, run, under)));
  return make(kind === "item" ? "li" : kind === "quote" ? "blockquote" : "div", {}, words, under);
}

function buildRun(v, { text, style, id, href }, under) {
  if (style.startsWith("cite-")) return buildCitation(v, visible(text), style === "cite-evidence", id, under);
  if (style === "link") return make("span", { class: "ev-link" }, visible(text), href ? ` (${visible(href)})` : "");
  return style ? make(style, {}, visible(text)) : document.createTextNode(visible(text));
}

/** A citation is a button; what it cites unfolds under its paragraph. */
function buildCitation(v, text, isEvidence, id, under) {
  const status = isEvidence ? v.model.get("sheet").evidence[id]?.status : "";
  const cite = make("button", { type: "button", class: "ev-cite", "aria-expanded": "false", dir: "ltr" }, text);
  if (isEvidence) {
    cite.dataset.status = status ?? "";
    cite.append(make("span", { "aria-hidden": "true", class: "ev-sign" }, ` ${SIGNS[status] ?? SIGN_ELSE}`), make("span", { class: "cp-unseen" }, `, ${AGAIN[status] ?? ""}`));
  }
  cite.addEventListener("click", () => unfold(v, cite, isEvidence, id, under));
  return cite;
}

function unfold(v, cite, isEvidence, id, under) {
  const isOpen = cite.getAttribute("aria-expanded") === "true";
  cite.setAttribute("aria-expanded", String(!isOpen));
  if (isOpen) {
    document.getElementById(cite.getAttribute("aria-controls"))?.remove();
    cite.removeAttribute("aria-controls");
    return;
  }
  const card = isEvidence ? buildCard(v, id) : buildReading(v, id);
  card.id = `${v.id}-card-${(v.n_cards = (v.n_cards ?? 0) + 1)}`;
  card.ofCite = cite;
  cite.setAttribute("aria-controls", card.id);
  under.append(card);
}

/** Escape, in a card or on its citation, folds the card. */
function onEssayKey(event) {
  if (event.key !== "Escape") return;
  const cite = event.target.closest(".ev-card")?.ofCite ?? event.target.closest(".ev-cite[aria-expanded='true']");
  if (!cite) return;
  cite.click();
  cite.focus();
  event.stopPropagation();
}

function buildReading(v, id) {
  const known = v.model.get("sheet").readings[id];
  return make("div", { class: "ev-card" }, make("p", {}, make("code", {}, visible(id)), ` ${known ?? "is none of the four readings."}`));
}

function buildCard(v, id) {
  const found = v.model.get("sheet").evidence[id] ?? { status: "", facts: [], checks: [], finding: "", again: "", has_picture: false };
  const facts = make("dl", {}, ...found.facts.flatMap(([name, value]) => [make("dt", {}, name), make("dd", { dir: "auto" }, visible(value))]));
  const status = make("p", { class: "ev-status", "data-status": found.status }, `${SIGNS[found.status] ?? SIGN_ELSE} ${AGAIN[found.status] ?? "Nothing is known of it"}`);
  const card = make("div", { class: "ev-card", role: "group", "aria-label": `Record ${id}` }, make("p", {}, make("code", {}, visible(id)), " ", make("strong", { dir: "auto" }, visible(found.finding))), facts, status);
  if (found.again) card.append(make("p", { class: "cp-hint" }, visible(found.again)));
  for (const says of found.checks) card.append(make("p", { class: "ev-says" }, "The checks: ", visible(says)));
  if (found.has_picture) {
    card.append(make("div", { class: "ev-frame", "data-id": id, tabindex: "0", role: "region", "aria-label": `Picture of ${id}` }));
    showPictures(v, card);
    if (!v.model.get("pictures")[id]) send(v, { kind: "picture", id });
  }
  return card;
}

/* ---- what the kernel says ------------------------------------------------------------------------------------------ */

export function showSheet(v) {
  const sheet = v.model.get("sheet");
  v.essay.hidden = sheet.number === undefined;
  if (v.essay.hidden) return;
  v.sections = new Map();
  v.marked = null;
  v.essayTitle.textContent = `${v.essayName} ${sheet.number}`;
  const length = make("span", { class: sheet.is_out ? "ev-out" : "" }, sheet.length);
  const strategy = sheet.strategy ? ["Strategy: ", make("strong", { dir: "auto" }, visible(sheet.strategy))] : ["No strategy was chosen"];
  v.essayFacts.replaceChildren(length, " · ", ...strategy);
  v.notices.replaceChildren(...sheet.notices.map(buildNotice));
  v.text.replaceChildren(...sheet.sections.map((section) => buildSection(v, section)));
  showFindings(v, sheet.findings);
}

function showFindings(v, findings) {
  const n_faults = findings.filter((each) => each.severity === "fault").length;
  const n_hints = findings.length - n_faults;
  const told = findings.length ? `${n_faults} to look at, ${n_hints} ${n_hints === 1 ? "hint" : "hints"}` : "nothing";
  const head = make("summary", {}, `What the checks noticed: ${told}`);
  const items = findings.map((each) => make("li", {}, buildFinding(v, each)));
  v.findings.replaceChildren(head, ...(items.length ? [make("ol", {}, ...items)] : []));
}

function buildFinding(v, found) {
  const sign = found.severity === "fault" ? "✗" : "·";
  const choose = button("", () => chooseFinding(v, choose, found), { class: "ev-finding", "aria-pressed": "false", "data-severity": found.severity });
  choose.append(make("span", { "aria-hidden": "true" }, `${sign} `), make("span", { class: "cp-unseen" }, found.severity === "fault" ? "To look at: " : "Hint: "), visible(found.says));
  return choose;
}

export function showPictures(v, within = v.text) {
  for (const frame of within.querySelectorAll(".ev-frame")) {
    const found = v.model.get("pictures")[frame.dataset.id];
    if (!found && frame.firstChild) continue; // it has its picture from before
    const { src, alt, why } = found ?? { why: "The picture is on its way." };
    frame.replaceChildren(src ? make("img", { src, alt }) : make("p", { class: "cp-hint" }, why));
  }
}

/* ---- words marked in the essay ------------------------------------------------------------------------------------- */

function chooseFinding(v, choose, found) {
  unmark(v);
  const isOff = choose.getAttribute("aria-pressed") === "true";
  for (const other of v.findings.querySelectorAll(".ev-finding")) other.setAttribute("aria-pressed", "false");
  if (isOff) return;
  choose.setAttribute("aria-pressed", "true");
  const section = v.sections.get(found.section);
  if (!section) return;
  const ranges = findWords(section, found.letters, found.place);
  for (const range of ranges) range.surroundContents(make("mark"));
  section.classList.toggle("ev-chosen", !ranges.length);
  const at = section.querySelector("mark") ?? section;
  const back = button("Back to the list", () => choose.focus(), { class: "cp-quiet" });
  v.marked = make("div", { class: "ev-card ev-note" }, make("p", {}, visible(found.says)), back);
  (at.closest("li, blockquote, .ev-section > div")?.querySelector(".ev-under") ?? section).append(v.marked);
  at.scrollIntoView({ block: "center" });
}

function unmark(v) {
  for (const mark of v.text.querySelectorAll("mark")) {
    const parent = mark.parentNode;
    mark.replaceWith(...mark.childNodes);
    parent.normalize();
  }
  for (const section of v.sections.values()) section.classList.remove("ev-chosen");
  v.marked?.remove();
}

/** Where letters and digits stand in a section, the `place`-th time from 0, one range a text node; essay_view.py counts alike. */
export function findWords(section, wanted, place) {
  if (!wanted || place < 0) return [];
  const walker = document.createTreeWalker(section, NodeFilter.SHOW_TEXT, (node) => (node.parentNode.closest(".ev-block") && !node.parentNode.closest(".cp-unseen, .ev-sign") ? NodeFilter.FILTER_ACCEPT : NodeFilter.FILTER_REJECT));
  let [all, places] = ["", []];
  while (walker.nextNode()) {
    let offset = 0;
    for (const c of walker.currentNode.data) {
      if (LETTER_OR_DIGIT.test(c)) for (let i = 0; i < c.length; i++) ((all += c[i]), places.push([walker.currentNode, offset + i]));
      offset += c.length;
    }
  }
  let start = -1;
  for (let n = 0; n <= place; n++) {
    start = all.indexOf(wanted, start + 1);
    if (start < 0) return []; // rather no mark than one on other words
  }
  return rangesOf(places.slice(start, start + wanted.length));
}

function rangesOf(places) {
  const spans = new Map();
  for (const [node, offset] of places) spans.set(node, [spans.get(node)?.[0] ?? offset, offset + 1]);
  return [...spans].map(([node, [from, to]]) => {
    const range = document.createRange();
    range.setStart(node, from);
    range.setEnd(node, to);
    return range;
  });
}
