/* The token map: every token of a text by its rank under a model. This module draws the trait `maps`, one entry a text:
 *   {name, n_tokens, n_characters, n_typed, shares, bits_per_token, bits_per_character, perplexity, tokens}
 * where a token is [text, rank, probability, surprisal in bits or null, [[text, probability], …the likeliest]].
 */

import "#shared/panel.css";
import "#shared/share_vote.css";
import "./token_map.css";

import { buildVoteSharing } from "#shared/share_vote.js";
import { send, setTrait, stateWords } from "#shared/connection.js";
import { button, enable, make, setText } from "#shared/dom.js";
import { capital, count, duration, percent } from "#shared/format.js";
import { buildModelChooser, showModels } from "#shared/models.js";
import { buildHead, buildMessage, newView, openView, showMessage } from "#shared/panel.js";
import { isWorking, stateLabels } from "#shared/states.js";
import { appendToken, buildAlternative, selectToken, watchTokens } from "#shared/token_grid.js";
import { RANK_CLASSES, rankClass, tokenName } from "#shared/tokens.js";

const STATES = stateLabels({ working: "Reading…" });
const FIRST = "This is the first token: with no text before it, the model can only guess how documents begin.";


/* ---- building ------------------------------------------------------------------------------------------------------ */

function buildTexts(v) {
  v.areas = [0, 1].map((i) => make("textarea", { id: `${v.id}-text${i}`, rows: 5, spellcheck: false, "aria-describedby": `${v.id}-keys` }));
  v.areas.forEach((area) => area.addEventListener("change", () => setTrait(v, "texts", typed(v))));
  v.labels = v.areas.map((area) => make("label", { for: area.id, class: "cp-strong" }));
  v.boxes = v.areas.map((area, i) => make("div", { class: "tm-box" }, v.labels[i], area));
  const keys = `Ctrl + Enter reads, Escape stops. At most ${count(v.model.get("longest"))} characters of a text are read.`;
  const hint = make("p", { id: `${v.id}-keys`, class: "cp-hint" }, keys);
  return make("div", { class: "tm-ask" }, make("div", { class: "tm-boxes" }, ...v.boxes), hint);
}

function buildActions(v) {
  v.read = button("Read", () => read(v), { class: "cp-main" });
  v.stop = button("Stop", () => isWorking(v) && send(v, { kind: "stop" }));
  v.second = button("", () => toggleSecond(v), { class: "cp-quiet" });
  v.state = make("span", { class: "cp-strong", role: "status" });
  v.numbers = make("span", { class: "cp-numbers" });
  v.bar = make("progress", { class: "tm-bar", max: 1, "aria-label": "Share that is read", hidden: true });
  const words = make("p", {}, v.state, " ", v.numbers);
  return make("div", { class: "cp-actions" }, make("div", { class: "cp-buttons" }, v.read, v.stop, v.second), words, v.bar);
}

function buildOutput(v) {
  v.line = make("p", { class: "cp-line" });
  v.finding = make("p", { class: "tm-finding", "aria-live": "polite" });
  v.keep = button("Keep as evidence", () => send(v, { kind: "keep" }), { class: "cp-quiet" });
  v.kept = make("span", { class: "cp-hint", role: "status" });
  v.shares = make("div", { class: "tm-shares" });
  v.grid = make("div", { class: "tm-grid" });
  v.details = make("div", { class: "tm-details", "aria-live": "polite", hidden: true });
  const hint = make("p", { class: "cp-hint" }, "Point at a token, or walk with the arrow keys: its rank, and what the model would rather have written, stands below. The first token of a text has nothing before it: its rank says little.");
  v.output = make("div", { class: "tm-output", hidden: true }, v.finding, v.shares, hint, v.grid, v.line, make("p", { class: "cp-row tm-keep" }, v.keep, v.kept), buildVoteSharing(v), v.details);
  watchTokens(v, "[data-place]", showDetails);
  return v.output;
}

function build(v) {
  buildMessage(v);
  v.root = make("section", { class: "cp tm", "aria-label": "Token map" }, buildHead(v, "Token map", buildModelChooser(v, "tm-speaker")), buildTexts(v), buildActions(v), v.message, buildOutput(v));
  v.root.addEventListener("keydown", (event) => onKey(v, event));
}

/* ---- what the person does ------------------------------------------------------------------------------------------ */

const typed = (v) => v.areas.slice(0, v.n_texts).map((area) => area.value);

function read(v) {
  // All that is asked travels with the wish: trait changes may still be waiting behind a busy kernel.
  send(v, { kind: "read", texts: typed(v), model: v.chooser.value });
}

function toggleSecond(v) {
  v.n_texts = 3 - v.n_texts;
  setTrait(v, "texts", typed(v));
  if (v.n_texts === 2) v.areas[1].focus();
}

function onKey(v, event) {
  if (event.key === "Escape" && isWorking(v)) send(v, { kind: "stop" });
  else if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) read(v);
  else return;
  event.preventDefault();
  event.stopPropagation();
}

/* ---- what the kernel says ------------------------------------------------------------------------------------------ */

function showState(v) {
  const [state, { share, what, left_s }] = [v.model.get("state"), v.model.get("progress")];
  v.root.dataset.state = state;
  const words = stateWords(v, STATES[state], isWorking(v));
  setText(v.state, words);
  v.numbers.textContent = isWorking(v) && what ? `${what}${left_s ? ` · about ${duration(left_s)} left` : ""}` : "";
  v.bar.hidden = !isWorking(v);
  v.bar.value = share ?? 0;
  showMessage(v, isWorking(v));
  v.output.setAttribute("aria-busy", String(isWorking(v)));
  enable(v.stop, isWorking(v));
}

function showTexts(v) {
  const texts = v.model.get("texts");
  v.n_texts = texts.length;
  v.areas.forEach((area, i) => document.activeElement !== area && i < texts.length && (area.value = texts[i]));
  v.boxes[1].hidden = v.n_texts < 2;
  v.labels[0].textContent = v.n_texts < 2 ? "Text" : "Text 1, such as a person's";
  v.labels[1].textContent = "Text 2, such as a machine's";
  v.second.textContent = v.n_texts < 2 ? "Compare with a second text" : "Without the second text";
}

function showMaps(v) {
  const maps = v.model.get("maps");
  v.output.hidden = !maps.length;
  v.details.hidden = true;
  v.shares.replaceChildren(...maps.map((map) => buildShares(map, maps.length)));
  v.grid.replaceChildren(...maps.map((map, i) => buildMap(map, i, maps.length)));
}

/** The four shares: legend, counts and histogram in one, on the same scale for both texts. */
function buildShares(map, n_maps) {
  const counts = RANK_CLASSES.map((_, k) => map.tokens.filter(([, rank]) => rankClass(rank) === k).length);
  const rows = RANK_CLASSES.map(([, words], k) => {
    const bar = make("span", { class: `tm-share tm-class${k}`, "aria-hidden": "true" });
    bar.style.setProperty("--share", String(map.shares[k]));
    const track = make("span", { class: "tm-track", "aria-hidden": "true" }, ...(counts[k] ? [bar] : []));
    const told = make("span", { class: "tm-number" }, make("strong", {}, `${(100 * map.shares[k]).toFixed(1)} %`), ` ${count(counts[k])}`);
    return make("li", {}, make("span", { class: `tm-token tm-class${k}` }, words), track, told);
  });
  const number = (n, digits) => (n === null ? "beyond measure" : n.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits }));
  const facts = [
    ["tokens", count(map.n_tokens)], ["characters", count(map.n_characters)], ["bits per token", number(map.bits_per_token, 2)],
    ["bits per character", number(map.bits_per_character, 2)], ["perplexity", number(map.perplexity, map.perplexity < 100 ? 1 : 0)],
  ];
  const totals = make("dl", { class: "tm-totals" }, ...facts.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value))));
  const title = n_maps > 1 ? `${capital(map.name)}: share of its tokens by rank` : "Share of the tokens by rank";
  return make("div", { class: "tm-histogram" }, make("p", { class: "cp-label" }, title), make("ul", { "aria-label": title }, ...rows), totals);
}

function buildMap(map, i, n_maps) {
  const body = make("div", { class: "tm-text", role: "listbox", "aria-orientation": "horizontal", "aria-label": `Tokens of ${map.name}` });
  body.dataset.map = String(i);
  map.tokens.forEach(([text, rank], index) => appendToken(body, { text, rank, index, look: "tm-token tm-class", data: "place" }));
  const parts = n_maps > 1 ? [make("p", { class: "cp-label" }, capital(map.name))] : [];
  if (map.n_characters < map.n_typed) {
    parts.push(make("p", { class: "tm-cut" }, `Only the first ${count(map.n_characters)} of ${count(map.n_typed)} characters were read.`));
  }
  return make("article", { class: "tm-card" }, ...parts, body);
}

/* ---- one token ----------------------------------------------------------------------------------------------------- */

function showDetails(v, token) {
  const map = v.model.get("maps")[Number(token.parentNode.dataset.map)];
  const place = Number(token.dataset.place);
  const [text, rank, probability, bits, alternatives] = map.tokens[place];
  selectToken(v, token);
  const surprisal = bits === null ? "surprisal beyond measure" : `surprisal ${bits.toFixed(2)} bits`;
  const facts = `rank ${count(rank)} · probability ${percent(probability)} · ${surprisal} · token ${count(place + 1)} of ${count(map.n_tokens)}`;
  const before = rank > alternatives.length ? "any of these" : rank > 2 ? `one of the ${rank - 1} that stand before it here` : "the first of these";
  const lead = rank === 1 ? "It was the model's first choice; what else it thought likely:" : `The model would rather have written ${before}:`;
  const list = make("ol", { class: "tm-alternatives" }, ...alternatives.map(([word, p], i) => buildAlternative("tm", word, p, i + 1 === rank, { bar: "p", share: "number", chosen: "came" })));
  const notes = place ? "" : FIRST;
  v.details.replaceChildren(make("p", {}, make("strong", { class: "tm-name" }, tokenName(text)), " ", facts), make("p", { class: "cp-hint" }, lead), list, make("p", { class: "cp-hint", hidden: !notes }, notes));
  v.details.hidden = false;
}

/* ---- the way onto the page ----------------------------------------------------------------------------------------- */

function render({ model, el }) {
  const v = Object.assign(newView(model, el), { n_texts: 1 });
  v.showState = () => showState(v);
  build(v);
  const leave = openView(v, {
    state: () => showState(v), message: () => showState(v), progress: () => showState(v), models: () => showModels(v), model: () => showModels(v),
    texts: () => showTexts(v), maps: () => showMaps(v), finding: () => (v.finding.textContent = v.model.get("finding")),
    label: () => (v.line.textContent = v.model.get("label") && `Read by ${v.model.get("label")}`), kept: () => (v.kept.textContent = v.model.get("kept")),
  });
  send(v, { kind: "ready" });
  return leave;
}

export default { render };
