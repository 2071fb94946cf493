/* The prediction panel: an axis, a number field, choices or a text; then the guess beside the measured value. */

import "#shared/panel.css";
import "./predict.css";

import { send } from "#shared/connection.js";
import { button, draw, enable, isEnabled, make, numberField, setText } from "#shared/dom.js";
import { buildHead, buildMessage, newView, openView, showFailure } from "#shared/panel.js";

const STEPS = 1000; // positions of the slider

/** The position of a value on the axis, from 0 to 1. */
function position({ low, high, scale }, value) {
  const at = scale === "log" ? (Math.log(value) - Math.log(low)) / (Math.log(high) - Math.log(low)) : (value - low) / (high - low);
  return Math.min(1, Math.max(0, at));
}

/** The value at a position from 0 to 1, rounded to three digits. */
function valueAt({ low, high, scale }, at) {
  const value = scale === "log" ? low * (high / low) ** at : low + (high - low) * at;
  return Number(value.toPrecision(3));
}

function buildAxis(v, axis, unit) {
  v.field = numberField({ "aria-label": `Your prediction${unit ? `, in ${unit}` : ""}` });
  v.slider = make("input", { type: "range", min: 0, max: STEPS, value: STEPS / 2, "aria-label": "Your prediction on the axis", class: "pr-slider" });
  v.slider.addEventListener("input", () => {
    v.field.value = String(valueAt(axis, v.slider.value / STEPS));
    v.slider.setAttribute("aria-valuetext", `${v.field.value} ${unit}`);
    enable(v.press, true);
  });
  v.drawing = draw("svg", { class: "pr-axis", "aria-hidden": "true" }); // the sentence below it says the same
  v.legend = make("p", { class: "cp-hint", "aria-hidden": "true" }, "○ your prediction  ◆ measured");
  const ends = make("div", { class: "pr-ends" }, make("span", {}, `${axis.low} ${unit}`), make("span", {}, `${axis.high} ${unit}`));
  return [v.slider, v.drawing, ends, v.legend, make("div", { class: "pr-row" }, v.field, make("span", {}, unit))];
}

function buildFields(v) {
  const { model } = v;
  const [axis, unit, choices] = [model.get("axis"), model.get("unit"), model.get("choices")];
  if (choices.length) {
    return choices.map((text, i) => {
      const input = make("input", { type: "radio", name: v.id, value: i });
      input.addEventListener("change", () => enable(v.press, true));
      return make("label", { class: "pr-choice" }, input, make("span", {}, text));
    });
  }
  if (model.get("in_words")) {
    v.field = make("textarea", { "aria-label": "Your prediction", rows: 3, maxlength: 2000 });
    return [v.field];
  }
  if (axis.scale) return buildAxis(v, axis, unit);
  v.field = numberField({ "aria-label": `Your prediction${unit ? `, in ${unit}` : ""}` });
  return [make("div", { class: "pr-row" }, v.field, make("span", {}, unit))];
}

function sendGuess(v) {
  if (!isEnabled(v.press)) return;
  const chosen = v.set.querySelector("input[type=radio]:checked");
  const value = chosen ? v.model.get("choices")[Number(chosen.value)] : v.field?.value.trim();
  if (value) send(v, { kind: "guess", value });
}

/** Draw the guess and the measured value on the axis. Their shapes differ, not only their colours. */
function drawAxis(v) {
  const [axis, guess, measured] = ["axis", "guessed", "measured"].map((name) => v.model.get(name));
  if (!v.drawing) return;
  const isShown = typeof measured === "number";
  v.slider.hidden = isShown;
  v.drawing.toggleAttribute("hidden", !isShown);
  v.legend.hidden = !isShown;
  if (!isShown) return;
  // Positions are percentages, so that the axis is as wide as the panel and its marks keep their size.
  const at = (value) => `${1.5 + 97 * position(axis, value)}%`;
  const nodes = [draw("line", { x1: "1.5%", x2: "98.5%", y1: 18, y2: 18, class: "pr-line" })];
  if (typeof guess === "number") nodes.push(draw("circle", { cx: at(guess), cy: 18, r: 8, class: "pr-guess" }));
  nodes.push(draw("svg", { x: at(measured), overflow: "visible" }, draw("path", { d: "M0 6 l9 12 l-9 12 l-9 -12 z", class: "pr-measured" })));
  v.drawing.replaceChildren(...nodes);
}

function showGuess(v) {
  const [guess, measured, choices] = ["guessed", "measured", "choices"].map((name) => v.model.get(name));
  const isOver = measured !== null;
  if (guess !== null && choices.length) for (const input of v.set.querySelectorAll("input[type=radio]")) input.checked = choices[Number(input.value)] === guess;
  else if (guess !== null && v.field && document.activeElement !== v.field) v.field.value = String(guess);
  if (v.slider && typeof guess === "number") v.slider.value = Math.round(STEPS * position(v.model.get("axis"), guess));
  for (const input of v.set.querySelectorAll("input, textarea")) input.disabled = isOver;
  v.press.hidden = isOver;
  setText(v.press, guess === null ? "Keep my prediction" : "Change my prediction");
  drawAxis(v);
}

function render({ model, el }) {
  const v = newView(model, el);
  v.showState = () => showFailure(v);
  buildMessage(v);
  v.press = button("Keep my prediction", () => sendGuess(v), { class: "cp-main" });
  v.summary = make("p", { class: "cp-strong", role: "status" });
  const legend = make("legend", { class: "cp-strong" }, model.get("question"));
  v.set = make("fieldset", { class: "pr-question" }, legend, ...buildFields(v), make("div", { class: "pr-row" }, v.press));
  enable(v.press, false);
  v.field?.addEventListener("input", () => enable(v.press, Boolean(v.field.value.trim())));
  v.field?.addEventListener("keydown", (event) => event.key === "Enter" && v.field.tagName === "INPUT" && sendGuess(v));
  v.root = make("section", { class: "cp pr", "aria-label": "Prediction" }, buildHead(v, "Predict first"), v.set, v.message, v.summary);
  return openView(v, {
    message: () => showFailure(v), guessed: () => showGuess(v), measured: () => showGuess(v),
    summary: () => setText(v.summary, model.get("summary")),
  });
}

export default { render };
