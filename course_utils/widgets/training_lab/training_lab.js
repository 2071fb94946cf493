/* The training lab: a small GPT-2 learns while one looks on. This module draws the traits that the kernel sets:
 *   progress {step, n_steps, tokens, tokens_per_s, eta_s}
 *   curve    [[tokens, bits per character of the text read, the same of text kept apart or null], …]
 *   said     [{share, tokens, prompt, text}, …]
 */

import "#shared/panel.css";
import "./training_lab.css";

import { isRead, send, sendTyped, stateWords } from "#shared/connection.js";
import { button, draw, enable, make, numberField, setText, showNumber } from "#shared/dom.js";
import { count, duration } from "#shared/format.js";
import { buildHead, buildMessage, newView, openView, showMessage } from "#shared/panel.js";
import { isWorking, stateLabels } from "#shared/states.js";
import { visible } from "#shared/text.js";

const STATES = stateLabels({ preparing: "Preparing the text…", training: "Learning…" });
const MOMENTS = [0.01, 0.03, 0.1, 0.3, 1];
const LARGEST_FILE = 5_000_000; // bytes; a message to the kernel may have ten million
const FIRST_TICK = 10_000;

const isUnfinished = (v) => v.model.get("progress").step > 0 && v.model.get("progress").step < v.model.get("progress").n_steps;
const canGoOn = (v) => !isWorking(v) && isUnfinished(v);

/** Tokens as an axis has room for them. */
const short = (n) => (n >= 1e6 ? `${n / 1e6} M` : n >= 1e3 ? `${n / 1e3} k` : String(n));

/* ---- building ------------------------------------------------------------------------------------------------------ */

function buildField(v, name, label, input, ...more) {
  input.id = `${v.id}-${name}`;
  input.addEventListener("change", () => sendTyped(v, readPlan(v), showPlan));
  v.fields[name] = input;
  return make("div", { class: `tl-field tl-${name}` }, make("label", { for: input.id }, label), input, ...more);
}

function buildPlan(v) {
  const options = (trait) => v.model.get(trait).map(({ name, about }) => make("option", { value: name }, about));
  v.file = make("input", { type: "file", accept: ".txt,.md,text/plain", "aria-label": "A text file of mine", onchange: () => sendFile(v) });
  const source = buildField(v, "source", "Text", make("select", {}, ...options("sources")), v.file);
  const amounts = v.model.get("amounts").map((n) => make("option", { value: String(n) }));
  const [lowest, highest] = v.model.get("limits").seed;
  const fieldset = make("fieldset", { class: "tl-plan" }, make("legend", {}, "What it learns from, and how long"), source);
  fieldset.append(buildField(v, "size", "Size", make("select", {}, ...options("sizes"))));
  fieldset.append(buildField(v, "n_tokens", "Tokens to read", make("select", {}, ...amounts)));
  fieldset.append(buildField(v, "seed", "Seed", numberField({ title: `${lowest} to ${highest}` })));
  v.fields.seed.addEventListener("blur", () => showPlan(v));
  v.seedProblem = make("p", { class: "cp-problem" });
  v.fields.seed.after(v.seedProblem);
  fieldset.append(buildField(v, "prompt", "Prompt that it continues on its way", make("input", { type: "text" })));
  return fieldset;
}

function buildActions(v) {
  v.start = button("Start", () => send(v, { kind: "start", plan: readPlan(v) }), { class: "cp-main" });
  v.stop = button("Stop", () => isWorking(v) && send(v, { kind: "stop" }));
  v.goOn = button("Go on", () => canGoOn(v) && send(v, { kind: "go_on" }));
  v.state = make("span", { class: "cp-state", role: "status" });
  v.numbers = make("span", { class: "cp-numbers" });
  const words = make("p", { class: "cp-progress" }, v.state, v.numbers);
  v.bar = make("progress", { class: "tl-bar", max: 1, "aria-label": "Share of the training" });
  return make("div", { class: "tl-actions" }, make("div", { class: "cp-buttons" }, v.start, v.stop, v.goOn), words, v.bar);
}

function buildCurve(v) {
  v.summary = make("p", { class: "tl-summary", "aria-live": "polite" });
  v.svg = draw("svg", { class: "tl-svg", role: "img", "aria-label": "The learning curve; the table below has its numbers" });
  const legend = make("p", { class: "cp-hint" }, make("span", { class: "tl-key tl-key-held" }), "text kept apart ");
  legend.append(make("span", { class: "tl-key" }), "text it is reading · bits per character, lower is better");
  v.rows = make("tbody");
  const heads = ["Tokens read", "Text kept apart", "Text it was reading"].map((head) => make("th", { scope: "col" }, head));
  const table = make("table", {}, make("caption", { class: "cp-unseen" }, "Bits per character"), make("thead", {}, make("tr", {}, ...heads)), v.rows);
  const details = make("details", {}, make("summary", {}, "The curve as a table"), make("div", { class: "tl-scroll", tabindex: "0", role: "region", "aria-label": "Numbers of the curve" }, table));
  return make("figure", { class: "tl-curve" }, legend, v.svg, v.summary, details);
}

function build(v) {
  buildMessage(v);
  v.label = make("p", { class: "cp-line" });
  v.said = make("ol", { class: "tl-said", "aria-label": "What it said on its way" });
  v.shown = make("div", { class: "tl-shown", hidden: true }, v.label, buildCurve(v), v.said);
  const head = buildHead(v, "Train a small GPT-2");
  v.root = make("section", { class: "cp tl", "aria-label": "Training lab" }, head, buildPlan(v), buildActions(v), v.message, v.shown);
}

/* ---- what the person does ------------------------------------------------------------------------------------------ */

function readPlan(v) {
  const { source, size, n_tokens, seed, prompt } = v.fields;
  return { ...v.model.get("plan"), source: source.value, size: size.value, n_tokens: Number(n_tokens.value), seed: seed.value, prompt: prompt.value };
}

async function sendFile(v) {
  const [file] = v.file.files;
  if (!file) return;
  v.fileProblem = file.size > LARGEST_FILE ? `${file.name} has ${(file.size / 1e6).toFixed(1)} MB.\nExpected: At most ${LARGEST_FILE / 1e6} MB.\nNext: Take a part of it, or name its folder: TrainingLab("folder").` : "";
  v.showState();
  if (!v.fileProblem) send(v, { kind: "file", name: file.name }, [await file.arrayBuffer()]);
}

/* ---- what the kernel says ------------------------------------------------------------------------------------------ */

function showState(v) {
  const state = v.model.get("state");
  v.root.dataset.state = v.fileProblem ? "failed" : state;
  v.state.textContent = stateWords(v, STATES[state]);
  if (v.fileProblem && !v.isLost) Object.assign(v.message, { textContent: visible(v.fileProblem), hidden: false });
  else showMessage(v, isWorking(v));
  enable(v.stop, isWorking(v));
  enable(v.goOn, canGoOn(v));
}

function showPlan(v) {
  const plan = v.model.get("plan");
  if (!isRead(v)) return;
  for (const [name, input] of Object.entries(v.fields)) {
    if (input === v.fields.seed) showNumber(input, plan[name]);
    else if (plan[name] != null) input.value = String(plan[name]);
  }
  v.file.hidden = plan.source !== "own";
  showMinutes(v);
}

function showProblems(v) {
  const { seed = "" } = v.model.get("problems");
  v.seedProblem.textContent = seed;
  v.fields.seed.setAttribute("aria-invalid", String(Boolean(seed)));
}

/** Beside each amount stands how long it takes: by the speed measured here, else by a guess that is called one. */
function showMinutes(v) {
  const size = v.model.get("sizes").find(({ name }) => name === v.fields.size.value);
  if (!size) return;
  for (const option of v.fields.n_tokens.options) {
    const time = duration(Number(option.value) / size.tokens_per_s);
    option.textContent = `${count(option.value)} · about ${time}${size.is_measured ? "" : " (a guess)"}`;
  }
}

function showProgress(v) {
  const { step, n_steps, tokens, tokens_per_s, eta_s } = v.model.get("progress");
  v.bar.value = n_steps ? step / n_steps : 0;
  const parts = step ? [`step ${count(step)} of ${count(n_steps)}`, `${count(tokens)} tokens`] : [];
  if (tokens_per_s) parts.push(`${count(tokens_per_s)} tokens/s`, step < n_steps ? `${duration(eta_s)} left` : "");
  v.numbers.textContent = parts.filter(Boolean).join(" · ");
  showState(v);
}

function showSaid(v) {
  const said = v.model.get("said");
  // In a very short training the first moments fall together: only the last of them is told.
  const moments = MOMENTS.filter((share) => !said.length || share >= said[0].share);
  const cards = moments.map((share) => buildSaid(share, said.find((each) => each.share === share)));
  v.said.replaceChildren(...cards);
}

function buildSaid(share, said) {
  const when = `${Math.round(100 * share)} % of the training`;
  if (!said) return make("li", { class: "tl-later" }, make("p", { class: "cp-label" }, `${when}: still to come`));
  const text = make("p", { class: "cp-text" }, make("em", {}, visible(said.prompt)), visible(said.text));
  return make("li", {}, make("p", { class: "cp-label" }, `${when} · ${count(said.tokens)} tokens · machine-written`), text);
}

/* ---- the curve ----------------------------------------------------------------------------------------------------- */

function showCurve(v) {
  const curve = v.model.get("curve");
  v.shown.hidden = !curve.length;
  const held = curve.filter(([, , bits]) => bits !== null);
  v.rows.replaceChildren(...held.map(([tokens, bits, kept]) => make("tr", {}, ...[count(tokens), kept.toFixed(3), bits.toFixed(3)].map((cell) => make("td", {}, cell)))));
  showSummary(v, held);
  drawCurve(v, curve, held);
}

/** One sentence, new only when the text kept apart was read again: a screen reader should not be talked over. */
function showSummary(v, held) {
  if (!held.length) return (v.summary.textContent = "");
  const [first, last, best] = [held[0], held.at(-1), held.reduce((one, other) => (other[2] < one[2] ? other : one))];
  const worse = best[2] < last[2] - 0.02 ? ` The best was ${best[2].toFixed(2)}, after ${count(best[0])}: since then it learns by heart.` : "";
  const words = `After ${count(last[0])} tokens: ${last[2].toFixed(2)} bits per character on text kept apart; at first ${first[2].toFixed(2)}.${worse}`;
  setText(v.summary, words);
}

function drawCurve(v, curve, held) {
  const width = v.svg.clientWidth || 600;
  const height = Math.min(300, Math.max(200, width / 2.6));
  v.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  v.svg.style.height = `${height}px`;
  if (!curve.length) return v.svg.replaceChildren();
  const end = Math.max(curve[0][0] * 2, (v.model.get("progress").n_steps ?? 0) * (curve.at(-1)[0] / v.model.get("progress").step || 0), curve.at(-1)[0]);
  const all = curve.flatMap(([, bits, kept]) => (kept === null ? [bits] : [bits, kept]));
  const [low, high] = [Math.floor(2 * Math.min(...all)) / 2, Math.ceil(2 * Math.max(...all)) / 2];
  const frame = { left: 34, right: width - 12, top: 22, bottom: height - 40 };
  const x = (tokens) => frame.left + ((frame.right - frame.left) * Math.log(tokens / curve[0][0])) / Math.log(end / curve[0][0]);
  const y = (bits) => frame.top + ((frame.bottom - frame.top) * (high - bits)) / (high - low || 1);
  const path = (points) => points.map(([tokens, bits], i) => `${i ? "L" : "M"}${x(tokens).toFixed(1)} ${y(bits).toFixed(1)}`).join("");
  const dots = held.map(([tokens, , bits]) => draw("circle", { class: "tl-dot", cx: x(tokens), cy: y(bits), r: 3.5 }));
  const kept = draw("path", { class: "tl-line tl-held", d: path(held.map(([tokens, , bits]) => [tokens, bits])) });
  v.svg.replaceChildren(...axes(frame, x, y, low, high, end), draw("path", { class: "tl-line", d: path(curve) }), kept, ...dots);
}

function axes(frame, x, y, low, high, end) {
  const word = (text, at, more = {}) => draw("text", { x: at[0], y: at[1], "text-anchor": "middle", ...more }, text);
  const marks = [];
  for (let bits = low; bits <= high; bits += high - low > 3 ? 1 : 0.5) {
    marks.push(draw("path", { class: "tl-grid", d: `M${frame.left} ${y(bits)}H${frame.right}` }), word(String(bits), [frame.left - 8, y(bits) + 4], { "text-anchor": "end" }));
  }
  for (let tokens = FIRST_TICK; tokens <= end; tokens *= 10) {
    if (x(tokens) >= frame.left) marks.push(word(short(tokens), [x(tokens), frame.bottom + 16]));
  }
  for (const share of MOMENTS.filter((each) => x(each * end) >= frame.left)) {
    const at = x(share * end);
    marks.push(draw("path", { class: "tl-moment", d: `M${at} ${frame.top}V${frame.bottom}` }), word(`${Math.round(100 * share)} %`, [Math.min(at, frame.right - 12), frame.top - 8]));
  }
  return [...marks, word("tokens read, on a logarithmic axis", [(frame.left + frame.right) / 2, frame.bottom + 34])];
}

/* ---- the way onto the page ----------------------------------------------------------------------------------------- */

function render({ model, el }) {
  const v = Object.assign(newView(model, el), { fields: {}, fileProblem: "" });
  v.showState = () => showState(v);
  build(v);
  const shows = {
    state: () => showState(v), message: () => showState(v), plan: () => showPlan(v), sizes: () => showMinutes(v), problems: () => showProblems(v),
    label: () => (v.label.textContent = v.model.get("label")), progress: () => showProgress(v), curve: () => showCurve(v), said: () => showSaid(v),
  };
  const leave = openView(v, shows);
  v.fields.source.addEventListener("change", () => (v.fileProblem = ""));
  const size = new ResizeObserver(() => showCurve(v));
  size.observe(v.svg);
  return () => (size.disconnect(), leave());
}

export default { render };
