/* Side by side: several models continue one prompt, and a person ranks the texts.
 *
 * Text of prompts and models enters the page through text nodes only; nothing here parses it. The kernel sends
 *   {kind: "whole", run, samples, timing}   everything written so far; replaces what is shown
 *   {kind: "steps", run, steps, timing}     what came since; ignored when it belongs to another run
 * A step is [column, text]; timing.paces holds the tokens a second of each column. A column of the trait `columns` has a
 * letter, and a name and the rest only when the reader may know them.
 */

import "#shared/panel.css";
import "#shared/share_vote.css";
import "#shared/generation_panel.css";
import "./side_by_side.css";

import { buildVoteSharing } from "#shared/share_vote.js";
import { send, setTrait } from "#shared/connection.js";
import { button, enable, make } from "#shared/dom.js";
import { count, megabytes } from "#shared/format.js";
import { buildActions, buildAsked, buildPrompt, buildRoot, buildSettings, buildShare, newLiveView, openLive, readFields, showAsked, showNumbers, showWorking, stopWriting, takeRunMessage } from "#shared/generation_panel.js";
import { buildMessage, buildSwitches } from "#shared/panel.js";
import { ENDINGS, isWorking, stateLabels } from "#shared/states.js";
import { visible } from "#shared/text.js";

const FIELDS = [
  ["max_new_tokens", "Max tokens", 10], ["temperature", "Temperature", 0.1], ["top_k", "Top-k", 10], ["top_p", "Top-p", 0.05],
  ["repetition_penalty", "Repetition penalty", 0.05], ["seed", "Seed", 1],
];
const STATES = stateLabels({ loading: "Loading the models…", generating: "Writing…" });
const PLACES = ["1st", "2nd", "3rd", "4th"];
const MAX_MODELS = 4;

/* ---- building ------------------------------------------------------------------------------------------------------ */

function buildTop(v) {
  v.chooser = make("fieldset", { class: "cs-models" }, make("legend", {}, `Models, up to ${MAX_MODELS}`));
  return make("div", { class: "cp-head" }, v.chooser, buildSwitches(v));
}

function buildButtons(v) {
  v.generate = button("Generate", () => generate(v), { class: "cp-main" });
  v.stop = button("Stop", () => stopWriting(v));
  v.clear = button("Clear", () => send(v, { kind: "clear" }));
  v.blind = make("input", { type: "checkbox", onchange: () => setTrait(v, "blind", v.blind.checked) });
  const blind = make("label", { class: "cs-check" }, v.blind, "Blind: hide the names until I have ranked the texts");
  return buildActions(v, v.generate, v.stop, v.clear, blind);
}

function buildOutput(v) {
  // Not a live region: four texts growing at once would be read out in scraps. The state says when they are done.
  v.grid = make("div", { class: "cp-grid cs-grid" });
  v.record = button("Record my ranking, show the names", () => rank(v), { class: "cp-main" });
  v.ranked = make("span", { class: "cp-hint", role: "status" });
  v.ranking = make("div", { class: "cs-ranking", hidden: true }, v.record, v.ranked);
  v.line = make("p", { class: "cp-line" });
  const tools = make("div", { class: "cp-tools" }, buildAsked(v), buildShare(v));
  v.output = make("div", { class: "cp-output", hidden: true }, tools, v.grid, v.ranking, v.line);
  v.grid.addEventListener("keydown", (event) => onPlaceKey(v, event));
  return v.output;
}

function buildStanding(v) {
  return (v.standing = make("p", { class: "cs-standing", hidden: true }));
}

/* ---- what the person does ------------------------------------------------------------------------------------------ */

function generate(v) {
  send(v, { kind: "generate", prompt: v.prompt.value, values: readFields(v), blind: v.blind.checked });
}

function chooseModels(v) {
  const boxes = [...v.chooser.querySelectorAll("input")];
  const names = boxes.filter((box) => box.checked).map((box) => box.value);
  if (names.length) send(v, { kind: "choose", models: names });
  showModels(v, names);
}

const canRank = (v) =>
  isHidden(v) && ["done", "stopped"].includes(v.model.get("state")) && v.samples.length > 0 &&
  v.samples.every((sample) => sample.text || sample.ended === "end of text");
const isRanked = (v) => v.places.length > 0 && v.places.every((given) => given !== null);

/** Give a column a place; a column that had it takes the other's place in exchange. */
function place(v, column, chosen) {
  const holder = chosen === null ? -1 : v.places.indexOf(chosen);
  if (holder >= 0) v.places[holder] = v.places[column];
  v.places[column] = chosen;
  showPlaces(v);
  send(v, { kind: "places", run: v.run, places: v.places });
  const n = v.places.filter((each) => each !== null).length;
  const last = chosen === null ? "" : `Text ${letterOf(v, column)} is ${PLACES[chosen]}. `;
  v.ranked.textContent = `${last}${n} of ${v.places.length} ranked.`;
}

/** A number typed anywhere inside a column gives that column its place. */
function onPlaceKey(v, event) {
  const card = event.target.closest?.("[data-column]");
  const chosen = Number(event.key) - 1;
  if (!card || !canRank(v) || event.ctrlKey || event.altKey || event.metaKey || !(chosen in v.samples)) return;
  event.preventDefault();
  place(v, Number(card.dataset.column), chosen);
}

function rank(v) {
  if (!canRank(v) || !isRanked(v)) return;
  const order = v.places.map((chosen, column) => [chosen, letterOf(v, column)]).sort(([a], [b]) => a - b);
  send(v, { kind: "rank", order: order.map(([, letter]) => letter) });
}

/* ---- what the kernel says ------------------------------------------------------------------------------------------ */

const isHidden = (v) => v.model.get("columns").some((column) => !("name" in column));
const letterOf = (v, column) => v.model.get("columns")[column]?.letter ?? "";

const onMessage = (v, message) => takeRunMessage(v, message, { showWhole, takeStep, showTiming });

function showWhole(v, run, samples) {
  v.run = run;
  v.samples = samples.map((sample) => ({ ...sample }));
  const kept = v.model.get("places"); // given before this page was reloaded
  v.places = run === v.model.get("run") && kept.length === samples.length ? [...kept] : samples.map(() => null);
  redraw(v);
}

function takeStep(v, [column, text]) {
  const sample = v.samples[column];
  if (!sample) return;
  sample.text += text;
  sample.n_tokens += 1;
  sample.body.append(visible(sample.n_tokens === 1 ? text.replace(/^ /, "") : text));
}

/** Traits hold what is finished; a page that comes later, or whose kernel is gone, still has them. */
function showFinished(v) {
  const [samples, run] = [v.model.get("samples"), v.model.get("run")];
  if (isWorking(v) && v.run === run) return;
  const isShown = v.run === run && v.samples.length === samples.length && samples.every((sample, i) => v.samples[i].text === sample.text);
  if (!isShown) showWhole(v, run, samples);
  samples.forEach((sample, i) => (v.samples[i].ended = sample.ended));
  showTiming(v);
}

function showState(v) {
  showWorking(v);
  v.ranking.hidden = !canRank(v);
  v.grid.querySelectorAll(".cs-place").forEach((choice) => (choice.hidden = !canRank(v)));
  v.grid.querySelectorAll("article").forEach((card) => (card.tabIndex = canRank(v) ? 0 : -1));
  enable(v.record, isRanked(v));
  v.copy.parentNode.hidden = isHidden(v) || isWorking(v);
  if (canRank(v) && !v.places.some((each) => each !== null)) v.ranked.textContent = HOW_TO_RANK;
}

const HOW_TO_RANK = "Give every text a place: by the boxes, or by typing 1 to 4 inside a column.";

function showModels(v, chosen = v.model.get("chosen")) {
  const focused = v.chooser.contains(document.activeElement) ? document.activeElement.value : null;
  const boxes = v.model.get("models").map(({ name, about }) => buildModel(v, name, about, chosen));
  v.chooser.replaceChildren(v.chooser.firstChild, ...boxes);
  if (!boxes.length) v.chooser.append("no model on this machine");
  v.chooser.querySelectorAll("input").forEach((box) => box.value === focused && box.focus());
}

function buildModel(v, name, about, chosen) {
  const box = make("input", { type: "checkbox", value: name, checked: chosen.includes(name), onchange: () => chooseModels(v) });
  box.disabled = !box.checked && chosen.length >= MAX_MODELS;
  return make("label", { class: "cs-check", title: about }, box, name);
}

/* ---- the columns --------------------------------------------------------------------------------------------------- */

function redraw(v) {
  v.output.hidden = !v.samples.length;
  showAsked(v, v.samples[0]?.prompt);
  v.grid.style.setProperty("--columns", String(v.samples.length));
  v.grid.replaceChildren(...v.samples.map((sample, i) => buildCard(v, sample, i)));
  v.samples.forEach((sample) => sample.body.append(visible(sample.text.replace(/^ /, ""))));
  showColumns(v);
  showPlaces(v);
}

function buildCard(v, sample, i) {
  sample.title = make("p", { class: "cp-label" });
  sample.choice = buildPlace(v, i);
  sample.facts = make("p", { class: "cp-foot" });
  sample.body = make("div", { class: "cp-text" });
  sample.foot = make("p", { class: "cp-foot" });
  sample.placed = make("strong", { class: "cs-placed" });
  const head = make("div", { class: "cp-cardhead" }, sample.title, sample.choice, sample.placed);
  const card = make("article", { class: "cp-card" }, head, sample.facts, sample.body, sample.foot);
  card.dataset.column = String(i);
  return card;
}

function buildPlace(v, column) {
  const choice = make("select", { class: "cs-place", hidden: true }, make("option", { value: "" }, "place…"));
  v.samples.forEach((_, i) => choice.append(make("option", { value: String(i) }, PLACES[i])));
  choice.addEventListener("change", () => place(v, column, choice.value === "" ? null : Number(choice.value)));
  return choice;
}

function showPlaces(v) {
  v.samples.forEach((sample, i) => (sample.choice.value = v.places[i] === null ? "" : String(v.places[i])));
  enable(v.record, isRanked(v));
}

/** Names, sizes and places; or letters alone. */
function showColumns(v) {
  v.model.get("columns").forEach((column, i) => {
    const sample = v.samples[i];
    if (!sample) return;
    const title = column.name ?? `Text ${column.letter}`;
    sample.title.textContent = `${title} · machine-written`;
    sample.choice.setAttribute("aria-label", `Place of text ${column.letter}`);
    sample.choice.closest("article").setAttribute("aria-label", title);
    sample.placed.textContent = column.place ? `You: ${PLACES[column.place - 1]}` : "";
    sample.facts.textContent = column.name ? factsOf(column) : "";
    sample.facts.hidden = !column.name;
  });
  showTiming(v);
  showState(v);
}

function factsOf(column) {
  const facts = [`${count(column.n_parameters)} parameters`, ...(column.file_mb ? [`file ${megabytes(column.file_mb)}`] : [])];
  return [...facts, ...(column.released ? [column.released] : [])].join(" · ");
}

function showTiming(v, timing = v.model.get("timing")) {
  showNumbers(v, isHidden(v) ? { n_tokens: timing?.n_tokens } : { n_tokens: timing?.n_tokens, first_s: timing?.first_s });
  v.samples.forEach((sample, i) => {
    const pace = timing?.paces?.[i] ? ` · ${timing.paces[i].toFixed(0)} tokens/s` : "";
    const ending = isWorking(v) || !ENDINGS[sample.ended] ? "" : ` · ${ENDINGS[sample.ended]}`;
    sample.foot.textContent = `seed ${sample.seed} · ${sample.n_tokens} tokens${pace}${ending}`;
  });
}

function showStanding(v) {
  v.standing.textContent = v.model.get("standing");
  v.standing.hidden = !v.standing.textContent;
}

/* ---- the way onto the page ----------------------------------------------------------------------------------------- */

function render({ model, el }) {
  const v = newLiveView(model, el, { formFields: FIELDS, labels: STATES, requestText: generate, onMessage, places: [] });
  v.showState = () => showState(v);
  buildRoot(v, "Side by side", buildTop(v), buildPrompt(v), buildSettings(v), buildButtons(v), buildMessage(v), buildOutput(v), buildStanding(v), buildVoteSharing(v));
  return openLive(v, {
    state: () => (showFinished(v), showState(v)), samples: () => (showFinished(v), showState(v)), timing: () => showTiming(v),
    models: () => showModels(v), chosen: () => showModels(v), columns: () => showColumns(v), standing: () => showStanding(v),
    blind: () => (v.blind.checked = v.model.get("blind")),
  });
}

export default { render };
