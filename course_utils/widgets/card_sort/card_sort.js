/* The card sort.
 *
 * A card lies in the pile or in a box. It moves by its buttons, by the arrow keys, or by dragging; the keyboard's place
 * goes to the next card of the pile, so that Enter, or an arrow, sorts one after the other.
 */

import "#shared/panel.css";
import "./card_sort.css";

import { send } from "#shared/connection.js";
import { button, make } from "#shared/dom.js";
import { capital } from "#shared/format.js";
import { buildHead, buildMessage, newView, openView, showFailure } from "#shared/panel.js";

const PAUSE_MS = 700; // in typing
const KEYS = { ArrowLeft: 0, ArrowRight: 1, ArrowUp: -1 }; // the number of a box; -1 is the pile
const boxOf = (v, name) => v.model.get("sorting")[name] ?? "";
const boxNames = (v) => Object.keys(v.model.get("boxes"));

/* ---- building ------------------------------------------------------------------------------------------------------ */

function buildPlace(v, box, title, about) {
  const list = make("ul", { class: "cs-cards", "aria-label": title });
  v.lists[box] = list;
  v.counts[box] = make("span", { class: "cp-hint" });
  const head = make("p", { class: "cs-boxhead" }, make("strong", {}, title), " ", v.counts[box]);
  const place = make("div", { class: box ? "cs-box" : "cs-pile" }, head, make("p", { class: "cp-hint" }, about), list);
  place.addEventListener("dragover", (event) => (event.preventDefault(), place.classList.add("cs-over")));
  place.addEventListener("dragleave", () => place.classList.remove("cs-over"));
  place.addEventListener("drop", (event) => {
    event.preventDefault();
    place.classList.remove("cs-over");
    const name = event.dataTransfer.getData("text/plain");
    if (v.cards[name]) put(v, name, box);
  });
  return place;
}

function buildCard(v, { name, about }) {
  const move = boxNames(v).map((box) => button(capital(box), () => put(v, name, box), { class: "cp-quiet", "aria-label": `${name}: ${box}` }));
  const back = button("Back", () => put(v, name, ""), { class: "cp-quiet", "aria-label": `${name}: back to the others` });
  const why = make("input", { type: "text", maxlength: v.model.get("longest"), placeholder: "because…", dir: "auto", "aria-label": `Why ${name} lies here` });
  const explain = () => (clearTimeout(why.pause), send(v, { kind: "explain", name, reason: why.value }));
  why.addEventListener("input", () => (clearTimeout(why.pause), (why.pause = setTimeout(explain, PAUSE_MS)))); // half a reason is kept too
  why.addEventListener("change", explain);
  const verdict = make("p", { class: "cs-verdict", hidden: true });
  const buttons = make("div", { class: "cp-buttons" }, ...move, back);
  const card = make("li", { class: "cs-card", draggable: true }, make("strong", {}, name), make("p", { class: "cp-hint" }, about), buttons, why, verdict);
  card.addEventListener("dragstart", (event) => event.dataTransfer.setData("text/plain", name));
  card.addEventListener("keydown", (event) => onKey(v, name, event));
  return { card, move, back, why, verdict };
}

function build(v) {
  const head = buildHead(v, "Destructive or deceptive?");
  const boxes = Object.entries(v.model.get("boxes")).map(([box, about]) => buildPlace(v, box, capital(box), about));
  const pile = buildPlace(v, "", "To sort", "Press a button, drag a card, or use the arrow keys: left, right, up for back. Then say why.");
  v.model.get("cards").forEach((card) => (v.cards[card.name] = buildCard(v, card)));
  v.compare = button("Compare with the author", () => send(v, { kind: "compare" }), { class: "cp-main" });
  v.said = make("p", { class: "cs-summary", role: "status" });
  buildMessage(v);
  v.root = make("section", { class: "cp cs", "aria-label": "Card sort" }, head, pile, make("div", { class: "cs-boxes" }, ...boxes));
  v.root.append(make("div", { class: "cp-row" }, v.compare, v.said), v.message);
}

/* ---- what the person does ------------------------------------------------------------------------------------------ */

function onKey(v, name, event) {
  if (!(event.key in KEYS) || event.target.tagName === "INPUT") return;
  event.preventDefault();
  put(v, name, boxNames(v)[KEYS[event.key]] ?? "");
}

function put(v, name, box) {
  if (boxOf(v, name) === box) return;
  const pile = [...v.lists[""].children];
  const place = pile.indexOf(v.cards[name].card);
  v.next = place < 0 ? name : nameOf(v, pile[place + 1] ?? pile[place - 1]);
  v.moved = name;
  send(v, { kind: "put", name, box });
}

const nameOf = (v, card) => Object.keys(v.cards).find((name) => v.cards[name].card === card);

/* ---- what the kernel says ------------------------------------------------------------------------------------------ */

function showSorting(v) {
  const sorting = v.model.get("sorting");
  for (const [name, { card, move, back, why }] of Object.entries(v.cards)) {
    const box = sorting[name] ?? "";
    if (card.parentNode !== v.lists[box]) v.lists[box].append(card);
    move.forEach((each, i) => (each.hidden = boxNames(v)[i] === box));
    back.hidden = why.hidden = !box;
  }
  for (const [box, list] of Object.entries(v.lists)) v.counts[box].textContent = `${list.children.length}`;
  if (v.moved) arrive(v);
}

/** After a move: the keyboard goes on in the pile, and a screen reader hears where the card went. */
function arrive(v) {
  const box = boxOf(v, v.moved);
  v.said.textContent = `${v.moved}: ${box || "back"}. ${v.lists[""].children.length} left.`;
  const next = v.cards[v.next];
  const place = [next?.move.find((each) => !each.hidden), v.compare].find(Boolean);
  place.focus();
  v.moved = v.next = null;
}

function showReasons(v) {
  const reasons = v.model.get("reasons");
  for (const [name, { why }] of Object.entries(v.cards)) {
    if (document.activeElement !== why) why.value = reasons[name] ?? "";
  }
}

function showVerdicts(v) {
  const verdicts = v.model.get("verdicts");
  for (const [name, { card, verdict }] of Object.entries(v.cards)) {
    const known = verdicts[name];
    verdict.hidden = !known;
    if (!known) continue;
    const agrees = known.box && known.box === boxOf(v, name);
    card.dataset.verdict = !known.box ? "unknown" : agrees ? "same" : "other";
    verdict.replaceChildren(make("strong", {}, known.box ? `${agrees ? "= " : ""}Author: ${known.box}` : "Author: unknown"), ` · ${known.how}`);
  }
}

/* ---- the way onto the page ----------------------------------------------------------------------------------------- */

function render({ model, el }) {
  const v = Object.assign(newView(model, el), { lists: {}, counts: {}, cards: {}, moved: null, next: null });
  v.showState = () => showFailure(v);
  build(v);
  return openView(v, {
    message: () => showFailure(v), sorting: () => (showSorting(v), showVerdicts(v)), reasons: () => showReasons(v), verdicts: () => showVerdicts(v),
    summary: () => v.model.get("summary") && (v.said.textContent = v.model.get("summary")),
  });
}

export default { render };
