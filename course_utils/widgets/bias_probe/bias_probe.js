/* The bias probe.
 *
 * First the warning, with two ways on. Then four tabs, each with what it asks and what came of it (the trait `outcomes`, by
 * the tab's name). What a model wrote reaches the page one keyword hit at a time, and only after a second consent.
 */

import "#shared/panel.css";
import "#shared/result_panel.css";
import "./bias_probe.css";

import { send } from "#shared/connection.js";
import { button, draw, enable, isEnabled, make } from "#shared/dom.js";
import { duration } from "#shared/format.js";
import { showModels } from "#shared/models.js";
import { buildGroup, buildKeep, buildSpeaker, buildTable, buildWork, showKept, showWork } from "#shared/result_panel.js";
import { buildHead, newView, openView } from "#shared/panel.js";
import { isWorking } from "#shared/states.js";
import { visible } from "#shared/text.js";

const WORDS = { loading: "Loading the model…", working: "Working…", stopped: "Stopped. What was written is kept for the next time." };
const TABS = { sentences: "Two sentences", completions: "Completions", audit: "Audit by hand", stereotypes: "Stereotype sentences" };
const PUBLISHED = { abid: "Violence after “Two … walked into a”", sheng: "Jobs, after “… worked as” and other beginnings", stereoset: "StereoSet: its scores, from 0 to 100" };
const SECOND =
  "Keywords miss, and they hit the innocent: “a shot of whisky”. Here you read hits in their context, one at a time, and say which " +
  "are what the list is after. This quotes what the model wrote, some of it insulting or violent.";

/* ---- building ------------------------------------------------------------------------------------------------------ */

function buildWarning(v) {
  const words = make("p", { class: "bp-warning" }, make("strong", {}, "Before you go on. "), v.model.get("warning"));
  v.accept = button("I have read it: go on", () => send(v, { kind: "accept" }), { class: "cp-main" });
  const decline = button("Not for me: show published figures only", () => send(v, { kind: "decline" }));
  v.asking = make("div", { class: "bp-part" }, words, make("div", { class: "cp-buttons" }, v.accept, decline));
  v.published = make("div", {});
  const again = button("Show the warning again", () => send(v, { kind: "reconsider" }), { class: "cp-quiet" });
  const lead = "No model is asked anything. These figures were published by others; the exercise can be done with them.";
  v.declined = make("div", { class: "bp-part" }, make("p", { class: "cp-strong", tabindex: "-1" }, lead), v.published, again);
  return [v.asking, v.declined];
}

function buildTabs(v) {
  const list = make("div", { class: "bp-tabs", role: "tablist", "aria-label": "Probes" });
  for (const [name, words] of Object.entries(TABS)) {
    const tab = button(words, () => choose(v, name), { role: "tab", id: `${v.id}-tab-${name}`, "aria-controls": `${v.id}-${name}` });
    const found = make("div", { class: "bp-found" });
    const panel = make("div", { role: "tabpanel", class: "bp-part", id: `${v.id}-${name}`, "aria-labelledby": tab.id }, ...v.builders[name](v), found);
    v.tabs[name] = { tab, panel, found };
    list.append(tab);
  }
  list.addEventListener("keydown", (event) => onTabKey(v, event));
  return list;
}

function choose(v, name, takeFocus = false) {
  v.tab = name;
  for (const [other, { tab, panel }] of Object.entries(v.tabs)) {
    tab.setAttribute("aria-selected", String(other === name));
    tab.tabIndex = other === name ? 0 : -1;
    panel.hidden = other !== name;
  }
  if (takeFocus) v.tabs[name].tab.focus();
  if (name === "sentences") drawScatter(v);
}

function buildSentences(v) {
  const area = (side) => make("textarea", { id: `${v.id}-${side}`, rows: "3", spellcheck: false });
  [v.a, v.b] = [area("a"), area("b")];
  const box = (node, words) => make("div", { class: "bp-box" }, make("label", { for: node.id, class: "cp-strong" }, words), node);
  v.words = make("input", { type: "text", id: `${v.id}-words`, placeholder: "nurse, engineer" });
  const words = make("div", { class: "bp-words" }, make("label", { for: v.words.id }, "Words to look at (else the likeliest)"), v.words);
  const run = button("Compare", () => compare(v), { class: "cp-main bp-run" });
  const all = button("Take the ten templates", () => fill(v, v.model.get("templates")), { class: "cp-quiet" });
  const hint = make("p", { class: "cp-hint" }, "The beginnings of two sentences that differ in one thing. Several of each, one on a line, give an interval.");
  return [hint, make("div", { class: "bp-boxes" }, box(v.a, "Sentence A"), box(v.b, "Sentence B")), make("div", { class: "bp-row" }, words, run, all)];
}

function buildCompletions(v) {
  v.kind = make("select", { id: `${v.id}-kind`, onchange: () => showKind(v) });
  v.kind.append(...v.model.get("kinds").map(({ name, about }) => make("option", { value: name }, about)));
  v.n = make("select", { id: `${v.id}-n`, onchange: () => showKind(v) }, ...[10, 25, 50, 100, 200].map((n) => make("option", { value: String(n) }, String(n))));
  v.n.value = "50";
  v.prompts = make("p", { class: "cp-hint" });
  v.time = make("p", { class: "cp-hint", role: "status" });
  const run = button("Let it write, and count", () => send(v, { kind: "complete", probe: v.kind.value, n: Number(v.n.value), model: v.chooser.value }), { class: "cp-main bp-run" });
  const field = (node, words, more = "") => make("div", { class: `bp-field ${more}` }, make("label", { for: node.id }, words), node);
  const hint = make("p", { class: "cp-hint" }, "One prompt with the group exchanged. Texts with a word of a list are counted; the texts themselves are not shown here.");
  return [hint, make("div", { class: "bp-row" }, field(v.kind, "Probe", "bp-wide"), field(v.n, "Texts a group"), run), v.prompts, v.time];
}

function buildAudit(v) {
  v.consent = make("p", {}, SECOND);
  v.show = button("Show me the hits", () => isEnabled(v.show) && send(v, { kind: "audit" }), { class: "cp-main" });
  v.need = make("p", { class: "cp-hint" }, "First let a model write, under Completions: there are no hits yet.");
  v.judging = make("p", { class: "cp-strong", role: "status", tabindex: "-1" });
  v.context = make("p", { class: "bp-context cp-text" });
  const mark = (is_true, key, words) => {
    const node = make("button", { type: "button", class: "bp-mark", "aria-keyshortcuts": key, onclick: () => markHit(v, is_true) }, words);
    node.append(" ", make("kbd", { "aria-hidden": "true" }, key));
    return node;
  };
  const back = button("Back", () => send(v, { kind: "back" }), { class: "cp-quiet" });
  v.yes = mark(true, "Y", "Yes, a true hit");
  v.marks = make("div", { class: "cp-buttons" }, v.yes, mark(false, "N", "No, a false hit"), back);
  v.hitbox = make("div", { class: "bp-hit", hidden: true }, v.judging, v.context, v.marks);
  v.hitbox.addEventListener("keydown", (event) => onMarkKey(v, event));
  return [v.consent, v.show, v.need, v.hitbox];
}

function buildStereotypes(v) {
  const hint = make("p", { class: "cp-hint" }, "24 sentences of this course about gender and professions, each with a stereotype, its opposite and a word without sense; scored as StereoSet scores its own (Nadeem and others 2021). Nothing is written.");
  return [hint, button("Score the sentences", () => send(v, { kind: "stereotypes", model: v.chooser.value }), { class: "cp-main bp-run" })];
}

function build(v) {
  v.builders = { sentences: buildSentences, completions: buildCompletions, audit: buildAudit, stereotypes: buildStereotypes };
  const head = buildHead(v, "Bias probe");
  const [asking, declined] = buildWarning(v);
  const tabs = buildTabs(v);
  const [work, message] = buildWork(v);
  const quit = button("Enough: published figures only", () => send(v, { kind: "decline" }), { class: "cp-quiet" });
  v.probes = make("div", { class: "bp-part" }, buildSpeaker(v), tabs, work, ...Object.values(v.tabs).map(({ panel }) => panel), quit);
  v.root = make("section", { class: "cp bp", "aria-label": "Bias probe" }, head, asking, declined, message, v.probes);
  v.root.addEventListener("keydown", (event) => event.key === "Escape" && isWorking(v) && send(v, { kind: "stop" }));
  v.chooser.addEventListener("chosen", () => showKind(v));
  choose(v, "sentences");
}

/* ---- what the person does ------------------------------------------------------------------------------------------ */

const linesOf = (area) => area.value.split("\n").map((line) => line.trimEnd()).filter((line) => line.trim());

function compare(v) {
  const words = v.words.value.split(",").map((word) => word.trim()).filter(Boolean);
  send(v, { kind: "compare", a: linesOf(v.a), b: linesOf(v.b), words, model: v.chooser.value });
}

function fill(v, { a, b }) {
  [[v.a, a], [v.b, b]].forEach(([area, lines]) => ((area.value = lines.join("\n")), (area.rows = Math.min(10, Math.max(3, lines.length)))));
}

function onTabKey(v, event) {
  const tabNames = Object.keys(TABS);
  const steps = { ArrowRight: 1, ArrowLeft: -1, Home: -tabNames.indexOf(v.tab), End: tabNames.length - 1 - tabNames.indexOf(v.tab) };
  if (!(event.key in steps)) return;
  event.preventDefault();
  choose(v, tabNames[(tabNames.indexOf(v.tab) + steps[event.key] + tabNames.length) % tabNames.length], true);
}

function onMarkKey(v, event) {
  const answer = { y: true, n: false }[event.key.toLowerCase()];
  if (answer === undefined || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  event.preventDefault();
  markHit(v, answer);
}

function markHit(v, is_true) {
  const { hit } = v.model.get("hit");
  if (hit === undefined || v.marked === hit) return;
  v.marked = hit; // a second press must not mark the next one
  send(v, { kind: "mark", hit, is_true });
}

/* ---- what the kernel says ------------------------------------------------------------------------------------------ */

function showState(v) {
  showWork(v, WORDS);
  v.root.querySelectorAll(".bp-run").forEach((run) => enable(run, true));
  if (v.isLost || v.model.get("message")) v.marked = null;
}

function showConsent(v) {
  const consent = v.model.get("consent");
  const hadFocus = v.root.contains(document.activeElement);
  v.asking.hidden = consent !== "";
  v.declined.hidden = consent !== "declined";
  v.probes.hidden = consent !== "accepted";
  v.published.replaceChildren(...Object.entries(PUBLISHED).map(([probe, title]) => buildPublished(title, v.model.get("published").filter((each) => each.probe === probe))));
  const first = { "": v.accept, declined: v.declined.firstChild, accepted: v.tabs[v.tab].tab }[consent];
  if (hadFocus) first.focus();
  if (consent === "accepted") drawScatter(v);
}

/** One probe's figures; what is the same in all rows is said once, below. */
function buildPublished(title, figures) {
  const figure = ({ probe, percent, n, n_yes }) => (n ? `${percent} % (${n_yes} of ${n})` : `${percent}${probe === "stereoset" ? "" : " %"}`);
  const isSame = (name) => figures.every((each) => each[name] === figures[0][name]);
  const plain = (words) => words.replace(/`/g, "");
  const more = [["source", "Source"], ["compares_with", "May stand beside"]];
  const heads = ["Model", "What", "Group", "Figure", ...more.filter(([name]) => !isSame(name)).map(([, words]) => words)];
  const rows = figures.map((each) => [each.model, each.what, each.group ?? "", figure(each), ...more.filter(([name]) => !isSame(name)).map(([name]) => plain(each[name]))]);
  const shared = figures.length ? more.filter(([name]) => isSame(name)).map(([name, words]) => make("p", { class: "cp-hint" }, `${words}: ${plain(figures[0][name])}.`)) : [];
  return make("div", { class: "bp-published" }, make("p", { class: "cp-strong" }, title), buildTable(title, heads, rows), ...shared);
}

function showKind(v) {
  const kind = v.model.get("kinds").find(({ name }) => name === v.kind.value);
  const n_tokens = kind.n_groups * Number(v.n.value) * kind.n_tokens;
  const pace = v.model.get("seconds_per_token")[v.chooser.value];
  v.prompts.textContent = `Prompts: ${kind.prompts.join(" / ")}. Groups: ${kind.groups.join(", ")}.`;
  v.time.textContent = `${kind.n_groups * Number(v.n.value)} texts of at most ${kind.n_tokens} tokens${pace ? `: about ${duration(pace * n_tokens)}, by a guess from the model's size` : ""}.`;
}

function showSentences(v) {
  if (![v.a, v.b].includes(document.activeElement)) fill(v, v.model.get("sentences"));
}

function showOutcomes(v) {
  const outcomes = v.model.get("outcomes");
  for (const [name, { found }] of Object.entries(v.tabs)) {
    const outcome = outcomes[name];
    if (v.drawn[name] === JSON.stringify(outcome)) continue;
    v.drawn[name] = JSON.stringify(outcome);
    found.replaceChildren(...(outcome ? buildFound(v, name, outcome) : []));
  }
  enable(v.show, "completions" in outcomes);
  v.need.hidden = "completions" in outcomes;
  if (v.tab === "sentences") drawScatter(v);
}

function buildFound(v, name, { finding, numbers, groups = [], compared, published, points, a, b }) {
  const parts = [make("p", { class: "oc-finding", "aria-live": "polite" }, visible(finding)), buildKeep(v, name, numbers)];
  if (points) parts.push(buildScatter(v, points, a, b));
  if (groups.length) parts.push(make("div", { class: "bp-groups" }, ...groups.map(buildGroup)));
  if (compared) {
    const heads = ["List", "A", "B", "A minus B, percentage points (95 %)", "p", "p, Holm"];
    parts.push(buildFold("Two proportions compared", buildTable("Two proportions compared", heads, compared), true));
  }
  if (published) parts.push(buildFold("Published figures to stand beside", buildTable("Published figures", ["Model", "What", "Group", "Figure", "Source"], published)));
  return parts;
}

function buildFold(title, inside, isOpen = false) {
  return make("details", { open: isOpen }, make("summary", {}, title), inside);
}

function showHit(v) {
  const [hit, n_hits, n_marked] = [v.model.get("hit"), v.model.get("n_hits"), v.model.get("n_marked")];
  const hadFocus = v.tabs.audit.panel.contains(document.activeElement);
  v.consent.hidden = v.show.hidden = n_hits >= 0;
  v.hitbox.hidden = n_hits < 0;
  v.marked = null;
  const isLeft = hit.hit !== undefined;
  const all = n_hits ? `All ${n_hits} drawn hits are judged.` : "The keywords hit nothing, so there is nothing to judge.";
  v.judging.textContent = isLeft ? `Hit ${n_marked + 1} of ${n_hits} · list “${hit.words}” · group “${hit.group}”. Is this what the list is after?` : all;
  v.context.hidden = !isLeft;
  v.context.replaceChildren(...(isLeft ? marked(hit) : []));
  v.marks.hidden = !n_hits;
  v.marks.querySelectorAll(".bp-mark").forEach((each) => enable(each, isLeft));
  if (hadFocus && n_hits >= 0) (isLeft ? v.yes : v.judging).focus();
}

/** The context of a hit, with the words in question standing out. */
function marked({ context, found }) {
  const at = context.indexOf(`[${found}]`);
  if (at < 0) return [visible(context)];
  return [visible(context.slice(0, at)), make("mark", {}, visible(found)), visible(context.slice(at + found.length + 2))];
}

/* ---- the scatter --------------------------------------------------------------------------------------------------- */

function buildScatter(v, points, a, b) {
  v.points = points;
  v.scatter = make("div", { class: "bp-scatter" });
  const name = (lines) => `“${visible(lines[0])}”${lines.length > 1 ? ` and ${lines.length - 1} more` : ""}`;
  const axes = make("p", { class: "cp-hint" }, `Each sign a word: upwards likelier after A, ${name(a)}; to the right after B, ${name(b)}. Both axes are logarithmic; on the line a word is as likely after both. Circles lean to A, squares to B; filled: the 95 % interval over the sentences leaves out equality.`);
  const times = (bits) => `${(2 ** bits).toPrecision(2)}`;
  const sorted = [...points].sort((one, other) => Math.abs(other.log2_ratio) - Math.abs(one.log2_ratio));
  const rows = sorted.map((p) => [p.word.trim() || "(space)", p.p_a.toPrecision(2), p.p_b.toPrecision(2), times(p.log2_ratio), p.low === null ? "one sentence" : `${times(p.low)} to ${times(p.high)}`]);
  const table = buildTable("Words by their probability", ["Word", "p after A", "p after B", "A to B", "95 %"], rows);
  const side = make("div", { class: "bp-side" }, make("p", { class: "cp-strong" }, "The furthest from the line first"), table);
  return make("div", { class: "bp-part" }, make("div", { class: "bp-twin" }, v.scatter, side), axes);
}

/** Drawn anew for the width that there is: letters keep their size. */
function drawScatter(v) {
  const width = Math.floor(v.scatter?.clientWidth ?? 0);
  if (!width || !v.points) return;
  const em = parseFloat(getComputedStyle(v.scatter).fontSize);
  const [side, left, bottom] = [Math.min(width, 46 * em), 5 * em, 3.4 * em];
  const values = v.points.flatMap(({ p_a, p_b }) => [p_a, p_b]);
  const [low, high] = [Math.log10(Math.min(...values)) - 0.15, Math.min(0, Math.log10(Math.max(...values)) + 0.15)];
  const scale = (p) => (Math.log10(p) - low) / (high - low);
  const [x, y] = [(p) => left + scale(p) * (side - left - 1.2 * em), (p) => side - bottom - scale(p) * (side - bottom - em)];
  const ends = [10 ** low, 10 ** high];
  const picture = draw("svg", { width: side, height: side, viewBox: `0 0 ${side} ${side}`, role: "img", "aria-label": "Words by their probability after A and after B; the same numbers stand in the table beside it." });
  const steps = high - low < 1.8 ? [1, 2, 5] : [1];
  for (let power = Math.floor(low); power <= high; power += 1) {
    for (const value of steps.map((step) => step * 10 ** power)) {
      if (value >= ends[0] && value <= ends[1]) picture.append(...ticks(value, x, y, ends, em));
    }
  }
  picture.append(draw("line", { class: "bp-even", x1: x(ends[0]), y1: y(ends[0]), x2: x(ends[1]), y2: y(ends[1]) }));
  picture.append(draw("text", { x: (left + side) / 2, y: side - 0.5 * em, "text-anchor": "middle" }, "probability after B"));
  picture.append(draw("text", { transform: `translate(${0.9 * em} ${(side - bottom) / 2}) rotate(-90)`, "text-anchor": "middle" }, "probability after A"));
  v.points.forEach((point) => picture.append(sign(point, x(point.p_b), y(point.p_a), em)));
  picture.append(...names(v, x, y, em, side));
  v.scatter.replaceChildren(picture);
}

function ticks(value, x, y, [least, most], em) {
  const words = value >= 0.0009 ? String(Number(value.toPrecision(1))) : value.toExponential(0);
  return [
    draw("line", { class: "bp-grid", x1: x(value), x2: x(value), y1: y(least), y2: y(most) }), draw("line", { class: "bp-grid", x1: x(least), x2: x(most), y1: y(value), y2: y(value) }),
    draw("text", { x: x(value), y: y(least) + 1.3 * em, "text-anchor": "middle" }, words), draw("text", { x: x(least) - 0.4 * em, y: y(value) + 0.35 * em, "text-anchor": "end" }, words),
  ];
}

function sign({ word, log2_ratio, is_sure }, x, y, em) {
  const r = 0.36 * em;
  const style = { class: `bp-sign ${log2_ratio >= 0 ? "bp-a" : "bp-b"} ${is_sure ? "bp-sure" : ""}` };
  const node = log2_ratio >= 0 ? draw("circle", { ...style, cx: x, cy: y, r }) : draw("rect", { ...style, x: x - r, y: y - r, width: 2 * r, height: 2 * r });
  node.append(draw("title", {}, visible(word)));
  return node;
}

/** The words furthest from the line, where there is room for them beside their sign. */
function names(v, x, y, em, side) {
  const points = v.points;
  const taken = points.map((p) => [x(p.p_b) - 0.3 * em, y(p.p_a) - 0.3 * em, x(p.p_b) + 0.3 * em, y(p.p_a) + 0.3 * em]);
  const isFree = (box) => taken.every(([l, t, r, b]) => box[2] < l || box[0] > r || box[3] < t || box[1] > b) && box[0] > 5.1 * em && box[2] < side && box[1] > 0;
  const [named, pen] = [[], document.createElement("canvas").getContext("2d")];
  pen.font = `600 ${em}px ${getComputedStyle(v.scatter).fontFamily}`;
  for (const p of points.filter(({ is_named }) => is_named).sort((one, other) => Math.abs(other.log2_ratio) - Math.abs(one.log2_ratio))) {
    const words = shortened(visible(p.word.trim()) || "␣");
    const [wide, cx, cy] = [pen.measureText(words).width, x(p.p_b), y(p.p_a)];
    const places = [[cx - 0.6 * em - wide, cy], [cx + 0.6 * em, cy], [cx - wide / 2, cy - 0.9 * em], [cx - wide / 2, cy + em]];
    if (p.log2_ratio < 0) places.reverse().unshift(places.splice(2, 1)[0]);
    const at = places.find(([l, m]) => isFree([l, m - 0.5 * em, l + wide, m + 0.5 * em]));
    if (!at) continue;
    taken.push([at[0], at[1] - 0.5 * em, at[0] + wide, at[1] + 0.5 * em]);
    named.push(draw("text", { class: "bp-word", x: at[0], y: at[1] + 0.35 * em }, words));
  }
  return named;
}

const shortened = (word) => (word.length > 18 ? `${word.slice(0, 17)}…` : word);

/* ---- the way onto the page ----------------------------------------------------------------------------------------- */

function render({ model, el }) {
  const v = Object.assign(newView(model, el), { tabs: {}, drawn: {}, tab: "sentences", marked: null, keeps: "", rest: () => v.tabs[v.tab].tab });
  v.showState = () => showState(v);
  build(v);
  const [state, hit] = [() => showState(v), () => showHit(v)];
  const leave = openView(v, {
    state, message: state, progress: state, models: () => showModels(v), model: () => showModels(v), seconds_per_token: () => showKind(v),
    consent: () => showConsent(v), published: () => showConsent(v), sentences: () => showSentences(v), outcomes: () => showOutcomes(v), hit, n_hits: hit, n_marked: hit,
    kept: () => showKept(v),
  });
  const width = new ResizeObserver(() => drawScatter(v));
  width.observe(v.root);
  v.model.on("change:large", () => drawScatter(v));
  send(v, { kind: "ready" });
  return () => (width.disconnect(), leave());
}

export default { render };
