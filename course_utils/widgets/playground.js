/* The browser half of the playground: it shows what the kernel sends and tells the kernel what the person asked for.
 *
 * Text of prompts and models enters the page through text nodes only; nothing here parses it. The kernel sends
 *   {kind: "whole", run, samples}   everything written so far; replaces what is shown
 *   {kind: "steps", run, steps}     what came since; ignored when it belongs to another run
 *   {kind: "pong"}                  the answer to {kind: "ping"}
 * A step is [sample, text, probability, model probability, rank, entropy in bits, alternatives, place of the chosen one],
 * an alternative is [text, probability].
 */

const FIELDS = [
  ["max_new_tokens", "Max tokens", 10], ["temperature", "Temperature", 0.1], ["top_k", "Top-k", 10], ["top_p", "Top-p", 0.05],
  ["repetition_penalty", "Repetition penalty", 0.05], ["n_samples", "Samples", 1], ["seed", "Seed", 1],
];
const STATES = { idle: "Ready", loading: "Loading the model…", generating: "Writing…", done: "Done", stopped: "Stopped", failed: "Not done" };
const ENDINGS = { length: "reached its length", "end of text": "the model ended the text", stopped: "stopped" };
const BUCKETS = [[10, "top 10"], [100, "top 100"], [1000, "top 1,000"], [Infinity, "beyond 1,000"]];
const MAX_SPANS = 2048;
const PING_MS = 2000;
const PATIENCE_MS = 6000;
const NO_ANSWER =
  "The kernel does not answer. It is busy with another cell, or it was restarted or has ended. Wait for that cell, or run this " +
  "panel's cell again, if need be after Kernel › Restart; where there are no cells to run, reload the page.";

/* ---- text ---------------------------------------------------------------------------------------------------------- */

const UNSEEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]/g;

/** Control characters and marks that turn the writing direction, made visible. */
function visible(text) {
  return text.replace(UNSEEN, (c) => {
    const code = c.codePointAt(0);
    return code < 32 ? String.fromCodePoint(0x2400 + code) : `⟨U+${code.toString(16).toUpperCase().padStart(4, "0")}⟩`;
  });
}

/** A token by itself, so that spaces and line ends can be seen. */
function tokenName(text) {
  if (!text) return "(rest of a character)";
  return visible(text).replace(/ /g, "␣").replace(/\n/g, "⏎").replace(/\t/g, "⇥");
}

function percent(p) {
  if (p >= 0.9995) return "100 %";
  return p >= 0.001 ? `${(100 * p).toPrecision(3)} %` : p > 0 ? "below 0.1 %" : "0 %";
}

const bucketOf = (rank) => BUCKETS.findIndex(([highest]) => rank <= highest);

/* ---- building ------------------------------------------------------------------------------------------------------ */

/** Make an element; strings among the children become text nodes. */
function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name in node && typeof value !== "string") node[name] = value;
    else node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

const button = (label, press, more = {}) => make("button", { type: "button", onclick: press, ...more }, label);

function able(node, can) {
  // Not `disabled`: a button that takes itself away would also take the keyboard's place with it.
  node.setAttribute("aria-disabled", String(!can));
}

function buildHead(v) {
  v.chooser = make("select", { id: `${v.id}-model`, onchange: () => say(v, { kind: "choose", model: v.chooser.value }) });
  v.about = make("span", { class: "cp-about" });
  v.large = button("Large type", () => set(v, "large", !v.model.get("large")), { class: "cp-quiet" });
  v.dark = button("Dark", () => set(v, "theme", v.root.dataset.theme === "dark" ? "light" : "dark"), { class: "cp-quiet" });
  const speaker = make("div", { class: "cp-speaker" }, make("label", { for: v.chooser.id }, "Model"), v.chooser, v.about);
  return make("div", { class: "cp-head" }, speaker, make("div", { class: "cp-switches" }, v.large, v.dark));
}

function buildPrompt(v) {
  v.gallery = make("select", { id: `${v.id}-gallery`, onchange: () => takeFromGallery(v) }, make("option", { value: "" }, "Choose…"));
  v.model.get("gallery").forEach((entry, i) => v.gallery.append(make("option", { value: String(i) }, entry.title)));
  v.prompt = make("textarea", { id: `${v.id}-prompt`, rows: 4, spellcheck: false, "aria-describedby": `${v.id}-keys` });
  v.prompt.addEventListener("change", () => set(v, "prompt", v.prompt.value));
  const gallery = make("div", { class: "cp-gallery" }, make("label", { for: v.gallery.id }, "From the gallery"), v.gallery);
  const top = make("div", { class: "cp-row" }, make("label", { for: v.prompt.id, class: "cp-strong" }, "Prompt"), gallery);
  const keys = make("p", { id: `${v.id}-keys`, class: "cp-hint" }, "Ctrl + Enter writes on from here, Escape stops.");
  return make("div", { class: "cp-ask" }, top, v.prompt, keys);
}

function buildField(v, [name, label, step]) {
  const [lowest, highest, , meaning] = v.model.get("ranges")[name];
  const id = `${v.id}-${name}`;
  const input = make("input", { id, type: "number", min: String(lowest), max: String(highest), step: String(step), title: meaning });
  input.setAttribute("aria-describedby", `${id}-meaning ${id}-problem`);
  input.addEventListener("input", () => set(v, "values", readFields(v)));
  const problem = make("p", { id: `${id}-problem`, class: "cp-problem" });
  const hidden = make("span", { id: `${id}-meaning`, class: "cp-unseen" }, `${meaning}; ${lowest} to ${highest}`);
  v.fields[name] = { input, problem };
  const controls = make("div", { class: "cp-control" }, input);
  if (name === "seed") controls.append(button("New seed", () => newSeed(v)));
  return make("div", { class: `cp-field cp-${name}` }, make("label", { for: id }, label), controls, hidden, problem);
}

function buildActions(v) {
  v.generate = button("Generate", () => generate(v), { class: "cp-main" });
  v.stop = button("Stop", () => stop(v));
  v.resume = button("Continue", () => resume(v));
  v.clear = button("Clear", () => say(v, { kind: "clear" }));
  v.state = make("span", { class: "cp-state", role: "status" });
  v.numbers = make("span", { class: "cp-numbers" });
  const buttons = make("div", { class: "cp-buttons" }, v.generate, v.stop, v.resume, v.clear);
  return make("div", { class: "cp-actions" }, buttons, make("p", { class: "cp-progress" }, v.state, v.numbers));
}

function buildOutput(v) {
  v.tokens = button("Tokens", () => toggleTokens(v), { class: "cp-quiet cp-tokens-switch", "aria-pressed": "false" });
  v.legend = make("p", { class: "cp-legend", hidden: true }, "Rank of each token in the model's own order: ");
  BUCKETS.forEach(([, words], i) => v.legend.append(make("span", { class: `cp-token cp-bucket${i}` }, words), " "));
  v.copy = button("Copy transcript", () => copy(v), { class: "cp-quiet" });
  v.download = button("Download", () => download(v), { class: "cp-quiet", "aria-label": "Download transcript" });
  v.asked = make("p", { class: "cp-asked cp-text" });
  v.grid = make("div", { class: "cp-grid", role: "log", "aria-live": "polite", "aria-label": "What the model wrote" });
  v.line = make("p", { class: "cp-line" });
  v.details = make("div", { class: "cp-details", "aria-live": "polite", hidden: true });
  const tools = make("div", { class: "cp-tools" }, v.tokens, make("div", { class: "cp-share-out" }, v.copy, v.download));
  const prompt = make("div", { class: "cp-person" }, make("p", { class: "cp-label" }, "Prompt · written by a person"), v.asked);
  v.output = make("div", { class: "cp-output", hidden: true }, tools, v.legend, prompt, v.grid, v.line, v.details);
  watchTokens(v);
  return v.output;
}

function build(v) {
  v.message = make("p", { class: "cp-message", role: "alert", hidden: true });
  const settings = make("fieldset", { class: "cp-settings" }, make("legend", {}, "How to draw the next token"));
  FIELDS.forEach((field) => settings.append(buildField(v, field)));
  v.root = make("section", { class: "cp", "aria-label": "Playground" });
  v.root.append(buildHead(v), buildPrompt(v), settings, buildActions(v), v.message, buildOutput(v));
  v.root.addEventListener("keydown", (event) => onKey(v, event));
  v.root.addEventListener("focusin", () => (v.touched = Date.now()));
  v.el.append(v.root);
}

/* ---- what the person does ------------------------------------------------------------------------------------------ */

function set(v, name, value) {
  v.model.set(name, value);
  v.model.save_changes();
}

/** Send a wish to the kernel; the watch complains when no answer comes. */
function say(v, content) {
  v.asked_at ??= Date.now();
  try {
    v.model.send(content);
  } catch {
    v.asked_at = 1; // the line to the kernel is cut: no answer can come any more
  }
}

function readFields(v) {
  const number = (input) => (Number.isFinite(input.valueAsNumber) ? input.valueAsNumber : null);
  return Object.fromEntries(FIELDS.map(([name]) => [name, number(v.fields[name].input)]));
}

function generate(v) {
  // The whole form travels with the wish: trait changes may still be waiting behind a busy kernel.
  say(v, { kind: "generate", prompt: v.prompt.value, values: readFields(v) });
}

function stop(v) {
  if (isWorking(v)) say(v, { kind: "stop" });
}

function resume(v) {
  if (canResume(v)) say(v, { kind: "resume" });
}

function newSeed(v) {
  v.fields.seed.input.value = String(Math.floor(Math.random() * 1_000_000));
  set(v, "values", readFields(v));
}

function takeFromGallery(v) {
  const entry = v.model.get("gallery")[Number(v.gallery.value)];
  if (v.gallery.value === "" || !entry) return;
  v.prompt.value = entry.prompt;
  v.gallery.value = "";
  set(v, "prompt", entry.prompt);
  v.prompt.focus();
}

function onKey(v, event) {
  if (event.key === "Escape") stop(v);
  else if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) generate(v);
  else return;
  event.preventDefault();
  event.stopPropagation();
}

async function copy(v) {
  const text = v.model.get("transcript");
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Pages without https have no clipboard of their own; the old way still works there.
    const box = make("textarea", { class: "cp-unseen" });
    box.value = text;
    v.root.append(box);
    box.select();
    document.execCommand("copy");
    box.remove();
  }
  v.copy.textContent = "Copied";
  setTimeout(() => (v.copy.textContent = "Copy transcript"), 1500);
}

function download(v) {
  const url = URL.createObjectURL(new Blob([v.model.get("transcript")], { type: "text/markdown" }));
  make("a", { href: url, download: "machine-generated-transcript.md" }).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}

/* ---- what the kernel says ------------------------------------------------------------------------------------------ */

function onMessage(v, message) {
  heard(v);
  if (message.kind === "whole" && message.run >= v.run) showWhole(v, message.run, message.samples);
  if (message.kind === "steps" && message.run === v.run) message.steps.forEach((step) => takeStep(v, step));
  if (message.run === v.run) showNumbers(v, message.timing);
}

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

const isWorking = (v) => ["loading", "generating"].includes(v.model.get("state"));
const canResume = (v) => !isWorking(v) && v.samples.some((sample) => sample.ended !== "end of text");

function showState(v) {
  const state = v.model.get("state");
  v.root.dataset.state = state;
  v.state.textContent = v.isLost ? "No answer from the kernel" : STATES[state];
  v.message.textContent = v.isLost ? NO_ANSWER : v.model.get("message");
  v.message.hidden = !v.message.textContent;
  v.grid.setAttribute("aria-busy", String(isWorking(v)));
  able(v.stop, isWorking(v));
  able(v.resume, canResume(v));
}

function showNumbers(v, timing = v.model.get("timing")) {
  const parts = [];
  if (timing?.n_tokens) parts.push(`${timing.n_tokens} token${timing.n_tokens === 1 ? "" : "s"}`);
  if (timing?.first_s != null) parts.push(`first token after ${timing.first_s.toFixed(2)} s`);
  if (timing?.per_s != null) parts.push(`${timing.per_s.toFixed(1)} tokens/s`);
  v.numbers.textContent = parts.join(" · ");
}

function showModels(v) {
  const models = v.model.get("models");
  v.chooser.replaceChildren(...models.map((entry) => make("option", { value: entry.name }, entry.name)));
  if (!models.length) v.chooser.append(make("option", { value: "" }, "no model on this machine"));
  v.chooser.value = v.model.get("model");
  v.about.textContent = models.find((entry) => entry.name === v.model.get("model"))?.about ?? "";
}

function showValues(v) {
  const values = v.model.get("values");
  for (const [name] of FIELDS) {
    const { input } = v.fields[name];
    if (values[name] != null && input.valueAsNumber !== values[name]) input.value = String(values[name]);
  }
}

function showProblems(v) {
  const problems = v.model.get("problems");
  for (const [name] of FIELDS) {
    v.fields[name].problem.textContent = problems[name] ?? "";
    v.fields[name].input.setAttribute("aria-invalid", String(name in problems));
  }
}

function showLook(v) {
  const follows = document.body.dataset.jpThemeLight === "false" ? "dark" : "light";
  const theme = v.model.get("theme") === "auto" ? follows : v.model.get("theme");
  Object.assign(v.root.dataset, { theme, large: String(v.model.get("large")) });
  v.large.setAttribute("aria-pressed", String(v.model.get("large")));
  v.dark.setAttribute("aria-pressed", String(theme === "dark"));
  // On a page of its own (Voila) the margins follow the panel; inside JupyterLab the rest of the page is not ours.
  if (v.model.get("projector") && document.body.dataset.voila) document.documentElement.dataset.cpTheme = theme;
}

/* ---- the samples --------------------------------------------------------------------------------------------------- */

function redraw(v) {
  v.n_spans = 0;
  v.details.hidden = true;
  v.output.hidden = !v.samples.length;
  v.asked.textContent = visible(v.samples[0]?.prompt ?? "") || "(empty: the model starts a text of its own)";
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
    const pick = make("input", { type: "radio", name: `${v.id}-best`, onchange: () => say(v, { kind: "pick", sample: i }), checked: v.model.get("best") === i });
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
  v.showsTokens = !v.showsTokens;
  v.tokens.setAttribute("aria-pressed", String(v.showsTokens));
  v.legend.hidden = !v.showsTokens;
  redraw(v);
}

function appendStep(v, sample, i) {
  const [, whole, , , rank] = sample.steps[i];
  const text = i ? whole : whole.replace(/^ /, ""); // the space between prompt and text would only indent it
  if (!v.showsTokens || v.n_spans >= MAX_SPANS) {
    sample.body.append(visible(text));
    return;
  }
  v.n_spans += 1;
  const bucket = bucketOf(rank);
  const span = make("span", { class: `cp-token cp-bucket${bucket}`, role: "option", "aria-selected": "false", tabindex: i ? "-1" : "0" });
  span.setAttribute("aria-label", `${tokenName(whole)}, rank ${rank}, ${BUCKETS[bucket][1]}`);
  span.dataset.step = String(i);
  // The space before a word stays outside, so that lines break between tokens and not inside them.
  const space = /^ (?=\S)/.test(text) ? " " : "";
  span.textContent = text ? visible(text.slice(space.length)).replace(/\n/g, "⏎\n") : "·";
  sample.body.append(space, span);
}

function watchTokens(v) {
  const tokenOf = (event) => event.target.closest?.("[data-step]");
  v.grid.addEventListener("mouseover", (event) => tokenOf(event) && showDetails(v, tokenOf(event)));
  v.grid.addEventListener("focusin", (event) => tokenOf(event) && arriveAt(v, tokenOf(event)));
  v.grid.addEventListener("keydown", (event) => tokenOf(event) && moveFrom(tokenOf(event), event));
}

/** One tab stop a sample: where the person was last. */
function arriveAt(v, token) {
  token.parentNode.querySelectorAll("[tabindex='0']").forEach((other) => (other.tabIndex = -1));
  token.tabIndex = 0;
  showDetails(v, token);
  v.root.style.setProperty("--under", `${v.details.offsetHeight + 16}px`); // the details must not lie on the token
  token.scrollIntoView({ block: "nearest" });
}

function moveFrom(token, event) {
  const ways = {
    ArrowRight: () => token.nextElementSibling, ArrowLeft: () => token.previousElementSibling, Home: () => token.parentNode.firstElementChild,
    End: () => token.parentNode.lastElementChild, ArrowDown: () => nextLine(token, 1), ArrowUp: () => nextLine(token, -1),
  };
  if (!(event.key in ways)) return;
  event.preventDefault();
  ways[event.key]()?.focus();
}

/** The token above or below, as the eye sees it. */
function nextLine(token, direction) {
  const step = (node) => (direction > 0 ? node.nextElementSibling : node.previousElementSibling);
  let other = step(token);
  while (other && (other.offsetTop - token.offsetTop) * direction <= 2) other = step(other);
  const line = other?.offsetTop;
  for (let next = other; next && Math.abs(next.offsetTop - line) <= 2; next = step(next)) {
    if (Math.abs(next.offsetLeft - token.offsetLeft) < Math.abs(other.offsetLeft - token.offsetLeft)) other = next;
  }
  return other;
}

function showDetails(v, token) {
  const sample = v.samples[Number(token.parentNode.dataset.sample)];
  const [, text, probability, own, rank, entropy, alternatives, place] = sample.steps[Number(token.dataset.step)];
  v.grid.querySelectorAll("[aria-selected=true]").forEach((other) => other.setAttribute("aria-selected", "false"));
  token.setAttribute("aria-selected", "true");
  const left = Math.max(0, 1 - alternatives.reduce((sum, [, p]) => sum + p, 0));
  const name = make("strong", { class: "cp-name" }, tokenName(text));
  const facts = `rank ${rank.toLocaleString("en")} · ${percent(own)} under the model, ${percent(probability)} under these settings · entropy here ${entropy.toFixed(2)} bits`;
  const list = make("ol", { class: "cp-alternatives" }, ...alternatives.map(([word, p], i) => buildBar(word, p, i === place)));
  const rest = make("p", { class: "cp-hint" }, `These ${alternatives.length} hold ${percent(1 - left)} of the probability; all other tokens together ${percent(left)}.`);
  v.details.replaceChildren(make("p", {}, name, " ", facts), list, rest);
  v.details.hidden = false;
}

function buildBar(word, p, isChosen) {
  const bar = make("span", { class: "cp-bar", "aria-hidden": "true" });
  bar.style.setProperty("--share", String(p));
  const label = make("span", { class: "cp-name" }, tokenName(word));
  return make("li", isChosen ? { class: "cp-chosen" } : {}, label, bar, make("span", { class: "cp-share" }, percent(p), isChosen ? " ◂ came" : ""));
}

/* ---- is the kernel there? ------------------------------------------------------------------------------------------ */

function heard(v) {
  v.asked_at = null;
  if (v.isLost) {
    v.isLost = false;
    showState(v);
  }
}

/** Ask for a sign of life while something is expected; give up politely when none comes. */
function watch(v) {
  if (document.hidden) {
    v.asked_at = null; // a page in the background is not told the time
    return;
  }
  if (v.asked_at && Date.now() - v.asked_at > PATIENCE_MS && !v.isLost) {
    v.isLost = true;
    showState(v);
  }
  const isTouched = Date.now() - v.touched < 4 * PING_MS;
  if (isWorking(v) || v.asked_at || isTouched) say(v, { kind: "ping" });
}

/* ---- the door ------------------------------------------------------------------------------------------------------ */

function listen(v) {
  const shows = {
    state: () => (showFinished(v), showState(v), v.samples.forEach((sample) => showFoot(v, sample))), message: () => showState(v), samples: () => showFinished(v),
    models: () => showModels(v), model: () => showModels(v), values: () => showValues(v), problems: () => showProblems(v),
    timing: () => showNumbers(v), line: () => (v.line.textContent = v.model.get("line")), best: () => showBest(v),
    large: () => showLook(v), theme: () => showLook(v), prompt: () => (v.prompt.value = v.model.get("prompt")),
  };
  for (const [name, show] of Object.entries(shows)) {
    v.model.on(`change:${name}`, show);
    show();
  }
  v.model.on("msg:custom", (message) => onMessage(v, message));
}

/** JupyterLab would take Ctrl + Enter and the arrow keys for itself; only saving is left to it. */
function markOwnKeys(v) {
  const isSaving = (event) => (event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "s";
  const mark = (event) => v.root.toggleAttribute("data-lm-suppress-shortcuts", !isSaving(event));
  window.addEventListener("keydown", mark, true);
  return () => window.removeEventListener("keydown", mark, true);
}

function render({ model, el }) {
  const id = `cp-${Math.random().toString(36).slice(2)}`;
  const v = { model, el, id, fields: {}, samples: [], run: -1, n_spans: 0, showsTokens: false, asked_at: null, isLost: false, touched: 0 };
  build(v);
  listen(v);
  const theme = new MutationObserver(() => showLook(v));
  theme.observe(document.body, { attributeFilter: ["data-jp-theme-light"] });
  const timer = setInterval(() => watch(v), PING_MS);
  say(v, { kind: "hello" });
  const unmark = markOwnKeys(v);
  return () => (clearInterval(timer), theme.disconnect(), unmark());
}

export default { render };
