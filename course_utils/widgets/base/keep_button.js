/* The button that keeps a number as evidence. This module draws the traits that the kernel sets:
 *   numbers  [{metric, row, words}, …], what can be kept
 *   chosen   the place of one of them
 *   kept     {id, cite, words, warnings}, or empty
 *   nothing  why nothing can be kept, or empty
 */

import "#shared/panel.css";
import "#shared/share_vote.css";
import "./keep_button.css";

import { buildVoteSharing } from "#shared/share_vote.js";
import { send } from "#shared/connection.js";
import { button, enable, isEnabled, make } from "#shared/dom.js";
import { buildMessage, copy, newView, openView, showFailure } from "#shared/panel.js";
import { visible } from "#shared/text.js";

/* ---- building ------------------------------------------------------------------------------------------------------ */

function build(v) {
  v.choice = make("select", { id: `${v.id}-number` });
  v.choice.addEventListener("change", () => send(v, { kind: "choose", place: v.choice.selectedIndex }));
  v.keep = button("Keep as evidence", () => isEnabled(v.keep) && send(v, { kind: "keep" }), { class: "cp-main" });
  const field = make("div", { class: "kb-field" }, make("label", { for: v.choice.id }, "A number to cite"), v.choice);
  v.what = make("div", { class: "kb-what" }, field, v.keep);
  v.nothing = make("p", { class: "cp-hint" });
  v.said = make("span", {});
  v.cite = make("code", {});
  v.copy = button("Copy", () => copy(v, v.model.get("kept").cite), { class: "cp-quiet" });
  v.how = make("span", {}, "Cite it as ", v.cite, ".");
  v.kept = make("p", { class: "kb-kept" }, make("span", { role: "status" }, v.said, " ", v.how), v.copy);
  v.warnings = make("ul", { class: "kb-warnings", hidden: true });
  buildMessage(v);
  // Light, dark and large follow the page here: three switches under every result would be more than the result.
  v.large = v.dark = make("span");
  v.root = make("section", { class: "cp kb", "aria-label": "Keep as evidence" }, v.what, v.nothing, v.kept, v.warnings, v.message, buildVoteSharing(v));
}

/* ---- what the kernel says ------------------------------------------------------------------------------------------ */

function showNumbers(v) {
  const numbers = v.model.get("numbers");
  v.choice.replaceChildren(...numbers.map(({ words }) => make("option", {}, visible(words))));
  v.nothing.textContent = v.model.get("nothing");
  v.nothing.hidden = numbers.length > 0;
  enable(v.keep, numbers.length > 0);
  v.choice.disabled = !numbers.length;
  showChosen(v);
}

function showChosen(v) {
  v.choice.selectedIndex = v.model.get("numbers").length ? v.model.get("chosen") : -1;
}

function showKept(v) {
  const { cite = "", words = "", warnings = [] } = v.model.get("kept");
  v.said.textContent = words;
  v.cite.textContent = cite;
  v.how.hidden = v.copy.hidden = !cite;
  v.warnings.replaceChildren(...warnings.map((warning) => make("li", {}, visible(warning))));
  v.warnings.hidden = !warnings.length;
}

/* ---- the way onto the page ----------------------------------------------------------------------------------------- */

function render({ model, el }) {
  const v = newView(model, el);
  v.showState = () => showFailure(v);
  build(v);
  return openView(v, { message: () => showFailure(v), numbers: () => showNumbers(v), nothing: () => showNumbers(v), chosen: () => showChosen(v), kept: () => showKept(v) });
}

export default { render };
