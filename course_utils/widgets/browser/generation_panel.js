/* Panels that let models write: prompt, form, buttons, and the watch over a request.
 *
 * A panel makes its view with newLiveView and gives it
 *   formFields            [name, label, step] of each number in its form
 *   labels                the words of each state
 *   requestText(v)        sends the request to write
 *   onMessage(v, message) takes what the kernel sends
 *   showState             calls showWorking, and then enables what else depends on the state
 */

import { isRead, send, sendTyped, setTrait, stateWords } from "#shared/connection.js";
import { button, enable, isEnabled, make, numberField, saveFile, showNumber } from "#shared/dom.js";
import { copy, newView, openView, showMessage } from "#shared/panel.js";
import { isWorking } from "#shared/states.js";
import { visible } from "#shared/text.js";

/* ---- building ---------------------------------------------------------------------------------------------------- */

export function buildPrompt(v) {
  v.gallery = make("select", { id: `${v.id}-gallery`, onchange: () => takeFromGallery(v) }, make("option", { value: "" }, "Choose…"));
  v.model.get("gallery").forEach((entry, i) => v.gallery.append(make("option", { value: String(i) }, entry.title)));
  v.prompt = make("textarea", { id: `${v.id}-prompt`, rows: 4, spellcheck: false, "aria-describedby": `${v.id}-keys` });
  v.prompt.addEventListener("change", () => setTrait(v, "prompt", v.prompt.value));
  const gallery = make("div", { class: "cp-gallery" }, make("label", { for: v.gallery.id }, "From the gallery"), v.gallery);
  const top = make("div", { class: "cp-row" }, make("label", { for: v.prompt.id, class: "cp-strong" }, "Prompt"), gallery);
  const keys = make("p", { id: `${v.id}-keys`, class: "cp-hint" }, "Ctrl + Enter writes on from here, Escape stops.");
  return make("div", { class: "cp-ask" }, top, v.prompt, keys);
}

function buildField(v, [name, label, step]) {
  const [lowest, highest, , meaning] = v.model.get("ranges")[name];
  const id = `${v.id}-${name}`;
  const input = numberField({ id, title: `${meaning}; ${lowest} to ${highest}` }, step);
  input.setAttribute("aria-describedby", `${id}-meaning ${id}-problem`);
  input.addEventListener("input", () => sendTyped(v, readFields(v), showValues));
  input.addEventListener("blur", () => showValues(v));
  const problem = make("p", { id: `${id}-problem`, class: "cp-problem" });
  const hidden = make("span", { id: `${id}-meaning`, class: "cp-unseen" }, `${meaning}; ${lowest} to ${highest}`);
  v.fields[name] = { input, problem };
  const controls = make("div", { class: "cp-control" }, input);
  if (name === "seed") controls.append((v.newSeed = button("New seed", () => isEnabled(v.newSeed) && newSeed(v))));
  return make("div", { class: `cp-field cp-${name}` }, make("label", { for: id }, label), controls, hidden, problem);
}

export function buildSettings(v) {
  const settings = make("fieldset", { class: "cp-settings" }, make("legend", {}, "How to draw the next token"));
  v.formFields.forEach((field) => settings.append(buildField(v, field)));
  v.lacks = make("p", { id: `${v.id}-lacks`, class: "cp-hint cp-lacks", hidden: true });
  settings.append(v.lacks);
  return settings;
}

/** The buttons, and beside them what is going on. */
export function buildActions(v, ...buttons) {
  v.state = make("span", { class: "cp-state", role: "status" });
  v.numbers = make("span", { class: "cp-numbers" });
  const progress = make("p", { class: "cp-progress" }, v.state, v.numbers);
  return make("div", { class: "cp-actions" }, make("div", { class: "cp-buttons" }, ...buttons), progress);
}

export function buildAsked(v) {
  v.asked = make("p", { class: "cp-asked cp-text" });
  return make("div", { class: "cp-person" }, make("p", { class: "cp-label" }, "Prompt · written by a person"), v.asked);
}

export function buildShare(v) {
  v.copy = button("Copy transcript", () => copy(v, v.model.get("transcript")), { class: "cp-quiet" });
  v.download = button("Download", () => download(v), { class: "cp-quiet", "aria-label": "Download transcript" });
  return make("div", { class: "cp-share-out" }, v.copy, v.download);
}

/* ---- what the person does ---------------------------------------------------------------------------------------- */

/** The fields as they were typed. */
export const readFields = (v) => Object.fromEntries(v.formFields.map(([name]) => [name, v.fields[name].input.value]));

export function stopWriting(v) {
  if (isWorking(v)) send(v, { kind: "stop" });
}

function newSeed(v) {
  v.fields.seed.input.value = String(Math.floor(Math.random() * 1_000_000));
  sendTyped(v, readFields(v), showValues);
}

function takeFromGallery(v) {
  const entry = v.model.get("gallery")[Number(v.gallery.value)];
  if (v.gallery.value === "" || !entry) return;
  v.prompt.value = entry.prompt;
  v.gallery.value = "";
  setTrait(v, "prompt", entry.prompt);
  v.prompt.focus();
}

function onKey(v, event) {
  if (event.key === "Escape") stopWriting(v);
  else if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) v.requestText(v);
  else return;
  event.preventDefault();
  event.stopPropagation();
}

const download = (v) => saveFile("machine-generated-transcript.md", v.model.get("transcript"), "text/markdown");

/* ---- what the kernel says ---------------------------------------------------------------------------------------- */

export function showWorking(v) {
  const state = v.model.get("state");
  v.root.dataset.state = state;
  v.state.textContent = stateWords(v, v.labels[state], isWorking(v));
  showMessage(v, isWorking(v));
  v.grid.setAttribute("aria-busy", String(isWorking(v)));
  enable(v.stop, isWorking(v));
}

export function showAsked(v, prompt) {
  v.asked.textContent = visible(prompt ?? "") || "(empty: the model starts a text of its own)";
}

export function showNumbers(v, timing = v.model.get("timing")) {
  const parts = [];
  if (timing?.n_tokens) parts.push(`${timing.n_tokens} token${timing.n_tokens === 1 ? "" : "s"}`);
  if (timing?.first_s != null) parts.push(`first token after ${timing.first_s.toFixed(2)} s`);
  if (timing?.per_s != null) parts.push(`${timing.per_s.toFixed(1)} tokens/s`);
  v.numbers.textContent = parts.join(" · ");
}

function showValues(v) {
  const values = v.model.get("values");
  if (isRead(v)) for (const [name] of v.formFields) showNumber(v.fields[name].input, values[name]);
}

function showProblems(v) {
  const problems = v.model.get("problems");
  for (const [name] of v.formFields) {
    v.fields[name].problem.textContent = problems[name] ?? "";
    v.fields[name].input.setAttribute("aria-invalid", String(name in problems));
  }
}

/** Grey out what the model that speaks cannot do, and name it. */
export function showLacks(v) {
  const { words = "", settings = [] } = v.model.get("lacks") ?? {};
  v.lacks.textContent = words;
  v.lacks.hidden = !words;
  for (const [name] of v.formFields) {
    const { input } = v.fields[name];
    enable(input, !settings.includes(name));
    input.readOnly = settings.includes(name);
    input.setAttribute("aria-describedby", `${input.id}-meaning ${input.id}-problem${input.readOnly ? ` ${v.lacks.id}` : ""}`);
  }
  if (v.newSeed) enable(v.newSeed, !settings.includes("seed"));
}

/* ---- what the panels' runs have in common ----------------------------------------------------------------------------- */

/**
 * Take a message of the kernel about a run of the model:
 *   {kind: "whole", run, samples, timing}   everything written so far; replaces what is shown
 *   {kind: "steps", run, steps, timing}     what came since; ignored when it belongs to another run
 */
export function takeRunMessage(v, message, { showWhole, takeStep, showTiming }) {
  if (message.kind === "whole" && message.run >= v.run) showWhole(v, message.run, message.samples);
  if (message.kind === "steps" && message.run === v.run) message.steps.forEach((step) => takeStep(v, step));
  if (message.run === v.run) showTiming(v, message.timing);
}

/* ---- the way onto the page ----------------------------------------------------------------------------------------- */

export const newLiveView = (model, el, more) => newView(model, el, { fields: {}, samples: [], run: -1, ...more });

/** Build the panel's element; its view knows how to write and what its states are. */
export function buildRoot(v, name, ...parts) {
  v.root = make("section", { class: "cp", "aria-label": name }, ...parts);
  v.root.addEventListener("keydown", (event) => onKey(v, event));
}

export function openLive(v, shows) {
  v.model.on("msg:custom", (message) => v.onMessage(v, message));
  const all = {
    message: v.showState, values: () => showValues(v), problems: () => showProblems(v), timing: () => showNumbers(v),
    line: () => (v.line.textContent = v.model.get("line")), prompt: () => (v.prompt.value = v.model.get("prompt")),
    lacks: () => showLacks(v), ...shows,
  };
  const close = openView(v, all);
  send(v, { kind: "ready" });
  return close;
}
