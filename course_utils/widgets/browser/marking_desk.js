/* Papers side by side with the rubric. Besides the essay and the rubric, this module draws:
 *   papers  [{key, number, state, needs}];   counts  {all, marked}
 */

import { send } from "#shared/connection.js";
import { button, make } from "#shared/dom.js";
import { buildEssay, showPictures, showSheet } from "#shared/essay_view.js";
import { buildHead, buildMessage, showFailure } from "#shared/panel.js";
import { after, buildRubric, isText, showBank, showMarks, showSaved, toCriterion } from "#shared/rubric_view.js";

const STATES = { "to mark": "○", begun: "◐", marked: "✓" };
const KEYS = [
  ["digits", "the level of the criterion that has the focus, from the lowest"], ["r, Shift + r", "to the rubric; on to the next criterion, or back"],
  ["c", "to the criterion's comment"], ["Escape", "out of a field; folds what a citation has unfolded"], ["e", "to the top of the essay"],
  ["n or Alt + →", "next paper"], ["p or Alt + ←", "previous paper"], ["m", "next paper that is not wholly marked"], ["u or Ctrl + Z", "undo"],
];

/* ---- building ------------------------------------------------------------------------------------------------------ */

/** Wish for another paper, or whatever else needs all that was typed to be written first. */
export function wish(v, content) {
  after(v, () => {
    v.isGoing = content.kind !== "undo";
    send(v, content);
  });
}

function buildNavigation(v, more, aside) {
  const buttons = [
    button("← Previous", () => wish(v, { kind: "step", by: -1 })), button("Next →", () => wish(v, { kind: "step", by: 1 })),
    button("Next unmarked", () => wish(v, { kind: "next_unmarked" }), { class: "cp-main" }), button("Undo", () => wish(v, { kind: "undo" })), ...more,
  ];
  v.strip = make("div", { class: "md-strip", role: "group", "aria-label": "Papers" });
  v.strip.addEventListener("keydown", (event) => onStripKey(v, event));
  v.counted = make("span");
  v.legend = make("span");
  const row = make("div", { class: "cp-row" }, make("div", { class: "cp-buttons" }, ...buttons), aside);
  const foot = make("div", { class: "cp-row md-legend" }, buildKeys(v), make("p", { class: "cp-numbers" }, v.counted, v.legend));
  return make("nav", { class: "md-nav", "aria-label": "Papers" }, row, v.strip, foot);
}

function buildKeys(v) {
  v.hasKeys = true;
  const isOn = make("input", { type: "checkbox", checked: true });
  isOn.addEventListener("change", () => (v.hasKeys = isOn.checked));
  const list = make("dl", { class: "md-keys" }, ...KEYS.flatMap(([key, what]) => [make("dt", {}, make("kbd", {}, key === "digits" ? `1 … ${v.model.get("rubric").criteria[0].levels.length}` : key)), make("dd", {}, what)]));
  return make("details", {}, make("summary", {}, "Keys"), list, make("label", { class: "md-check" }, isOn, " Single letters and digits are keys (outside fields)"));
}

/** Build the whole panel; `parts`: label, title, essay (what a paper is called), has, more (buttons), aside, above, below. */
export function buildDesk(v, { label, title, essay, has, more = [], aside = "", above = [], below = [] }) {
  buildMessage(v);
  v.total = make("p", { class: "md-total" });
  v.savedLine = make("p", { class: "md-saved", role: "status" });
  const head = buildHead(v, title);
  v.left = make("div", { class: "md-left", tabindex: "0", role: "region", "aria-label": "Essay and evidence" }, buildEssay(v, essay));
  v.right = make("div", { class: "md-right" }, buildRubric(v, has));
  v.foot = make("div", { class: "md-foot" }, v.total, v.savedLine);
  const columns = make("div", { class: "md-columns" }, v.left, v.right);
  v.root = make("section", { class: "cp md", "aria-label": label }, head, ...above, buildNavigation(v, more, aside), v.message, columns, v.foot, ...below);
  v.root.addEventListener("keydown", (event) => onKey(v, event));
}

/* ---- keys ---------------------------------------------------------------------------------------------------------- */

/** The arrows walk along the papers: one tab stop for all of them. */
function onStripKey(v, event) {
  const all = [...v.strip.children];
  const here = all.indexOf(document.activeElement);
  const to = { ArrowRight: here + 1, ArrowLeft: here - 1, Home: 0, End: all.length - 1 }[event.key];
  if (to === undefined || event.altKey) return;
  event.preventDefault();
  all[to]?.focus();
}

function onKey(v, event) {
  const [key, isPlain] = [event.key, !event.ctrlKey && !event.metaKey && !event.altKey];
  if (isText(event.target)) return;
  const ways = { n: { kind: "step", by: 1 }, p: { kind: "step", by: -1 }, m: { kind: "next_unmarked" }, u: { kind: "undo" } };
  const moves = { r: () => toCriterion(v, 1), R: () => toCriterion(v, -1), e: () => toTop(v) };
  let act = null;
  if (event.altKey && ["ArrowRight", "ArrowLeft"].includes(key)) act = () => wish(v, ways[key === "ArrowRight" ? "n" : "p"]);
  else if ((event.ctrlKey || event.metaKey) && key === "z") act = () => wish(v, ways.u);
  else if (isPlain && v.hasKeys && ways[key]) act = () => wish(v, ways[key]);
  else if (isPlain && v.hasKeys) act = moves[key];
  if (!act) return;
  event.preventDefault();
  act();
}

function toTop(v) {
  v.left.scrollTop = 0;
  v.essayTitle.focus({ preventScroll: true });
  (v.left.scrollHeight > v.left.clientHeight ? v.root : v.essayTitle).scrollIntoView({ block: "nearest" });
}

/* ---- what the kernel says ------------------------------------------------------------------------------------------ */

function showPapers(v) {
  const [papers, { all = 0, marked = 0 }, open] = [v.model.get("papers"), v.model.get("counts"), v.model.get("marks").paper];
  const at = v.strip.contains(document.activeElement) ? document.activeElement.dataset.key : null;
  v.strip.replaceChildren(...papers.map((paper) => buildPaper(v, paper, paper.key === open)));
  if (!v.strip.querySelector("[tabindex='0']")) v.strip.firstElementChild?.setAttribute("tabindex", "0");
  v.counted.textContent = `${marked} of ${all} marked`;
  v.legend.textContent = ` · ○ to mark · ◐ begun · ✓ marked${papers.some((paper) => paper.needs) ? " · ! needs a person" : ""}`;
  if (at) [...v.strip.children].find((each) => each.dataset.key === at)?.focus();
}

function buildPaper(v, { key, number, state, needs }, isOpen) {
  const words = `${v.essayName} ${number}, ${state}${needs ? ", needs a person" : ""}`;
  const node = button("", () => wish(v, { kind: "open", key }), { class: "md-paper", "aria-label": words, "data-key": key, "data-state": state, tabindex: isOpen ? "0" : "-1" });
  if (isOpen) node.setAttribute("aria-current", "true");
  node.append(`${number} ${STATES[state]}${needs ? " !" : ""}`);
  return node;
}

export function showTotal(v) {
  const { total, missing = [] } = v.model.get("marks");
  v.foot.hidden = v.right.hidden = !total;
  const rest = missing.length ? ` so far. No points yet: ${missing.join(", ")}.` : ". Nothing is missing.";
  v.total.replaceChildren("Total ", make("strong", {}, total ?? ""), rest);
}

function showPaper(v) {
  showSheet(v);
  v.left.hidden = v.essay.hidden;
  if (!v.isGoing) return;
  v.isGoing = false;
  v.rubric.scrollTop = v.right.scrollTop = 0;
  v.findings.open = false;
  toTop(v);
}

/** What to draw when which trait changes. */
export function deskShows(v) {
  const papers = () => showPapers(v);
  return {
    message: () => showFailure(v), sheet: () => showPaper(v), pictures: () => showPictures(v), marks: () => (showMarks(v), papers()), papers, counts: papers,
    bank: () => showBank(v), saved: () => showSaved(v),
  };
}
