/* The detector bench: how well detectors tell a machine's texts from a person's. This module draws the traits that the kernel sets:
 *   values     {generator, reader, kinds, n_pairs, n_words, temperature, top_k, top_p, seed}
 *   rows       [{detector, auc, caught}, …] of the last run, in words
 *   runs       [{generator, sampling, n_words, n_test, n_left_out, reader, words, likelihood, ranks}, …] of all runs
 *   judgement  {n_words, n_typed, rows: [{detector, score, n_human, n_machine, human, machine, worth}, …]}
 */

import "#shared/panel.css";
import "#shared/share_vote.css";
import "./detector_bench.css";

import { buildVoteSharing } from "#shared/share_vote.js";
import { isRead, send, sendTyped, stateWords } from "#shared/connection.js";
import { button, draw, enable, make, numberField, setText, showNumber } from "#shared/dom.js";
import { capital, duration } from "#shared/format.js";
import { buildHead, buildMessage, newView, openView, showMessage } from "#shared/panel.js";
import { isWorking, stateLabels } from "#shared/states.js";

const STATES = stateLabels({ working: "At work…" });
const NUMBERS = [
  ["temperature", "Temperature", 0.1], ["top_k", "Top-k", 10], ["top_p", "Top-p", 0.05], ["n_pairs", "Headlines", 20], ["n_words", "Words a text", 10], ["seed", "Seed", 1],
];
const PRESETS = [
  ["top-k 40", { temperature: 1, top_k: 40, top_p: 1 }], ["pure sampling", { temperature: 1, top_k: 0, top_p: 1 }],
  ["nucleus, p = 0.9", { temperature: 1, top_k: 0, top_p: 0.9 }], ["nucleus, p = 0.96", { temperature: 1, top_k: 0, top_p: 0.96 }],
  ["temperature 0.7", { temperature: 0.7, top_k: 0, top_p: 1 }],
];
const OWN = "by the fields";
const KINDS = [["words", "Word counts"], ["likelihood", "Likelihood"], ["ranks", "Ranks"]];
const ITSELF = "the generator itself";

const share = (n, of) => `${n} of ${of} (${Math.round((100 * n) / of)} %)`;

/* ---- building ------------------------------------------------------------------------------------------------------ */

function buildField(v, name, label, input) {
  input.id = `${v.id}-${name}`;
  input.addEventListener("change", () => sendTyped(v, readFields(v), showValues));
  v.fields[name] = input;
  return make("div", { class: `db-field db-${name}` }, make("label", { for: input.id }, label), input);
}

function buildNumber(v, [name, label, step]) {
  const [low, high, , meaning] = v.model.get("limits")[name];
  const input = numberField({ title: `${meaning}; ${low} to ${high}` }, step);
  input.addEventListener("blur", () => showValues(v));
  return buildField(v, name, label, input);
}

function buildWriter(v) {
  v.preset = make("select", { id: `${v.id}-preset`, onchange: () => takePreset(v) }, ...[...PRESETS.map(([name]) => name), OWN].map((name) => make("option", { value: name }, name)));
  const preset = make("div", { class: "db-field db-preset" }, make("label", { for: v.preset.id }, "Sampling"), v.preset);
  const set = make("fieldset", { class: "db-fields" }, make("legend", {}, "Who writes, and how"), buildField(v, "generator", "Generator", make("select")), preset);
  set.append(...NUMBERS.map((each) => buildNumber(v, each)));
  return set;
}

function buildReader(v) {
  v.kinds = KINDS.map(([kind, words]) => {
    const box = make("input", { type: "checkbox", value: kind, onchange: () => send(v, { kind: "compose", values: readFields(v) }) });
    return { box, label: make("label", { class: "db-kind" }, box, words) };
  });
  const kinds = make("div", { class: "db-kinds" }, ...v.kinds.map(({ label }) => label));
  return make("fieldset", { class: "db-fields db-who" }, make("legend", {}, "Who looks"), kinds, buildField(v, "reader", "Likelihood and ranks under", make("select")));
}

function buildActions(v) {
  v.run = button("Run", () => send(v, { kind: "run", values: readFields(v) }), { class: "cp-main" });
  v.stop = button("Stop", () => isWorking(v) && send(v, { kind: "stop" }));
  v.state = make("span", { class: "cp-strong", role: "status" });
  v.numbers = make("span", { class: "cp-numbers" });
  v.bar = make("progress", { class: "db-bar", max: 1, "aria-label": "Share of the trial", hidden: true });
  return make("div", { class: "cp-actions" }, make("div", { class: "cp-buttons" }, v.run, v.stop), make("p", {}, v.state, " ", v.numbers), v.bar);
}

function buildTable(caption, heads, look) {
  const body = make("tbody");
  const head = make("thead", {}, make("tr", {}, ...heads.map((each) => make("th", { scope: "col" }, each))));
  const scroll = make("div", { class: "db-scroll", tabindex: "0", role: "region", "aria-label": caption }, make("table", { class: look }, head, body));
  return [make("div", {}, make("p", { class: "cp-label", "aria-hidden": "true" }, caption), scroll), body];
}

function buildOutput(v) {
  v.finding = make("p", { class: "db-finding", "aria-live": "polite" });
  v.picture = make("img", { class: "db-picture", alt: "" });
  v.keep = button("Keep as evidence", () => send(v, { kind: "keep" }), { class: "cp-quiet" });
  v.kept = make("span", { class: "cp-hint", role: "status" });
  const [rows, body] = buildTable("The last run", ["Detector", "AUC (95 % interval)", "Caught at 1 % false positives (false alarms)"], "db-last");
  const [runs, runsBody] = buildTable("All runs of this panel: AUC on texts not learnt from, with 95 % interval", ["Run", "Generator", "Sampling", "Words", "Test pairs", "Left out", ...KINDS.map(([, words]) => words), "Reader"], "db-runs");
  Object.assign(v, { body, runsBody });
  const picture = make("div", { class: "db-scroll", tabindex: "0", role: "region", "aria-label": "ROC curves" }, v.picture);
  v.output = make("div", { class: "db-output", hidden: true }, v.finding, rows, make("p", { class: "cp-row db-keep" }, v.keep, v.kept), buildVoteSharing(v), picture, runs, buildJudge(v));
  return v.output;
}

function buildJudge(v) {
  v.text = make("textarea", { id: `${v.id}-text`, rows: 4, spellcheck: false });
  v.judge = button("Place it", () => send(v, { kind: "judge", text: v.text.value }));
  v.oneIn = numberField({ id: `${v.id}-one-in` });
  v.oneIn.addEventListener("change", () => send(v, { kind: "base", one_in: v.oneIn.value }));
  const base = make("p", { class: "db-base" }, make("label", { for: v.oneIn.id }, "Base rate: a machine wrote 1 text in"), v.oneIn);
  v.problem = make("p", { class: "cp-message db-problem", role: "alert", hidden: true });
  v.judged = make("p", { class: "cp-hint", role: "status" });
  v.places = make("div", { class: "db-places" });
  const title = make("label", { for: v.text.id, class: "cp-strong" }, "Try a text of your own");
  v.text.addEventListener("keydown", (event) => event.key === "Enter" && (event.ctrlKey || event.metaKey) && (event.preventDefault(), v.judge.click()));
  return make("div", { class: "db-judge" }, title, v.text, make("div", { class: "cp-row" }, v.judge, base), v.problem, v.judged, v.places);
}

function build(v) {
  const head = buildHead(v, "Detector bench");
  v.estimate = make("p", { class: "cp-hint" });
  buildMessage(v);
  v.root = make("section", { class: "cp db", "aria-label": "Detector bench" }, head, buildWriter(v), buildReader(v), v.estimate, buildActions(v), v.message, buildOutput(v));
  v.root.addEventListener("keydown", (event) => event.key === "Escape" && isWorking(v) && send(v, { kind: "stop" }));
}

/* ---- what the person does ------------------------------------------------------------------------------------------ */

function readFields(v) {
  const numbers = Object.fromEntries(NUMBERS.map(([name]) => [name, v.fields[name].value]));
  const kinds = v.kinds.filter(({ box }) => box.checked).map(({ box }) => box.value);
  return { generator: v.fields.generator.value, reader: v.fields.reader.value, kinds, ...numbers };
}

function takePreset(v) {
  const numbers = PRESETS.find(([name]) => name === v.preset.value)?.[1] ?? {};
  for (const [name, value] of Object.entries(numbers)) v.fields[name].value = String(value);
  send(v, { kind: "compose", values: readFields(v) });
}

/* ---- what the kernel says ------------------------------------------------------------------------------------------ */

function showState(v) {
  const [state, { share: done, what, left_s }] = [v.model.get("state"), v.model.get("progress")];
  v.root.dataset.state = state;
  const words = stateWords(v, STATES[state], isWorking(v));
  setText(v.state, words);
  v.numbers.textContent = isWorking(v) && what ? `${Math.round(100 * done)} % · ${what}${left_s ? ` · about ${duration(left_s)} left` : ""}` : "";
  v.bar.hidden = !isWorking(v);
  v.bar.value = done ?? 0;
  showMessage(v, isWorking(v));
  v.problem.textContent = v.model.get("problem");
  v.problem.hidden = !v.problem.textContent;
  enable(v.stop, isWorking(v));
}

function showModels(v) {
  const names = v.model.get("models").map(({ name, about }) => [name, `${name} · ${about.split(" · ").at(-1)}`]);
  const options = (more) => [...more, ...names].map(([value, words]) => make("option", { value }, words));
  v.fields.generator.replaceChildren(...options([]));
  v.fields.reader.replaceChildren(...options([["", ITSELF]]));
  showValues(v);
}

function showValues(v) {
  const values = v.model.get("values");
  for (const name of ["generator", "reader"]) v.fields[name].value = values[name] ?? "";
  if (isRead(v)) for (const [name] of NUMBERS) showNumber(v.fields[name], values[name]);
  v.kinds.forEach(({ box }) => (box.checked = (values.kinds ?? []).includes(box.value)));
  const isPreset = ([, numbers]) => Object.entries(numbers).every(([name, value]) => values[name] === value);
  v.preset.value = PRESETS.find(isPreset)?.[0] ?? OWN;
}

function showProblems(v) {
  const problems = v.model.get("problems");
  for (const [name] of NUMBERS) v.fields[name].setAttribute("aria-invalid", String(name in problems));
}

const cells = (first, ...others) => make("tr", {}, make("th", { scope: "row" }, first), ...others.map((each) => make("td", {}, each)));

function showResult(v) {
  const [rows, runs, { src, alt }] = [v.model.get("rows"), v.model.get("runs"), v.model.get("picture")];
  v.output.hidden = !rows.length;
  v.body.replaceChildren(...rows.map(({ detector, auc, caught }) => cells(detector, auc, caught)));
  v.runsBody.replaceChildren(...runs.map((run, i) => cells(String(i + 1), run.generator, run.sampling, String(run.n_words), String(run.n_test), String(run.n_left_out), ...KINDS.map(([kind]) => run[kind] ?? "–"), run.reader)));
  if (src) Object.assign(v.picture, { src, alt });
}

function showJudgement(v) {
  const { rows = [], n_words, n_typed } = v.model.get("judgement");
  v.judged.textContent = rows.length ? `Placed by ${n_typed > n_words ? `the first ${n_words} of its ${n_typed} words` : `its ${n_words} words`}, as long as the texts that the detectors know. A place is no verdict.` : "";
  v.places.replaceChildren(...rows.map((row) => buildPlace(row)));
  drawStrips(v);
}

function buildPlace(row) {
  const of = row.human.length;
  const words = `${share(row.n_human, of)} of the human test texts score at least as high, and ${share(row.n_machine, of)} of the machine's.`;
  const strip = draw("svg", { class: "db-strip", role: "img", "aria-label": `Scores by ${row.detector}. ${words}` });
  return make("article", { class: "db-place" }, make("p", {}, make("strong", {}, capital(row.detector))), strip, make("p", {}, words), make("p", {}, row.worth));
}

function drawStrips(v) {
  if (!v.root.isConnected) return; // no size of type yet; the observer draws once there is a place
  (v.model.get("judgement").rows ?? []).forEach((row, i) => drawStrip(v.places.children[i].querySelector("svg"), row));
}

/** Two strips, one mark a test text: circles are people's, triangles the machine's; the line is the text of one's own. */
function drawStrip(svg, { score, human, machine }) {
  const [width, left, height] = [svg.clientWidth || 500, 4.6 * parseFloat(getComputedStyle(svg).fontSize), 96];
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const all = [score, ...human, ...machine];
  const [low, high] = [Math.min(...all), Math.max(...all)];
  const x = (value) => left + 8 + ((width - left - 20) * (value - low)) / (high - low || 1);
  const rows = [[human, 26, "human"], [machine, 58, "machine"]];
  const marks = rows.flatMap(([scores, y, author]) => scores.map((value, i) => mark(author, x(value), y + ((i * 7) % 5 - 2) * 3)));
  const names = rows.map(([, y, author]) => draw("text", { x: 0, y: y + 5 }, author));
  const at = x(score);
  const line = draw("path", { class: "db-own", d: `M${at} 12V72` });
  const own = draw("text", { class: "db-yours", x: Math.min(Math.max(at, left + 30), width - 44), y: 88, "text-anchor": "middle" }, "your text");
  svg.replaceChildren(...names, ...marks, line, own);
}

function mark(author, x, y) {
  if (author === "human") return draw("circle", { class: "db-human", cx: x.toFixed(1), cy: y, r: 3.6 });
  return draw("path", { class: "db-machine", d: `M${(x - 4).toFixed(1)} ${y + 3.5}h8l-4 -7z` });
}

/* ---- the way onto the page ----------------------------------------------------------------------------------------- */

function render({ model, el }) {
  const v = Object.assign(newView(model, el), { fields: {} });
  v.showState = () => showState(v);
  build(v);
  const shows = {
    state: () => showState(v), message: () => showState(v), progress: () => showState(v), problem: () => showState(v), models: () => showModels(v),
    values: () => showValues(v), problems: () => showProblems(v), estimate: () => (v.estimate.textContent = v.model.get("estimate")), rows: () => showResult(v), runs: () => showResult(v),
    picture: () => showResult(v), finding: () => (v.finding.textContent = v.model.get("finding")), kept: () => (v.kept.textContent = v.model.get("kept")),
    one_in: () => (v.oneIn.value = String(v.model.get("one_in"))), judgement: () => showJudgement(v),
  };
  const leave = openView(v, shows);
  send(v, { kind: "ready" });
  const size = new ResizeObserver(() => drawStrips(v));
  size.observe(v.places);
  return () => (size.disconnect(), leave());
}

export default { render };
