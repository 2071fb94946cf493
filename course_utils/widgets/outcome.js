/* What panels with outcomes share, after furniture.js: who speaks, how far the work is, rows with intervals, what to keep.
 *
 * A group of rows is {title, low, high, mark, rows, hint}: the ends of its scale, a value to mark (such as chance), and rows
 * as outcome.py makes them: {label, value, low, high, words}. A number to keep is {metric, row, words}.
 */

const isWorking = (v) => ["loading", "working"].includes(v.model.get("state"));

function duration(seconds) {
  return seconds < 90 ? `${Math.max(1, Math.round(seconds))} s` : `${Math.round(seconds / 60)} min`;
}

/* ---- who speaks, and how far it is --------------------------------------------------------------------------------- */

function buildSpeaker(v) {
  v.chooser = make("select", { id: `${v.id}-model`, onchange: () => showAbout(v) });
  v.about = make("span", { class: "cp-about" });
  return make("div", { class: "oc-speaker" }, make("label", { for: v.chooser.id }, "Model"), v.chooser, v.about);
}

function showModels(v) {
  const [models, current] = [v.model.get("models"), v.model.get("model")];
  v.chooser.replaceChildren(...models.map(({ name }) => make("option", { value: name }, name)));
  v.chooser.value = current;
  showAbout(v);
}

function showAbout(v) {
  v.about.textContent = v.model.get("models").find(({ name }) => name === v.chooser.value)?.about ?? "";
  v.chooser.dispatchEvent(new Event("chosen"));
}

function buildWork(v) {
  v.stop = button("Stop", () => isWorking(v) && say(v, { kind: "stop" }));
  v.bar = make("progress", { class: "oc-bar", max: 1, "aria-label": "Share that is done" });
  v.state = make("span", { class: "cp-strong", role: "status" });
  v.numbers = make("span", { class: "cp-numbers" });
  v.work = make("div", { class: "oc-work", hidden: true }, v.stop, make("p", {}, v.state, " ", v.numbers), v.bar);
  v.message = make("p", { class: "cp-message", role: "alert", hidden: true });
  return [v.work, v.message];
}

/** Words by state, of the panel's own; nothing is said of a state without words. */
function showWork(v, words) {
  const [state, { share, what, left_s }] = [v.model.get("state"), v.model.get("progress")];
  v.root.dataset.state = state;
  const told = stateWords(v, words[state] ?? "", isWorking(v));
  if (v.state.textContent !== told) v.state.textContent = told;
  v.numbers.textContent = isWorking(v) && what ? `${what}${left_s ? ` · about ${duration(left_s)} left` : ""}` : "";
  v.bar.value = share ?? 0;
  const held = document.activeElement === v.stop;
  v.work.hidden = !told;
  v.stop.hidden = v.bar.hidden = !isWorking(v);
  if (held && v.stop.hidden) v.rest?.().focus(); // the keyboard's place must not vanish with the button
  v.message.textContent = messageWords(v, isWorking(v));
  v.message.hidden = !v.message.textContent;
  able(v.stop, isWorking(v));
}

/* ---- what was found ------------------------------------------------------------------------------------------------ */

function buildGroup({ title, low, high, mark, rows, hint }) {
  const place = (value) => `${((100 * (value - low)) / (high - low)).toFixed(2)}%`;
  const list = rows.map((row) => {
    const track = make("span", { class: "oc-track", "aria-hidden": "true" });
    if (mark !== null && mark !== undefined) track.append(piece("oc-mark", { left: place(mark) }));
    if (row.low !== null && row.value !== null) {
      track.append(piece("oc-interval", { left: place(row.low), right: `calc(100% - ${place(row.high)})` }));
    }
    if (row.value !== null) track.append(piece(row.is_hollow ? "oc-dot oc-hollow" : "oc-dot", { left: place(row.value) }));
    return make("li", {}, make("span", { class: "oc-label" }, visible(row.label)), track, make("span", { class: "oc-words" }, row.words));
  });
  const parts = [make("p", { class: "cp-strong" }, title), make("ul", { "aria-label": title }, ...list)];
  if (hint) parts.push(make("p", { class: "cp-hint" }, hint));
  return make("div", { class: "oc-group" }, ...parts);
}

function piece(name, style) {
  const node = make("span", { class: name });
  Object.assign(node.style, style);
  return node;
}

/** A table that scrolls by itself where the page is narrow, also by keyboard. */
function buildTable(title, heads, rows) {
  const cells = (tag, row) => make("tr", {}, ...row.map((cell) => (cell instanceof Node ? make(tag, {}, cell) : make(tag, {}, visible(String(cell))))));
  const table = make("table", { class: "oc-table" }, make("caption", { class: "cp-unseen" }, title));
  table.append(make("thead", {}, cells("th", heads)), make("tbody", {}, ...rows.map((row) => cells("td", row))));
  table.querySelectorAll("th").forEach((head) => head.setAttribute("scope", "col"));
  return make("div", { class: "oc-scroll tl-scroll", tabindex: "0", role: "region", "aria-label": title }, table);
}

/** One choice of several, side by side; `options` are [value, words]. */
function buildChoice(name, legend, options, choose) {
  const choices = options.map(([value, words]) => {
    const input = make("input", { type: "radio", name, value: String(value) });
    input.addEventListener("change", () => choose(value));
    return make("label", { class: "oc-choice" }, input, words);
  });
  return make("fieldset", { class: "oc-choices" }, make("legend", {}, legend), ...choices);
}

/* ---- what is kept -------------------------------------------------------------------------------------------------- */

function buildKeep(v, name, numbers) {
  const which = make("select", { "aria-label": "Which number to keep" }, ...numbers.map(({ words }, i) => make("option", { value: String(i) }, visible(words))));
  const keep = button("Keep as evidence", () => {
    const { metric, row } = numbers[Number(which.value)];
    v.keeps = name;
    say(v, { kind: "keep", of: name, metric, row });
  });
  const kept = make("span", { class: "oc-kept", role: "status" });
  kept.dataset.of = name;
  if (v.keeps === name) kept.textContent = v.model.get("kept");
  return make("div", { class: "oc-keep" }, which, keep, kept);
}

function showKept(v) {
  for (const place of v.root.querySelectorAll(".oc-kept")) {
    place.textContent = place.dataset.of === v.keeps ? v.model.get("kept") : "";
  }
}
