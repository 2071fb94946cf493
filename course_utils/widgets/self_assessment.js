/* The browser half of the self-assessment, after furniture.js and rubric_view.js. It also draws steps, {criterion: what to
 * do next}.
 */

function showSteps(v) {
  const steps = v.model.get("steps");
  for (const [id, row] of v.rows) {
    const told = steps[id] ? [make("p", { class: "sa-step" }, make("strong", {}, "Next: "), steps[id])] : [];
    row.extra.replaceChildren(...told);
  }
  const n = Object.keys(steps).length;
  v.counted.textContent = `${n} of ${v.rows.size} criteria have a level. Only you see this.`;
}

function showState(v) {
  v.message.textContent = v.isLost ? NO_ANSWER : v.model.get("message");
  v.message.hidden = !v.message.textContent;
  v.root.dataset.state = v.message.textContent ? "failed" : "idle";
}

function render({ model, el }) {
  const v = Object.assign(newView(model, el), { hasKeys: true });
  v.showState = () => showState(v);
  v.message = make("p", { class: "cp-message", role: "alert", hidden: true });
  v.savedLine = make("p", { class: "sa-saved cp-hint", role: "status" });
  v.counted = make("p", {});
  const head = make("div", { class: "cp-head" }, make("p", { class: "cp-title" }, "Your essay, seen by its rubric"), buildSwitches(v));
  const undo = button("Undo", () => after(v, () => say(v, { kind: "undo" })));
  const foot = make("div", { class: "cp-actions" }, undo, v.counted, v.savedLine);
  v.root = make("section", { class: "cp sa", "aria-label": "Self-assessment" }, head, v.message, buildRubric(v, { points: false, bank: false, comment: "Note: which words of yours show it?" }), foot);
  return open(v, { message: () => showState(v), marks: () => showMarks(v), saved: () => showSaved(v), steps: () => showSteps(v) });
}

export default { render };
