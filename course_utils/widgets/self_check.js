/* The browser half of the self-check, after furniture.js: radio buttons and number fields, native ones, so that every
 * keyboard and screen reader knows them. */

function buildChoices(v, number, choices) {
  return choices.map((text, i) => {
    const input = make("input", { type: "radio", name: `${v.id}-${number}`, value: i + 1 });
    input.addEventListener("change", () => able(v.items[number].check, true));
    return make("label", { class: "sc-choice" }, input, make("span", {}, text));
  });
}

function buildNumber(v, number, unit) {
  const input = make("input", { type: "text", inputmode: "decimal", "aria-label": `Your answer to question ${number}${unit ? `, in ${unit}` : ""}` });
  input.addEventListener("keydown", (event) => event.key === "Enter" && send(v, number));
  input.addEventListener("input", () => able(v.items[number].check, Boolean(input.value.trim())));
  return [make("div", { class: "sc-number" }, input, make("span", {}, unit))];
}

function buildQuestion(v, { ask, choices, unit }, number) {
  const fields = choices.length ? buildChoices(v, number, choices) : buildNumber(v, number, unit);
  const check = button("Check", () => send(v, number), { class: "cp-quiet", "aria-label": `Check question ${number}` });
  able(check, false);
  const told = make("p", { class: "sc-told", role: "status" });
  const set = make("fieldset", { class: "sc-question" }, make("legend", { class: "cp-strong" }, `${number}. ${ask}`), ...fields, make("div", { class: "sc-row" }, check, told));
  v.items[number] = { set, check, told };
  return set;
}

function send(v, number) {
  const { set, check } = v.items[number];
  if (!isAble(check)) return;
  const chosen = set.querySelector("input[type=radio]:checked");
  say(v, { kind: "answer", number, given: chosen ? Number(chosen.value) : set.querySelector("input").value });
}

function showVerdicts(v) {
  for (const [number, { is_right, because, source }] of Object.entries(v.model.get("verdicts"))) {
    const { set, told } = v.items[number];
    set.dataset.verdict = is_right ? "right" : "wrong";
    told.replaceChildren(make("strong", {}, is_right ? "✓ Yes. " : "✗ Not quite. "), because);
    if (source) told.append(make("span", { class: "cp-hint" }, ` (${source})`));
  }
}

function showState(v) {
  v.root.dataset.state = v.model.get("message") ? "failed" : "idle";
  v.message.textContent = v.isLost ? NO_ANSWER : v.model.get("message");
  v.message.hidden = !v.message.textContent;
}

function render({ model, el }) {
  const v = Object.assign(newView(model, el), { items: {} });
  v.showState = () => showState(v);
  v.message = make("p", { class: "cp-message", role: "alert", hidden: true });
  v.summary = make("p", { class: "cp-hint", role: "status" });
  const head = make("div", { class: "cp-head" }, make("p", { class: "cp-title" }, "Check yourself"), buildSwitches(v));
  const questions = model.get("questions").map((question, i) => buildQuestion(v, question, i + 1));
  v.root = make("section", { class: "cp sc", "aria-label": "Self-check" }, head, ...questions, v.message, v.summary);
  return open(v, {
    message: () => showState(v), verdicts: () => showVerdicts(v),
    summary: () => (v.summary.textContent = model.get("summary") || "Nobody counts. Answer, then check; the reason comes with it."),
  });
}

export default { render };
