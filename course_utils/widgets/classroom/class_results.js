/* The class's picture: what all votes of a class come to.
 *
 * `pictures` holds {key, demo, title, n, shown, more, mark, hint, rows}; a row is {label, value, low, high, words}, shares from 0
 * to 1. Bars are for the eye; the same numbers stand beside them as text, and in a table. A picture that is drawn already
 * is changed and not made anew, so that bars grow and the keyboard's place stays.
 */

import "#shared/panel.css";
import "#shared/share_vote.css";
import "./class_results.css";

import { send } from "#shared/connection.js";
import { button, make, saveFile } from "#shared/dom.js";
import { cssPercent } from "#shared/format.js";
import { buildMessage, buildSwitches, newView, openView, showFailure } from "#shared/panel.js";
import { visible } from "#shared/text.js";

const SEEN_MS = 3000;
const ALL = "All";
const NOBODY = "Nobody has voted yet. On the pages of the demos is a box: “Add my votes to the class's picture”.";

/* ---- building ------------------------------------------------------------------------------------------------------ */

function build(v) {
  v.title = make("p", { class: "cp-title" }, "What this class thinks");
  const head = make("div", { class: "cp-head" }, v.title, buildSwitches(v));
  buildMessage(v);
  v.said = make("p", { class: "cp-unseen", role: "status" });
  v.grid = make("div", { class: "cr-grid" });
  v.nobody = make("p", { class: "cr-nobody" }, NOBODY);
  const about = make("p", { class: "cp-hint" }, "Anonymous and voluntary. A picture is of five people at least, and changes when five more have voted, changed or taken back their vote.");
  v.root = make("section", { class: "cp cr", "aria-label": "What this class thinks" }, head, buildChoice(v), v.message, v.said, v.nobody, v.grid, about, buildLead(v));
}

function buildChoice(v) {
  v.choice = make("fieldset", { class: "cr-choices" }, make("legend", {}, "Show"));
  for (const [demo, title] of [["", ALL], ...Object.entries(v.model.get("titles"))]) {
    const input = make("input", { type: "radio", name: `${v.id}-about`, value: demo });
    input.addEventListener("change", () => send(v, { kind: "about", demo }));
    v.choice.append(make("label", { class: "cr-choice" }, input, title));
  }
  return v.choice;
}

/** What only a lecturer may do; the kernel refuses others too. */
function buildLead(v) {
  v.file = button("Export CSV", () => send(v, { kind: "export" }));
  v.anew = button("New round", () => ask(v, true));
  v.sure = button("Yes, begin a new round", () => (send(v, { kind: "new round" }), ask(v, false)), { class: "cp-main" });
  v.not = button("No", () => ask(v, false));
  const words = make("p", {}, "Begin anew for the whole class? What was counted stays in the file, and comes with the export.");
  v.asked = make("div", { class: "cr-asked", role: "group", "aria-label": "Begin a new round?", hidden: true }, words, make("div", { class: "cp-buttons" }, v.sure, v.not));
  v.asked.addEventListener("keydown", (event) => event.key === "Escape" && ask(v, false));
  v.lead = make("div", { class: "cr-lead" }, make("div", { class: "cp-buttons" }, v.file, v.anew), v.asked);
  return v.lead;
}

function ask(v, isAsked) {
  v.asked.hidden = !isAsked;
  v.anew.setAttribute("aria-expanded", String(isAsked));
  (isAsked ? v.not : v.anew).focus();
}

/* ---- what the kernel says ------------------------------------------------------------------------------------------ */

function showState(v) {
  showFailure(v);
  v.lead.hidden = !v.model.get("is_lecturer") || !v.model.get("session");
  showPictures(v);
}

function showPictures(v) {
  const about = v.model.get("about");
  v.choice.querySelectorAll("input").forEach((input) => (input.checked = input.value === about));
  const pictures = v.model.get("pictures").filter(({ demo }) => !about || demo === about);
  const round = v.model.get("round");
  v.title.textContent = round > 1 ? `What this class thinks · round ${round}` : "What this class thinks";
  const cards = pictures.map((picture) => {
    const key = `${round} ${picture.key}`;
    const card = v.cards.get(key) ?? buildCard(v, picture);
    v.cards.set(key, card);
    fill(v, card, picture);
    return card.node;
  });
  const isSame = cards.length === v.grid.children.length && cards.every((node, i) => v.grid.children[i] === node);
  if (!isSame) v.grid.replaceChildren(...cards);
  v.nobody.hidden = cards.length > 0 || !v.model.get("session");
  tell(v, pictures);
}

/** One sentence for those who do not see the bars grow, when a picture has changed. */
function tell(v, pictures) {
  const shown = pictures.filter((picture) => picture.shown);
  const news = JSON.stringify(shown.map(({ title, rows }) => [title, rows.map(({ words }) => words)]));
  if (news === v.news) return;
  v.news = news;
  v.said.textContent = shown.length ? `${shown.length} of ${pictures.length} ${pictures.length === 1 ? "question has a picture" : "questions have a picture"}.` : "";
}

function buildCard(v, { title }) {
  const rows = make("ul", { class: "cr-rows", "aria-label": title });
  const more = make("p", { class: "cr-more" });
  const hint = make("p", { class: "cp-hint" });
  const body = make("tbody");
  const heads = make("tr", {}, ...["Answer", "Share, 95% interval, count"].map((head) => make("th", { scope: "col" }, head)));
  const table = make("table", { class: "cr-table" }, make("caption", { class: "cp-unseen" }, title), make("thead", {}, heads), body);
  const details = make("details", {}, make("summary", {}, "As a table"), table);
  const node = make("article", { class: "cr-card" }, make("h3", { class: "cr-question" }, visible(title)), more, rows, hint, details);
  return { node, rows, more, hint, body, details, lines: new Map() };
}

function fill(v, card, { rows, more, mark, hint }) {
  if (card.more.textContent !== more) card.more.textContent = more;
  card.hint.textContent = hint;
  card.hint.hidden = !hint;
  card.details.hidden = card.rows.hidden = !rows.length;
  const lines = rows.map((row) => {
    const line = card.lines.get(row.label) ?? buildLine(row, mark);
    card.lines.set(row.label, line);
    grow(line, row);
    return line.node;
  });
  if (lines.length !== card.rows.children.length || lines.some((node, i) => card.rows.children[i] !== node)) card.rows.replaceChildren(...lines);
  card.body.replaceChildren(...rows.map((row) => make("tr", {}, make("th", { scope: "row" }, visible(row.label)), make("td", {}, row.words))));
}

function buildLine({ label }, mark) {
  const bar = make("span", { class: "cr-bar" });
  const ends = make("span", { class: "cr-ends", hidden: true });
  const track = make("span", { class: "cr-track", "aria-hidden": "true" }, bar, ends);
  if (mark !== null && mark !== undefined) {
    const chance = make("span", { class: "cr-mark" });
    chance.style.left = cssPercent(mark);
    track.append(chance);
  }
  bar.style.width = "0%";
  const words = make("span", { class: "cr-words" });
  const node = make("li", {}, make("span", { class: "cr-label" }, visible(label)), track, words);
  return { node, bar, ends, words };
}

/** The next frame: a bar that has just been put on the page grows from nothing. */
function grow({ bar, ends, words }, { value, low, high, words: told }) {
  words.textContent = told;
  requestAnimationFrame(() => {
    bar.style.width = cssPercent(value);
    ends.hidden = low === null;
    if (low !== null) Object.assign(ends.style, { left: cssPercent(low), right: cssPercent(1 - high) });
  });
}

/* ---- is it seen? --------------------------------------------------------------------------------------------------- */

/** Let the kernel look for votes while somebody can see the panel; return how to end that. */
function beSeen(v) {
  let isThere = true;
  const tellSeen = () => isThere && !document.hidden && send(v, { kind: "seen" });
  const watcher = new IntersectionObserver((entries) => ((isThere = entries.at(-1).isIntersecting), tellSeen()));
  watcher.observe(v.root);
  const timer = setInterval(tellSeen, SEEN_MS);
  document.addEventListener("visibilitychange", tellSeen);
  return () => (clearInterval(timer), watcher.disconnect(), document.removeEventListener("visibilitychange", tellSeen));
}

/* ---- the way onto the page ----------------------------------------------------------------------------------------- */

function render({ model, el }) {
  const v = Object.assign(newView(model, el), { cards: new Map(), news: "" });
  v.showState = () => showState(v);
  build(v);
  const state = () => showState(v);
  const close = openView(v, { message: state, pictures: state, round: state, about: state, is_lecturer: state, session: state });
  model.on("msg:custom", (message) => message.kind === "csv" && saveFile(message.name, message.text, "text/csv"));
  send(v, { kind: "ready" });
  const leave = beSeen(v);
  return () => (leave(), close());
}

export default { render };
