/* Panels with results: the model that is asked, how far the work is, rows with intervals, numbers to keep as evidence.
 *
 * A group of rows is {title, low, high, mark, rows, hint}: the ends of its scale, a value to mark (such as chance), and rows
 * as result_panel.py makes them: {label, value, low, high, words}. A number to keep is {metric, row, words}.
 */

import { send, stateWords } from "#shared/connection.js";
import { button, enable, make, setText } from "#shared/dom.js";
import { cssPercent, duration } from "#shared/format.js";
import { buildModelChooser } from "#shared/models.js";
import { buildMessage, showMessage } from "#shared/panel.js";
import { isWorking } from "#shared/states.js";
import { visible } from "#shared/text.js";

/* ---- the model, and how far its work is --------------------------------------------------------------------------------- */

export const buildSpeaker = (v) => buildModelChooser(v, "oc-speaker");

export function buildWork(v) {
  v.stop = button("Stop", () => isWorking(v) && send(v, { kind: "stop" }));
  v.bar = make("progress", { class: "oc-bar", max: 1, "aria-label": "Share that is done" });
  v.state = make("span", { class: "cp-strong", role: "status" });
  v.numbers = make("span", { class: "cp-numbers" });
  v.work = make("div", { class: "oc-work", hidden: true }, v.stop, make("p", {}, v.state, " ", v.numbers), v.bar);
  return [v.work, buildMessage(v)];
}

/** Words by state, of the panel's own; nothing is said of a state without words. */
export function showWork(v, words) {
  const [state, { share, what, left_s }] = [v.model.get("state"), v.model.get("progress")];
  v.root.dataset.state = state;
  const told = stateWords(v, words[state] ?? "", isWorking(v));
  setText(v.state, told);
  v.numbers.textContent = isWorking(v) && what ? `${what}${left_s ? ` · about ${duration(left_s)} left` : ""}` : "";
  v.bar.value = share ?? 0;
  const held = document.activeElement === v.stop;
  v.work.hidden = !told;
  v.stop.hidden = v.bar.hidden = !isWorking(v);
  if (held && v.stop.hidden) v.rest?.().focus(); // the keyboard's place must not vanish with the button
  showMessage(v, isWorking(v));
  enable(v.stop, isWorking(v));
}

/* ---- what was found ------------------------------------------------------------------------------------------------ */

export function buildGroup({ title, low, high, mark, rows, hint }) {
  const place = (value) => cssPercent((value - low) / (high - low));
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
export function buildTable(title, heads, rows) {
  const cells = (tag, row) => make("tr", {}, ...row.map((cell) => (cell instanceof Node ? make(tag, {}, cell) : make(tag, {}, visible(String(cell))))));
  const table = make("table", { class: "oc-table" }, make("caption", { class: "cp-unseen" }, title));
  table.append(make("thead", {}, cells("th", heads)), make("tbody", {}, ...rows.map((row) => cells("td", row))));
  table.querySelectorAll("th").forEach((head) => head.setAttribute("scope", "col"));
  return make("div", { class: "oc-scroll tl-scroll", tabindex: "0", role: "region", "aria-label": title }, table);
}

/** One choice of several, side by side; `options` are [value, words]. */
export function buildChoice(name, legend, options, choose) {
  const choices = options.map(([value, words]) => {
    const input = make("input", { type: "radio", name, value: String(value) });
    input.addEventListener("change", () => choose(value));
    return make("label", { class: "oc-choice" }, input, words);
  });
  return make("fieldset", { class: "oc-choices" }, make("legend", {}, legend), ...choices);
}

/* ---- what is kept -------------------------------------------------------------------------------------------------- */

export function buildKeep(v, name, numbers) {
  const which = make("select", { "aria-label": "Which number to keep" }, ...numbers.map(({ words }, i) => make("option", { value: String(i) }, visible(words))));
  const keep = button("Keep as evidence", () => {
    const { metric, row } = numbers[Number(which.value)];
    v.keeps = name;
    send(v, { kind: "keep", of: name, metric, row });
  });
  const kept = make("span", { class: "oc-kept", role: "status" });
  kept.dataset.of = name;
  if (v.keeps === name) kept.textContent = v.model.get("kept");
  return make("div", { class: "oc-keep" }, which, keep, kept);
}

export function showKept(v) {
  for (const place of v.root.querySelectorAll(".oc-kept")) {
    place.textContent = place.dataset.of === v.keeps ? v.model.get("kept") : "";
  }
}
