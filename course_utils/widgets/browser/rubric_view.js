/* The rubric of marking panels. This module draws these traits, and sends what a person does, at once:
 *   rubric  {title, points, criteria: [{id, name, weight, asks, levels: [{name, points, text}], scheme}]}
 *   marks   {paper, points, comments, levels, between: each by criterion; total, missing}
 *   bank    {criterion: earlier comments};   saved  {n, words, why, criterion, kind, typed}, the answer to a change
 * What is typed stays in its field until the kernel has written it; what it refuses stays there too, with the reason.
 */

import { send } from "#shared/connection.js";
import { button, make } from "#shared/dom.js";
import { visible } from "#shared/text.js";

const PAUSE_MS = 700;

/* ---- building ------------------------------------------------------------------------------------------------------ */

/** Build all criteria; `has` says which parts: points, bank; and what a comment is called. */
export function buildRubric(v, has) {
  Object.assign(v, { rows: new Map(), unsaved: new Set(), refused: new Set(), has });
  const criteria = v.model.get("rubric").criteria.map((criterion, i) => buildCriterion(v, criterion, i + 1));
  v.rubric = make("div", { class: "rv", role: "region", "aria-label": "Rubric", tabindex: "-1" }, ...criteria);
  return v.rubric;
}

function buildCriterion(v, { id, name, weight, asks, levels, scheme }, number) {
  const row = { id, name, keys: `${v.id}-${id}`, extra: make("div", { class: "rv-extra" }), told: make("p", { class: "rv-told", role: "status" }) };
  v.rows.set(id, row);
  const legend = make("legend", {}, `${number}. ${name} `, make("span", { class: "rv-weight" }, `${weight} points`));
  const radios = make("div", { class: "rv-levels" }, ...levels.map((level, i) => buildLevel(v, row, level, i)));
  const parts = [make("p", { class: "rv-asks" }, asks), buildScheme(v, scheme), radios, row.extra, v.has.points ? buildPoints(v, row, weight) : "", row.told, buildComment(v, row)];
  row.set = make("fieldset", { class: "rv-criterion", "data-id": id }, legend, ...parts);
  row.set.addEventListener("keydown", (event) => onCriterionKey(v, row, event));
  return row.set;
}

function buildLevel(v, row, { name, points, text }, i) {
  const input = make("input", { type: "radio", name: row.keys, value: i, "aria-labelledby": `${row.keys}-l${i}`, "aria-describedby": `${row.keys}-d${i}` });
  input.addEventListener("change", () => chooseLevel(v, row, i));
  (row.radios ??= []).push(input);
  const worth = v.has.points ? make("span", { class: "rv-worth" }, ` ${points}`, make("span", { class: "cp-unseen" }, " points")) : "";
  return make("label", { class: "rv-level" }, input, make("span", { id: `${row.keys}-l${i}`, class: "rv-name" }, name, worth), make("span", { id: `${row.keys}-d${i}`, class: "rv-text" }, text));
}

function buildScheme(v, blocks) {
  if (!blocks.length) return "";
  const parts = blocks.map(({ kind, runs }) => make(kind === "item" ? "li" : "p", {}, ...runs.map(({ text, style }) => (["em", "strong", "code"].includes(style) ? make(style, {}, text) : text))));
  return make("details", { class: "rv-scheme" }, make("summary", {}, "Mark scheme, for graders only"), make("div", {}, ...parts));
}

function buildPoints(v, row, weight) {
  row.points = make("input", { type: "text", inputmode: "decimal", id: `${row.keys}-points`, "aria-describedby": `${row.keys}-told`, spellcheck: false });
  row.told.id = `${row.keys}-told`;
  row.between = make("span", { class: "cp-hint" });
  listen(v, row, "points", row.points);
  row.points.addEventListener("keydown", (event) => event.key === "Enter" && write(v, row, "points"));
  const back = button("Take back", () => takeBack(v, row), { class: "cp-quiet", "aria-label": `Take the points of ${row.name} back` });
  return make("div", { class: "rv-points" }, make("label", { for: row.points.id }, "Points"), row.points, make("span", {}, `of ${weight}`), back, row.between);
}

function buildComment(v, row) {
  row.comment = make("textarea", { id: `${row.keys}-comment`, rows: 2, dir: "auto" });
  listen(v, row, "comment", row.comment);
  row.comment.addEventListener("focus", () => (row.goesOn = false));
  const parts = [make("label", { for: row.comment.id }, v.has.comment), row.comment];
  if (v.has.bank) {
    row.bank = make("div", { class: "rv-bank" });
    row.earlier = make("details", {}, make("summary", {}, "Earlier comments"), row.bank);
    row.earlier.addEventListener("toggle", () => row.earlier.open && send(v, { kind: "bank", criterion: row.id }));
    parts.push(row.earlier);
  }
  return make("div", { class: "rv-comment" }, ...parts);
}

/* ---- what the person does ------------------------------------------------------------------------------------------ */

const fieldOf = (row, kind) => (kind === "points" ? row.points : row.comment);

/** Write a field after a pause in typing, and when it is left. */
function listen(v, row, kind, field) {
  field.addEventListener("input", () => {
    v.unsaved.add(`${row.id}/${kind}`);
    showSaving(v);
    clearTimeout(row[`${kind}Pause`]);
    row[`${kind}Pause`] = setTimeout(() => write(v, row, kind), PAUSE_MS);
  });
  field.addEventListener("change", () => write(v, row, kind));
}

function write(v, row, kind) {
  clearTimeout(row[`${kind}Pause`]);
  const [key, typed] = [`${row.id}/${kind}`, fieldOf(row, kind).value];
  if (!v.unsaved.has(key) || row[`${kind}Sent`] === typed) return;
  row[`${kind}Sent`] = typed;
  send(v, { kind, criterion: row.id, typed, paper: v.model.get("marks").paper, goes_on: Boolean(row.goesOn) });
  if (kind === "comment") row.goesOn = true;
}

function chooseLevel(v, row, level) {
  forget(v, row, "points");
  send(v, { kind: "level", criterion: row.id, typed: level, paper: v.model.get("marks").paper });
  showSaving(v);
}

function takeBack(v, row) {
  row.points.value = "";
  forget(v, row, "points");
  v.unsaved.add(`${row.id}/points`);
  showSaving(v);
  write(v, row, "points");
}

/** What is in a field no longer waits to be written. */
function forget(v, row, kind) {
  clearTimeout(row[`${kind}Pause`]);
  v.unsaved.delete(`${row.id}/${kind}`);
  v.refused.delete(`${row.id}/${kind}`);
  row[`${kind}Sent`] = undefined;
  fieldOf(row, kind)?.setAttribute("aria-invalid", "false");
  row.told.textContent = "";
  row.told.dataset.refused = "false";
}

/** Wish for something that needs all that is typed to be written first: another paper, an undo. */
export function after(v, wish) {
  for (const row of v.rows.values()) for (const kind of ["points", "comment"]) if (fieldOf(row, kind)) write(v, row, kind);
  v.wish = v.unsaved.size ? wish : null;
  if (!v.unsaved.size) return wish();
  const [first] = v.refused;
  if (first) stay(v, first);
}

function stay(v, key) {
  const [id, kind] = key.split("/");
  const row = v.rows.get(id);
  v.wish = null;
  v.savedLine.dataset.refused = "true";
  v.savedLine.textContent = `Not left: what you typed at ${row.name} is not saved. Put it right; Escape brings back what is saved.`;
  fieldOf(row, kind).focus();
}

function insertComment(v, row, text) {
  const before = row.comment.value.trimEnd();
  row.comment.value = before ? `${before}\n${text}` : text;
  row.comment.focus();
  row.comment.dispatchEvent(new Event("input"));
  write(v, row, "comment");
}

export const isText = (node) => node.matches("textarea, input[type='text']");

function onCriterionKey(v, row, event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (isText(event.target)) {
    if (event.key === "Escape") leaveField(v, row, event);
    return;
  }
  if (!v.hasKeys) return;
  const radio = row.radios[Number(event.key) - 1];
  if (radio) {
    event.preventDefault();
    radio.focus();
    if (!radio.checked) radio.click();
  } else if (event.key === "c") {
    event.preventDefault();
    row.comment.focus();
  }
}

/** Escape leaves a field; what was refused in it gives way to what is saved. */
function leaveField(v, row, event) {
  event.stopPropagation();
  const kind = event.target === row.points ? "points" : "comment";
  if (v.refused.has(`${row.id}/${kind}`)) {
    forget(v, row, kind);
    showMarks(v);
    showSaving(v);
  }
  atLevels(row);
}

const atLevels = (row) => (row.radios.find((radio) => radio.checked) ?? row.radios[0]).focus();

/** To the first criterion without points, then from each to the next one. */
export function toCriterion(v, step) {
  const rows = [...v.rows.values()];
  const here = rows.findIndex((row) => row.set.contains(document.activeElement));
  const open = Math.max(0, rows.findIndex((row) => !row.radios.some((radio) => radio.checked) && !row.points?.value));
  const row = here < 0 ? rows[open] : rows[(here + step + rows.length) % rows.length];
  atLevels(row);
  row.set.scrollIntoView({ block: "nearest" });
}

/* ---- what the kernel says ------------------------------------------------------------------------------------------ */

export function showMarks(v) {
  const { points = {}, comments = {}, levels = {}, between = {}, paper } = v.model.get("marks");
  if (v.shownPaper !== paper) {
    for (const row of v.rows.values()) for (const kind of ["points", "comment"]) forget(v, row, kind);
    v.shownPaper = paper;
    Object.assign(v.savedLine.dataset, { refused: "false" });
    v.savedLine.textContent = "";
  }
  for (const [id, row] of v.rows) {
    row.radios.forEach((radio, i) => (radio.checked = levels[id] === i));
    row.set.dataset.marked = String(Boolean(points[id]));
    if (row.between) row.between.textContent = between[id] ?? "";
    if (row.points && !v.unsaved.has(`${id}/points`) && row.points.value !== points[id]) row.points.value = points[id] ?? "";
    if (!v.unsaved.has(`${id}/comment`) && row.comment.value !== comments[id]) row.comment.value = comments[id] ?? "";
  }
  v.showTotal?.();
}

export function showSaved(v) {
  const { n, words, why, criterion, kind, typed } = v.model.get("saved");
  if (!n || n === v.heardOf) return;
  v.heardOf = n;
  v.isGoing = false;
  const row = v.rows.get(criterion);
  if (row) settle(v, row, kind, typed, words, why);
  if (why && !row) showMarks(v);
  v.savedLine.textContent = why && row ? `Not saved: see ${row.name}.` : why || words;
  v.savedLine.dataset.refused = String(Boolean(why));
  if (!why) showSaving(v);
  if (v.wish && why) stay(v, `${criterion}/${kind}`);
  else if (v.wish && !v.unsaved.size) after(v, v.wish);
}

/** One change was written, or refused: then it stays where it was typed, marked, with the reason under it. */
function settle(v, row, kind, typed, words, why) {
  const key = `${row.id}/${kind}`;
  row.told.textContent = why || words;
  row.told.dataset.refused = String(Boolean(why));
  for (const other of v.rows.values()) if (other !== row && other.told.dataset.refused !== "true") other.told.textContent = "";
  if (kind === "level") {
    if (why) showMarks(v);
    return;
  }
  const field = fieldOf(row, kind);
  field.setAttribute("aria-invalid", String(Boolean(why)));
  if (why) return void v.refused.add(key);
  v.refused.delete(key);
  if (field.value !== typed) return; // typed further meanwhile
  v.unsaved.delete(key);
  row[`${kind}Sent`] = undefined;
  showMarks(v);
}

function showSaving(v) {
  if (v.unsaved.size && !v.refused.size) v.savedLine.textContent = "Saving…";
}

export function showBank(v) {
  for (const [id, row] of v.rows) {
    const said = v.model.get("bank")[id];
    if (!row.bank) continue;
    if (!said) row.earlier.open = false;
    const none = make("p", { class: "cp-hint" }, said ? "Nothing has been said about it yet." : "");
    const uses = (said ?? []).map((text) => button(visible(text), () => insertComment(v, row, text), { class: "rv-said", dir: "auto" }));
    row.bank.replaceChildren(...(uses.length ? uses : [none]));
  }
}
