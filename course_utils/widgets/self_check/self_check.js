/* The self-check: radio buttons and number fields, native ones, so that every
 * keyboard and screen reader knows them. */

import "#shared/panel.css";
import "./self_check.css";

import { send } from "#shared/connection.js";
import { button, enable, isEnabled, make } from "#shared/dom.js";
import { buildHead, buildMessage, newView, openView, showFailure } from "#shared/panel.js";

function buildChoices(v, number, choices) {
  return choices.map((text, i) => {
    const input = make("input", { type: "radio", name: `${v.id}-${number}`, value: i + 1 });
    input.addEventListener("change", () => enable(v.items[number].check, true));
    return make("label", { class: "sc-choice" }, input, make("span", {}, text));
  });
}

function buildNumber(v, number, unit) {
  const input = make("input", { type: "text", inputmode: "decimal", "aria-label": `Your answer to question ${number}${unit ? `, in ${unit}` : ""}` });
  input.addEventListener("keydown", (event) => event.key === "Enter" && sendAnswer(v, number));
  input.addEventListener("input", () => enable(v.items[number].check, Boolean(input.value.trim())));
  return [make("div", { class: "sc-number" }, input, make("span", {}, unit))];
}

function buildQuestion(v, { ask, choices, unit }, number) {
  const fields = choices.length ? buildChoices(v, number, choices) : buildNumber(v, number, unit);
  const check = button("Check", () => sendAnswer(v, number), { class: "cp-quiet", "aria-label": `Check question ${number}` });
  enable(check, false);
  const told = make("p", { class: "sc-told", role: "status" });
  const set = make("fieldset", { class: "sc-question" }, make("legend", { class: "cp-strong" }, `${number}. ${ask}`), ...fields, make("div", { class: "sc-row" }, check, told));
  v.items[number] = { set, check, told };
  return set;
}

function sendAnswer(v, number) {
  const { set, check } = v.items[number];
  if (!isEnabled(check)) return;
  const chosen = set.querySelector("input[type=radio]:checked");
  send(v, { kind: "answer", number, given: chosen ? Number(chosen.value) : set.querySelector("input").value });
}

function showVerdicts(v) {
  for (const [number, { is_right, because, source }] of Object.entries(v.model.get("verdicts"))) {
    const { set, told } = v.items[number];
    set.dataset.verdict = is_right ? "right" : "wrong";
    told.replaceChildren(make("strong", {}, is_right ? "✓ Yes. " : "✗ Not quite. "), because);
    if (source) told.append(make("span", { class: "cp-hint" }, ` (${source})`));
  }
}

function render({ model, el }) {
  const v = Object.assign(newView(model, el), { items: {} });
  v.showState = () => showFailure(v);
  buildMessage(v);
  v.summary = make("p", { class: "cp-hint", role: "status" });
  const head = buildHead(v, "Check yourself");
  const questions = model.get("questions").map((question, i) => buildQuestion(v, question, i + 1));
  v.root = make("section", { class: "cp sc", "aria-label": "Self-check" }, head, ...questions, v.message, v.summary);
  return openView(v, {
    message: () => showFailure(v), verdicts: () => showVerdicts(v),
    summary: () => (v.summary.textContent = model.get("summary") || "Nobody counts. Answer, then check; the reason comes with it."),
  });
}

export default { render };
