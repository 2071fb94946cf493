/* The calibration: a marker compares own marks with ours. Besides the desk, this module draws the traits:
 *   comparison  {criterion: {ours, apart, words, reason, doubt}}, empty until this essay is compared
 *   agreed      {words, heads, rows}, empty until two essays are
 */

import "#shared/panel.css";
import "#shared/essay_view.css";
import "#shared/rubric_view.css";
import "#shared/marking_desk.css";
import "./calibration.css";

import { send } from "#shared/connection.js";
import { button, enable, isEnabled, make } from "#shared/dom.js";
import { buildDesk, deskShows } from "#shared/marking_desk.js";
import { newView, openView, showFailure } from "#shared/panel.js";
import { after } from "#shared/rubric_view.js";

function showComparison(v) {
  const found = v.model.get("comparison");
  for (const [id, row] of v.rows) {
    row.extra.replaceChildren(...(found[id] ? [buildComparison(found[id])] : []));
    row.radios.forEach((radio, i) => showOurs(radio.closest("label"), found[id]?.ours === i));
  }
  const isCompared = Object.keys(found).length > 0;
  v.compare.hidden = isCompared;
  v.anew.hidden = !isCompared;
  v.whether.textContent = isCompared ? "Compared. What you gave first is what counts in the table; you may change levels to try." : "";
}

function showOurs(label, isOurs) {
  label.querySelector(".cb-mark")?.remove();
  if (isOurs) label.querySelector(".rv-name").append(make("span", { class: "cb-mark" }, " ← ours"));
}

function buildComparison({ apart, words, reason, doubt }) {
  const parts = [make("p", { class: "cp-strong" }, words), make("p", {}, reason)];
  if (doubt) parts.push(make("p", { class: "cp-hint" }, "Where another marker may land elsewhere: ", doubt));
  return make("div", { class: "cb-ours", "data-apart": Math.min(2, Math.abs(apart)) }, ...parts);
}

function showAgreed(v) {
  const { words = [], heads = [], rows = [] } = v.model.get("agreed");
  v.agreed.hidden = !words.length;
  v.words.replaceChildren(...words.map((each) => make("p", {}, each)));
  v.heads.replaceChildren(...heads.map((each) => make("th", { scope: "col" }, each)));
  v.body.replaceChildren(...rows.map(([first, ...cells]) => make("tr", {}, make("th", { scope: "row" }, first), ...cells.map((cell) => make("td", {}, cell)))));
}

function buildAgreed(v) {
  Object.assign(v, { words: make("div", { class: "cb-words" }), heads: make("tr"), body: make("tbody") });
  const table = make("table", {}, make("caption", { class: "cp-unseen" }, "Agreement by criterion"), make("thead", {}, v.heads), v.body);
  const scroll = make("div", { class: "cb-scroll", tabindex: "0", role: "region", "aria-label": "Table of agreement" }, table);
  v.agreed = make("section", { class: "cb-agreed", "aria-label": "How far you agree with us" }, make("p", { class: "cp-title" }, "How far you agree with us"), v.words, scroll);
  return v.agreed;
}

/** The total of points says nothing here: what counts is which levels are still to be given. */
function showLeft(v) {
  const { missing = [] } = v.model.get("marks");
  v.total.textContent = missing.length ? `No level yet: ${missing.join(", ")}.` : "Every criterion has its level.";
  enable(v.compare, !missing.length);
}

function render({ model, el }) {
  const v = newView(model, el);
  Object.assign(v, { showState: () => showFailure(v), showTotal: () => showLeft(v) });
  v.compare = button("Compare with ours", () => isEnabled(v.compare) && after(v, () => ((v.right.scrollTop = 0), send(v, { kind: "compare" }))), { class: "cp-main" });
  v.anew = button("Begin this essay anew", () => after(v, () => send(v, { kind: "anew" })));
  v.whether = make("p", { class: "cp-hint" });
  buildDesk(v, {
    label: "Calibration", title: "Calibration: mark the sample essays", essay: "Essay", has: { points: false, bank: false, comment: "Which words in the essay decided it?" },
    below: [make("div", { class: "cp-actions" }, make("div", { class: "cp-buttons" }, v.compare, v.anew), v.whether), buildAgreed(v)],
  });
  return openView(v, { ...deskShows(v), comparison: () => showComparison(v), agreed: () => showAgreed(v) });
}

export default { render };
