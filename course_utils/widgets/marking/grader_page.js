/* The marking page. Besides the desk, this module draws the traits role, and whose, which is "" or the name of the student whose paper is open.
 */

import "#shared/panel.css";
import "#shared/essay_view.css";
import "#shared/rubric_view.css";
import "#shared/marking_desk.css";
import "./grader_page.css";

import { send } from "#shared/connection.js";
import { button, make } from "#shared/dom.js";
import { buildDesk, deskShows, showTotal, wish } from "#shared/marking_desk.js";
import { newView, openView, showFailure } from "#shared/panel.js";
import { visible } from "#shared/text.js";

function buildWhose(v) {
  v.whose = button("", () => send(v, { kind: v.model.get("whose") ? "hide_whose" : "show_whose" }), { class: "cp-quiet" });
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
  Object.assign(v, { showState: () => showFailure(v), showTotal: () => showTotal(v) });
  v.role = make("p", { class: "cp-hint" });
  buildDesk(v, {
    label: "Marking", title: `Marking: ${visible(model.get("rubric").title)}`, essay: "Paper", has: { points: true, bank: true, comment: "Comment" },
    more: [button("Refresh", () => wish(v, { kind: "refresh" }))], aside: buildWhose(v), above: [v.role],
  });
  return openView(v, { ...deskShows(v), whose: () => showWhose(v), role: () => showRole(v) });
}

export default { render };
