/* The browser half of the marking page, after furniture.js, essay_view.js, rubric_view.js and marking_desk.js. It also
 * draws whose, which is "" or whose the open paper is, and role.
 */

function buildWhose(v) {
  v.whose = button("", () => say(v, { kind: v.model.get("whose") ? "hide_whose" : "show_whose" }), { class: "cp-quiet" });
  v.name = make("strong", { role: "status" });
  return make("span", { class: "gp-whose" }, v.name, " ", v.whose);
}

function showWhose(v) {
  const whose = v.model.get("whose");
  v.whose.textContent = whose ? "Hide whose it is" : "Show whose it is";
  v.name.textContent = visible(whose);
}

function showRole(v) {
  v.role.textContent = v.model.get("role");
  v.role.hidden = !v.role.textContent;
}

function render({ model, el }) {
  const v = newView(model, el);
  Object.assign(v, { showState: () => showState(v), showTotal: () => showTotal(v) });
  v.role = make("p", { class: "cp-hint" });
  buildDesk(v, {
    label: "Marking", title: `Marking: ${visible(model.get("rubric").title)}`, essay: "Paper", has: { points: true, bank: true, comment: "Comment" },
    more: [button("Refresh", () => wish(v, { kind: "refresh" }))], aside: buildWhose(v), above: [v.role],
  });
  return open(v, { ...deskShows(v), whose: () => showWhose(v), role: () => showRole(v) });
}

export default { render };
