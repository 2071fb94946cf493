/* The browser half of the keep button, after furniture.js and class_share.js. It draws the traits that the kernel sets:
 *   numbers  [{metric, row, words}, …], what can be kept
 *   chosen   the place of one of them
 *   kept     {id, cite, words, warnings}, or empty
 *   nothing  why nothing can be kept, or empty
 */

/* ---- building ------------------------------------------------------------------------------------------------------ */

function build(v) {
  v.choice = make("select", { id: `${v.id}-number` });
  v.choice.addEventListener("change", () => say(v, { kind: "choose", place: v.choice.selectedIndex }));
  v.keep = button("Keep as evidence", () => isAble(v.keep) && say(v, { kind: "keep" }), { class: "cp-main" });
  const field = make("div", { class: "kb-field" }, make("label", { for: v.choice.id }, "A number to cite"), v.choice);
  v.what = make("div", { class: "kb-what" }, field, v.keep);
  v.nothing = make("p", { class: "cp-hint" });
  v.said = make("span", {});
  v.cite = make("code", {});
  v.copy = button("Copy", () => copy(v, v.model.get("kept").cite), { class: "cp-quiet" });
  v.how = make("span", {}, "Cite it as ", v.cite, ".");
  v.kept = make("p", { class: "kb-kept" }, make("span", { role: "status" }, v.said, " ", v.how), v.copy);
  v.warnings = make("ul", { class: "kb-warnings", hidden: true });
  v.message = make("p", { class: "cp-message", role: "alert", hidden: true });
  // Light, dark and large follow the page here: three switches under every result would be more than the result.
  v.large = v.dark = make("span");
  v.root = make("section", { class: "cp kb", "aria-label": "Keep as evidence" }, v.what, v.nothing, v.kept, v.warnings, v.message, buildClassShare(v));
}

/* ---- what the kernel says ------------------------------------------------------------------------------------------ */

function showState(v) {
  v.root.dataset.state = v.model.get("message") ? "failed" : "idle";
  v.message.textContent = v.isLost ? NO_ANSWER : v.model.get("message");
  v.message.hidden = !v.message.textContent;
}

function showNumbers(v) {
  const numbers = v.model.get("numbers");
  v.choice.replaceChildren(...numbers.map(({ words }) => make("option", {}, visible(words))));
  v.nothing.textContent = v.model.get("nothing");
  v.nothing.hidden = numbers.length > 0;
  able(v.keep, numbers.length > 0);
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

/* ---- the door ------------------------------------------------------------------------------------------------------ */

function render({ model, el }) {
  const v = newView(model, el);
  v.showState = () => showState(v);
  build(v);
  return open(v, { message: () => showState(v), numbers: () => showNumbers(v), nothing: () => showNumbers(v), chosen: () => showChosen(v), kept: () => showKept(v) });
}

export default { render };
