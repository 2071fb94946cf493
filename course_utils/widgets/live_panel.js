/* What the browser halves of panels that write have in common: prompt, form, actions and the watch over a request.
 *
 * It stands between furniture.js and the panel's own file, which has
 *   FIELDS                    [name, label, step] of each number in its form
 *   STATES                    words for each state of the panel
 *   generate(v)               sends the wish to write
 *   onMessage(v, message)     takes what the kernel sends
 *   showState(v)              calls showWorking, and then enables what else depends on the state
 * and a render function that calls buildRoot and openLive.
 */

/* ---- building ---------------------------------------------------------------------------------------------------- */

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
  const input = numberField({ id, title: `${meaning}; ${lowest} to ${highest}` }, step);
  input.setAttribute("aria-describedby", `${id}-meaning ${id}-problem`);
  input.addEventListener("input", () => sayTyped(v, readFields(v), showValues));
  input.addEventListener("blur", () => showValues(v));
  const problem = make("p", { id: `${id}-problem`, class: "cp-problem" });
  const hidden = make("span", { id: `${id}-meaning`, class: "cp-unseen" }, `${meaning}; ${lowest} to ${highest}`);
  v.fields[name] = { input, problem };
  const controls = make("div", { class: "cp-control" }, input);
  if (name === "seed") controls.append((v.newSeed = button("New seed", () => isAble(v.newSeed) && newSeed(v))));
  return make("div", { class: `cp-field cp-${name}` }, make("label", { for: id }, label), controls, hidden, problem);
}

function buildSettings(v) {
  const settings = make("fieldset", { class: "cp-settings" }, make("legend", {}, "How to draw the next token"));
  FIELDS.forEach((field) => settings.append(buildField(v, field)));
  v.lacks = make("p", { id: `${v.id}-lacks`, class: "cp-hint cp-lacks", hidden: true });
  settings.append(v.lacks);
  return settings;
}

/** The buttons, and beside them what is going on. */
function buildActions(v, ...buttons) {
  v.state = make("span", { class: "cp-state", role: "status" });
  v.numbers = make("span", { class: "cp-numbers" });
  const progress = make("p", { class: "cp-progress" }, v.state, v.numbers);
  return make("div", { class: "cp-actions" }, make("div", { class: "cp-buttons" }, ...buttons), progress);
}

function buildAsked(v) {
  v.asked = make("p", { class: "cp-asked cp-text" });
  return make("div", { class: "cp-person" }, make("p", { class: "cp-label" }, "Prompt · written by a person"), v.asked);
}

function buildShare(v) {
  v.copy = button("Copy transcript", () => copy(v, v.model.get("transcript")), { class: "cp-quiet" });
  v.download = button("Download", () => download(v), { class: "cp-quiet", "aria-label": "Download transcript" });
  return make("div", { class: "cp-share-out" }, v.copy, v.download);
}

function buildMessage(v) {
  v.message = make("p", { class: "cp-message", role: "alert", hidden: true });
  return v.message;
}

/* ---- what the person does ---------------------------------------------------------------------------------------- */

/** The fields as they were typed. */
const readFields = (v) => Object.fromEntries(FIELDS.map(([name]) => [name, v.fields[name].input.value]));

function stop(v) {
  if (isWorking(v)) say(v, { kind: "stop" });
}

function newSeed(v) {
  v.fields.seed.input.value = String(Math.floor(Math.random() * 1_000_000));
  sayTyped(v, readFields(v), showValues);
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

function download(v) {
  const url = URL.createObjectURL(new Blob([v.model.get("transcript")], { type: "text/markdown" }));
  make("a", { href: url, download: "machine-generated-transcript.md" }).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}

/* ---- what the kernel says ---------------------------------------------------------------------------------------- */

const isWorking = (v) => ["loading", "generating"].includes(v.model.get("state"));

function showWorking(v) {
  const state = v.model.get("state");
  v.root.dataset.state = state;
  v.state.textContent = stateWords(v, STATES[state], isWorking(v));
  v.message.textContent = messageWords(v, isWorking(v));
  v.message.hidden = !v.message.textContent;
  v.grid.setAttribute("aria-busy", String(isWorking(v)));
  able(v.stop, isWorking(v));
}

function showAsked(v, prompt) {
  v.asked.textContent = visible(prompt ?? "") || "(empty: the model starts a text of its own)";
}

function showNumbers(v, timing = v.model.get("timing")) {
  const parts = [];
  if (timing?.n_tokens) parts.push(`${timing.n_tokens} token${timing.n_tokens === 1 ? "" : "s"}`);
  if (timing?.first_s != null) parts.push(`first token after ${timing.first_s.toFixed(2)} s`);
  if (timing?.per_s != null) parts.push(`${timing.per_s.toFixed(1)} tokens/s`);
  v.numbers.textContent = parts.join(" · ");
}

function showValues(v) {
  const values = v.model.get("values");
  if (isRead(v)) for (const [name] of FIELDS) showNumber(v.fields[name].input, values[name]);
}

function showProblems(v) {
  const problems = v.model.get("problems");
  for (const [name] of FIELDS) {
    v.fields[name].problem.textContent = problems[name] ?? "";
    v.fields[name].input.setAttribute("aria-invalid", String(name in problems));
  }
}

/** Grey out what the model that speaks cannot do, and name it. */
function showLacks(v) {
  const { words = "", settings = [] } = v.model.get("lacks") ?? {};
  v.lacks.textContent = words;
  v.lacks.hidden = !words;
  for (const [name] of FIELDS) {
    const { input } = v.fields[name];
    able(input, !settings.includes(name));
    input.readOnly = settings.includes(name);
    input.setAttribute("aria-describedby", `${input.id}-meaning ${input.id}-problem${input.readOnly ? ` ${v.lacks.id}` : ""}`);
  }
  if (v.newSeed) able(v.newSeed, !settings.includes("seed"));
}

/* ---- the door ------------------------------------------------------------------------------------------------------ */

const newLiveView = (model, el, more) => ({ ...newView(model, el), fields: {}, samples: [], run: -1, ...more });

function buildRoot(v, name, ...parts) {
  v.root = make("section", { class: "cp", "aria-label": name }, ...parts);
  v.root.addEventListener("keydown", (event) => onKey(v, event));
  v.showState = () => showState(v);
}

function openLive(v, shows) {
  v.model.on("msg:custom", (message) => onMessage(v, message));
  const all = {
    message: v.showState, values: () => showValues(v), problems: () => showProblems(v), timing: () => showNumbers(v),
    line: () => (v.line.textContent = v.model.get("line")), prompt: () => (v.prompt.value = v.model.get("prompt")),
    lacks: () => showLacks(v), ...shows,
  };
  const close = open(v, all, () => isWorking(v));
  say(v, { kind: "hello" });
  return close;
}
