/* The self-assessment: a student's essay by its rubric. Besides the rubric, this module draws the trait steps, {criterion: what to
 * do next}.
 */

import "#shared/panel.css";
import "#shared/rubric_view.css";
import "./self_assessment.css";

import { send } from "#shared/connection.js";
import { button, make } from "#shared/dom.js";
import { buildHead, buildMessage, newView, openView, showFailure } from "#shared/panel.js";
import { after, buildRubric, showMarks, showSaved } from "#shared/rubric_view.js";

function showSteps(v) {
  const steps = v.model.get("steps");
  for (const [id, row] of v.rows) {
    const told = steps[id] ? [make("p", { class: "sa-step" }, make("strong", {}, "Next: "), steps[id])] : [];
    row.extra.replaceChildren(...told);
  }
  const n = Object.keys(steps).length;
  v.counted.textContent = `${n} of ${v.rows.size} criteria have a level. Only you see this.`;
}

function render({ model, el }) {
  const v = Object.assign(newView(model, el), { hasKeys: true });
  v.showState = () => showFailure(v);
  buildMessage(v);
  v.savedLine = make("p", { class: "sa-saved cp-hint", role: "status" });
  v.counted = make("p", {});
  const head = buildHead(v, "Your essay, seen by its rubric");
  const undo = button("Undo", () => after(v, () => send(v, { kind: "undo" })));
  const foot = make("div", { class: "cp-actions" }, undo, v.counted, v.savedLine);
  v.root = make("section", { class: "cp sa", "aria-label": "Self-assessment" }, head, v.message, buildRubric(v, { points: false, bank: false, comment: "Note: which words of yours show it?" }), foot);
  return openView(v, { message: () => showFailure(v), marks: () => showMarks(v), saved: () => showSaved(v), steps: () => showSteps(v) });
}

export default { render };
