/* The playground: one model writes one or several texts, and each token can be looked at.
 *
 * Text of prompts and models enters the page through text nodes only; nothing here parses it. The kernel sends
 *   {kind: "whole", run, samples}   everything written so far; replaces what is shown
 *   {kind: "steps", run, steps}     what came since; ignored when it belongs to another run
 *   {kind: "pong"}                  the answer to {kind: "ping"}
 * A step is [sample, text, probability, model probability, rank, entropy in bits, alternatives, place of the chosen one],
 * an alternative is [text, probability].
 */

import "#shared/panel.css";
import "#shared/generation_panel.css";
import "./playground.css";

import { send } from "#shared/connection.js";
import { button, enable, isEnabled, make } from "#shared/dom.js";
import { count, percent } from "#shared/format.js";
import { buildActions, buildAsked, buildPrompt, buildRoot, buildSettings, buildShare, newLiveView, openLive, readFields, showAsked, showLacks, showNumbers, showWorking, stopWriting, takeRunMessage } from "#shared/generation_panel.js";
import { buildModelChooser, showModels } from "#shared/models.js";
import { buildMessage, buildSwitches } from "#shared/panel.js";
import { ENDINGS, isWorking, stateLabels } from "#shared/states.js";
import { visible } from "#shared/text.js";
import { appendToken, buildAlternative, selectToken, watchTokens } from "#shared/token_grid.js";
import { RANK_CLASSES, tokenName } from "#shared/tokens.js";

const FIELDS = [
  ["max_new_tokens", "Max tokens", 10], ["temperature", "Temperature", 0.1], ["top_k", "Top-k", 10], ["top_p", "Top-p", 0.05],
  ["repetition_penalty", "Repetition penalty", 0.05], ["n_samples", "Samples", 1], ["seed", "Seed", 1],
];
const STATES = stateLabels({ generating: "Writing…" });
const MAX_SPANS = 2048;

/* ---- building ------------------------------------------------------------------------------------------------------ */

function buildTop(v) {
  const chooser = buildModelChooser(v, "cp-speaker", () => send(v, { kind: "choose", model: v.chooser.value }));
  return make("div", { class: "cp-head" }, chooser, buildSwitches(v));
}

function buildButtons(v) {
  v.generate = button("Generate", () => generate(v), { class: "cp-main" });
  v.stop = button("Stop", () => stopWriting(v));
  v.resume = button("Continue", () => resume(v));
  v.clear = button("Clear", () => send(v, { kind: "clear" }));
  return buildActions(v, v.generate, v.stop, v.resume, v.clear);
}

function buildOutput(v) {
  v.tokens = button("Tokens", () => toggleTokens(v), { class: "cp-quiet cp-tokens-switch", "aria-pressed": "false" });
  v.legend = make("p", { class: "cp-legend", hidden: true }, "Rank of each token in the model's own order: ");
  RANK_CLASSES.forEach(([, words], i) => v.legend.append(make("span", { class: `cp-token cp-bucket${i}` }, words), " "));
  v.grid = make("div", { class: "cp-grid", role: "log", "aria-live": "polite", "aria-label": "What the model wrote" });
  v.line = make("p", { class: "cp-line" });
  v.details = make("div", { class: "cp-details", "aria-live": "polite", hidden: true });
  const tools = make("div", { class: "cp-tools" }, v.tokens, buildShare(v));
  v.output = make("div", { class: "cp-output", hidden: true }, tools, v.legend, buildAsked(v), v.grid, v.line, v.details);
  watchTokens(v, "[data-step]", showDetails);
  return v.output;
}

/* ---- what the person does ------------------------------------------------------------------------------------------ */

function generate(v) {
  // The whole form travels with the wish: trait changes may still be waiting behind a busy kernel.
  send(v, { kind: "generate", prompt: v.prompt.value, values: readFields(v) });
}

function resume(v) {
  if (canResume(v)) send(v, { kind: "resume" });
}

/* ---- what the kernel says ------------------------------------------------------------------------------------------ */

const onMessage = (v, message) => takeRunMessage(v, message, { showWhole, takeStep, showTiming: showNumbers });

function showWhole(v, run, samples) {
  v.run = run;
  v.samples = samples.map((sample) => ({ ...sample, steps: [...sample.steps] }));
  redraw(v);
}

function takeStep(v, step) {
  const sample = v.samples[step[0]];
  if (!sample) return;
  sample.steps.push(step);
  appendStep(v, sample, sample.steps.length - 1);
  showFoot(v, sample);
}

/** Traits hold what is finished; a page that comes later, or whose kernel is gone, still has them. */
function showFinished(v) {
  const [samples, run] = [v.model.get("samples"), v.model.get("run")];
  if (isWorking(v) && v.run === run) return;
  const isShown = v.run === run && samples.every((sample, i) => v.samples[i]?.steps.length === sample.n_tokens);
  if (!isShown || v.samples.length !== samples.length) showWhole(v, run, samples);
  samples.forEach((sample, i) => (v.samples[i].ended = sample.ended));
}

const canResume = (v) => !isWorking(v) && v.samples.some((sample) => sample.ended !== "end of text");

function showState(v) {
  showWorking(v);
  enable(v.resume, canResume(v));
}

/* ---- the samples --------------------------------------------------------------------------------------------------- */

function redraw(v) {
  v.n_spans = 0;
  v.details.hidden = true;
  v.output.hidden = !v.samples.length;
  showAsked(v, v.samples[0]?.prompt);
  v.grid.style.setProperty("--columns", String(v.samples.length < 4 ? v.samples.length : Math.ceil(v.samples.length / 2)));
  v.grid.replaceChildren(...v.samples.map((sample, i) => buildCard(v, sample, i)));
  v.samples.forEach((sample) => {
    sample.steps.forEach((_, i) => appendStep(v, sample, i));
    if (!sample.steps.length) sample.body.append(visible(sample.text ?? ""));
    showFoot(v, sample);
  });
  showState(v);
}

function buildCard(v, sample, i) {
  const n = v.samples.length;
  const head = make("div", { class: "cp-cardhead" }, make("p", { class: "cp-label" }, n > 1 ? `${i + 1} · machine-written` : "Machine-written"));
  if (n > 1) {
    const pick = make("input", { type: "radio", name: `${v.id}-best`, onchange: () => send(v, { kind: "pick", sample: i }), checked: v.model.get("best") === i });
    pick.setAttribute("aria-label", `Sample ${i + 1} is the best`);
    head.append(make("label", { class: "cp-pick" }, pick, "Best"));
  }
  sample.body = make("div", { class: "cp-text" });
  if (v.showsTokens) {
    Object.entries({ role: "listbox", "aria-orientation": "horizontal", "aria-label": `Tokens of sample ${i + 1}` }).forEach((pair) => sample.body.setAttribute(...pair));
    sample.body.dataset.sample = String(i);
  }
  sample.foot = make("p", { class: "cp-foot" });
  return make("article", { class: "cp-card" }, head, sample.body, sample.foot);
}

function showFoot(v, sample) {
  const ending = isWorking(v) ? "" : ` · ${ENDINGS[sample.ended] ?? ""}`;
  sample.foot.textContent = `seed ${sample.seed} · ${sample.steps.length || sample.n_tokens || 0} tokens${ending}`;
}

function showBest(v) {
  v.grid.querySelectorAll("input[type=radio]").forEach((pick, i) => (pick.checked = v.model.get("best") === i));
}

/* ---- the token view ------------------------------------------------------------------------------------------------ */

function toggleTokens(v) {
  if (!isEnabled(v.tokens)) return;
  v.showsTokens = !v.showsTokens;
  v.tokens.setAttribute("aria-pressed", String(v.showsTokens));
  showLegend(v);
  redraw(v);
}

/** Tokens can be shown where there is something to tell of each; colours, where ranks are told. */
function showLegend(v) {
  const { ranks, alternatives } = v.model.get("lacks") ?? {};
  enable(v.tokens, !(ranks && alternatives));
  v.legend.hidden = !v.showsTokens || Boolean(ranks);
}

function appendStep(v, sample, i) {
  const [, whole, , , rank] = sample.steps[i];
  const text = i ? whole : whole.replace(/^ /, ""); // the space between prompt and text would only indent it
  if (!v.showsTokens || v.n_spans >= MAX_SPANS) {
    sample.body.append(visible(text));
    return;
  }
  v.n_spans += 1;
  appendToken(sample.body, { text, label: whole, rank, index: i, look: "cp-token cp-bucket", data: "step" });
}

function showDetails(v, token) {
  const sample = v.samples[Number(token.parentNode.dataset.sample)];
  const [, text, probability, own, rank, entropy, alternatives, place] = sample.steps[Number(token.dataset.step)];
  selectToken(v, token);
  const left = Math.max(0, 1 - alternatives.reduce((sum, [, p]) => sum + p, 0));
  const name = make("strong", { class: "cp-name" }, tokenName(text));
  const facts = [
    rank && `rank ${count(rank)}`,
    [own !== null && `${percent(own)} under the model`, probability !== null && `${percent(probability)} under these settings`].filter(Boolean).join(", "),
    entropy !== null && `entropy here ${entropy.toFixed(2)} bits`,
  ].filter(Boolean).join(" · ");
  const list = make("ol", { class: "cp-alternatives" }, ...alternatives.map(([word, p], i) => buildAlternative("cp", word, p, i === place, { bar: "bar", share: "share", chosen: "chosen" })));
  const rest = make("p", { class: "cp-hint" }, `These ${alternatives.length} hold ${percent(1 - left)} of the probability; all other tokens together ${percent(left)}.`);
  v.details.replaceChildren(make("p", {}, name, " ", facts), ...(alternatives.length ? [list, rest] : []));
  v.details.hidden = false;
}

/* ---- the way onto the page ----------------------------------------------------------------------------------------- */

function render({ model, el }) {
  const v = newLiveView(model, el, { formFields: FIELDS, labels: STATES, requestText: generate, onMessage, n_spans: 0, showsTokens: false });
  v.showState = () => showState(v);
  buildRoot(v, "Playground", buildTop(v), buildPrompt(v), buildSettings(v), buildButtons(v), buildMessage(v), buildOutput(v));
  return openLive(v, {
    state: () => (showFinished(v), showState(v), v.samples.forEach((sample) => showFoot(v, sample))), samples: () => showFinished(v),
    models: () => showModels(v), model: () => showModels(v), best: () => showBest(v), lacks: () => (showLacks(v), showLegend(v)),
    waiting: () => (showState(v), showModels(v)),
  });
}

export default { render };
