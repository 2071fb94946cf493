/* The evidence board: the records of a ledger, and how each is measured again. This module draws the traits that the kernel sets:
 *   listed    [{id, time, experiment, what, value, models}, …], the newest first
 *   counts    {all, found, listed, path};   choices  {experiment, model, status}, what can be asked for;   asked  what is
 *   shown     a record whole: also finding, facts, settings, versions, columns, rows, n_rows, why_not
 *   outcomes  {id: {status, recorded, again, why}};   picture  {id, src, alt} or {id, why}
 */

import "#shared/panel.css";
import "./evidence_board.css";

import { send, stateWords } from "#shared/connection.js";
import { button, enable, isEnabled, make, setText } from "#shared/dom.js";
import { buildHead, buildMessage, copy, newView, openView, showMessage } from "#shared/panel.js";
import { isWorking, stateLabels } from "#shared/states.js";
import { visible } from "#shared/text.js";

const STATES = stateLabels({ idle: "", working: "At work…" });
const NOT_YET = "not done again";
const TYPED_MS = 250;
const FIELDS = [["experiment", "Experiment", "all experiments"], ["model", "Model", "all models"], ["status", "Done again", "all"]];

/* ---- building ------------------------------------------------------------------------------------------------------ */

function buildField(v, name, label, input) {
  input.id = `${v.id}-${name}`;
  v.fields[name] = input;
  return make("div", { class: "eb-field" }, make("label", { for: input.id }, label), input);
}

function buildFilter(v) {
  const text = make("input", { type: "text", spellcheck: false, placeholder: "" });
  text.addEventListener("input", () => (clearTimeout(v.typed), (v.typed = setTimeout(() => ask(v), TYPED_MS))));
  const fields = FIELDS.map(([name, label]) => buildField(v, name, label, make("select", { onchange: () => ask(v) })));
  return make("div", { class: "eb-filter", role: "search", "aria-label": "Which records" }, buildField(v, "text", "Text", text), ...fields);
}

function buildActions(v) {
  v.all = button("Do all again", () => isEnabled(v.all) && send(v, { kind: "rerun_all" }));
  v.stop = button("Stop", () => isWorking(v) && send(v, { kind: "stop" }));
  v.refresh = button("Refresh", () => send(v, { kind: "refresh" }));
  v.state = make("span", { class: "cp-strong", role: "status" });
  v.numbers = make("span", { class: "cp-numbers" });
  v.bar = make("progress", { class: "eb-bar", max: 1, "aria-label": "Share that is done again", hidden: true });
  return make("div", { class: "cp-actions" }, make("div", { class: "cp-buttons" }, v.refresh, v.all, v.stop), make("p", {}, v.state, " ", v.numbers), v.bar);
}

function buildTable(v) {
  v.heads = make("tr");
  v.body = make("tbody");
  v.caption = make("caption");
  const table = make("table", {}, v.caption, make("thead", {}, v.heads), v.body);
  return make("div", { class: "eb-scroll eb-table", tabindex: "0", role: "region", "aria-label": "Table of the record" }, table);
}

function buildMore(summary) {
  const list = make("dl", { class: "eb-facts" });
  return [make("details", {}, make("summary", {}, summary), list), list];
}

function buildWhole(v) {
  v.cite = make("code");
  v.copy = button("Copy", () => copy(v, v.cite.textContent), { class: "cp-quiet" });
  v.again = button("Do it again", () => isEnabled(v.again) && send(v, { kind: "rerun", id: v.model.get("shown").id }), { class: "cp-main" });
  const head = make("div", { class: "cp-row" }, make("p", {}, "Cite it as ", v.cite, " ", v.copy), v.again);
  Object.assign(v, { finding: make("p", { class: "cp-strong" }), number: make("p", { class: "eb-number" }), facts: make("dl", { class: "eb-facts" }) });
  v.outcome = make("p", { class: "eb-outcome", "aria-live": "polite" });
  const [settings, settingsList] = buildMore("Settings");
  const [versions, versionsList] = buildMore("Versions");
  Object.assign(v, { settingsList, versionsList });
  v.image = make("img", { class: "eb-picture", alt: "" });
  v.frame = make("div", { class: "eb-scroll", tabindex: "0", role: "region", "aria-label": "Picture of the record" }, v.image);
  v.noImage = make("p", { class: "cp-hint" });
  const columns = make("div", { class: "eb-columns" }, v.facts, make("div", {}, settings, versions));
  v.whole = make("article", { class: "eb-whole", "aria-label": "The record", tabindex: "-1", hidden: true }, head, v.finding, v.number, v.outcome, columns, buildTable(v), v.frame, v.noImage);
  return v.whole;
}

function build(v) {
  const head = buildHead(v, "Evidence board");
  v.path = make("p", { class: "cp-hint eb-path", role: "status" });
  v.faults = make("ul", { class: "eb-faults", role: "alert", hidden: true });
  buildMessage(v);
  v.list = make("ul", { class: "eb-list", "aria-label": "Records" });
  v.list.addEventListener("keydown", (event) => onKey(v, event));
  v.root = make("section", { class: "cp eb", "aria-label": "Evidence board" }, head, v.faults, buildFilter(v), v.path, v.list, buildActions(v), v.message, buildWhole(v));
  v.root.addEventListener("keydown", (event) => event.key === "Escape" && isWorking(v) && send(v, { kind: "stop" }));
}

/* ---- what the person does ------------------------------------------------------------------------------------------ */

function ask(v) {
  const asked = Object.fromEntries(Object.entries(v.fields).map(([name, input]) => [name, input.value]));
  send(v, { kind: "filter", asked });
}

/** The arrows go from one record to the next. */
function onKey(v, event) {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!step) return;
  const rows = [...v.list.querySelectorAll(".eb-row")];
  rows[rows.indexOf(document.activeElement) + step]?.focus();
  event.preventDefault();
}

/* ---- what the kernel says ------------------------------------------------------------------------------------------ */

function showState(v) {
  const [state, { share = 0, what = "" }] = [v.model.get("state"), v.model.get("progress")];
  v.root.dataset.state = state;
  const words = stateWords(v, STATES[state]);
  setText(v.state, words);
  v.numbers.textContent = isWorking(v) && what ? `${Math.round(100 * share)} % · ${visible(what)}` : "";
  v.bar.hidden = !isWorking(v);
  v.bar.value = share;
  showMessage(v);
  enable(v.stop, isWorking(v));
  enable(v.all, !isWorking(v) && v.model.get("counts").found > 0);
  enable(v.again, !isWorking(v) && !v.model.get("shown").why_not);
}

function showFaults(v) {
  const faults = v.model.get("faults");
  v.faults.replaceChildren(...faults.map((fault) => make("li", {}, visible(fault))));
  v.faults.hidden = !faults.length;
}

function showFilter(v) {
  const [choices, asked] = [v.model.get("choices"), v.model.get("asked")];
  for (const [name, , all] of FIELDS) {
    const options = [["", all], ...(choices[name] ?? []).map((each) => [each, visible(each)])];
    v.fields[name].replaceChildren(...options.map(([value, words]) => make("option", { value }, words)));
    v.fields[name].value = asked[name] ?? "";
  }
  if (document.activeElement !== v.fields.text) v.fields.text.value = asked.text ?? "";
}

function statusOf(v, id) {
  const status = v.model.get("outcomes")[id]?.status ?? NOT_YET;
  return make("span", { class: "eb-status", "data-status": status }, status);
}

function buildRow(v, { id, time, experiment, what, value, models }) {
  const [first, second] = [make("span", {}, visible(what)), make("span", {}, visible(value))];
  const third = make("span", {}, visible(experiment), make("small", {}, visible(models)));
  const row = make("button", { type: "button", class: "eb-row", "data-id": id, onclick: () => send(v, { kind: "choose", id }) });
  row.append(make("span", { class: "eb-id" }, id), first, second, third, make("span", {}, statusOf(v, id), make("small", {}, time)));
  return make("li", {}, row);
}

function showList(v) {
  const [listed, counts] = [v.model.get("listed"), v.model.get("counts")];
  const at = document.activeElement?.closest?.(".eb-row")?.dataset.id;
  const none = counts.all ? "No record is like that." : "No record yet: Keep as evidence, under a result, makes the first one.";
  v.list.replaceChildren(...(listed.length ? listed.map((record) => buildRow(v, record)) : [make("li", { class: "eb-empty" }, none)]));
  const newest = counts.listed < counts.found ? `, the newest ${counts.listed} of them here` : "";
  const words = `${counts.found} of ${counts.all} ${counts.all === 1 ? "record" : "records"}${newest} · ${visible(counts.path)}`;
  setText(v.path, words);
  showChosen(v);
  showState(v);
  if (at) [...v.list.querySelectorAll(".eb-row")].find((row) => row.dataset.id === at)?.focus();
}

function showChosen(v) {
  for (const row of v.list.querySelectorAll(".eb-row")) row.setAttribute("aria-pressed", String(row.dataset.id === v.model.get("chosen")));
}

const pairs = (list, values) => list.replaceChildren(...values.flatMap(([name, value]) => [make("dt", {}, visible(name)), make("dd", {}, visible(value))]));

function showWhole(v) {
  const record = v.model.get("shown");
  v.whole.hidden = !record.id;
  if (!record.id) return;
  v.cite.textContent = `[@${record.id}]`;
  v.finding.textContent = visible(record.finding);
  v.number.textContent = visible(`${record.what}: ${record.value}`);
  pairs(v.facts, record.facts);
  pairs(v.settingsList, record.settings);
  pairs(v.versionsList, record.versions);
  v.heads.replaceChildren(...record.columns.map((name) => make("th", { scope: "col" }, visible(name))));
  v.body.replaceChildren(...record.rows.map((row) => make("tr", {}, ...row.map((cell) => make("td", {}, visible(cell))))));
  v.caption.textContent = record.rows.length < record.n_rows ? `The first ${record.rows.length} of ${record.n_rows} rows` : "The whole table";
  showOutcome(v);
  showState(v);
}

function showOutcome(v) {
  const { id, why_not } = v.model.get("shown");
  const outcome = v.model.get("outcomes")[id];
  const both = outcome?.again ? ` · recorded ${outcome.recorded}, now ${outcome.again}` : "";
  const why = outcome?.why ?? why_not;
  if (id) v.outcome.replaceChildren(statusOf(v, id), both, ...(why ? [make("small", {}, visible(why))] : []));
}

function showPicture(v) {
  const { src = "", alt = "", why = "" } = v.model.get("picture");
  v.frame.hidden = !src;
  v.noImage.hidden = Boolean(src);
  v.noImage.textContent = why;
  if (src) Object.assign(v.image, { src, alt });
}

/* ---- the way onto the page ----------------------------------------------------------------------------------------- */

function render({ model, el }) {
  const v = Object.assign(newView(model, el), { fields: {} });
  v.showState = () => showState(v);
  build(v);
  const [state, list, filter] = [() => showState(v), () => showList(v), () => showFilter(v)];
  const shows = { state, progress: state, message: state, faults: () => showFaults(v), choices: filter, asked: filter, listed: list, counts: list };
  const close = openView(v, { ...shows, shown: () => showWhole(v), chosen: () => showChosen(v), outcomes: () => (showList(v), showOutcome(v)), picture: () => showPicture(v) });
  send(v, { kind: "ready" });
  return close;
}

export default { render };
