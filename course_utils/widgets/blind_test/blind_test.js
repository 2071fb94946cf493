/* The blind test: who wrote a text, a person or a machine?
 *
 * One text stands on the page; H and M, the arrow keys, or two buttons answer it, and the keyboard's place goes to the next.
 * Who wrote the texts is in the trait `outcomes`, which is empty until all are judged.
 */

import "#shared/panel.css";
import "#shared/share_vote.css";
import "#shared/result_panel.css";
import "./blind_test.css";

import { buildVoteSharing } from "#shared/share_vote.js";
import { send } from "#shared/connection.js";
import { button, enable, isEnabled, make } from "#shared/dom.js";
import { showModels } from "#shared/models.js";
import { buildChoice, buildGroup, buildKeep, buildSpeaker, buildWork, showKept, showWork } from "#shared/result_panel.js";
import { buildHead, newView, openView } from "#shared/panel.js";
import { isWorking } from "#shared/states.js";
import { visible } from "#shared/text.js";

const WORDS = { loading: "Loading the model…", working: "Making the texts…", stopped: "Stopped. What was written is kept." };
const NAMES = { human: "a person", machine: "a machine" };
const KEYS = { h: "human", m: "machine", arrowleft: "human", arrowright: "machine" };
const ETHICS =
  "Taking part is voluntary and needs no name. What a machine writes about real people may be false: it stays in this room.";

/* ---- building ------------------------------------------------------------------------------------------------------ */

function buildStart(v) {
  v.count = make("select", { id: `${v.id}-count` }, ...[3, 6, 10, 15].map((n) => make("option", { value: String(n) }, `${2 * n}`)));
  v.begin = button("Begin", () => isEnabled(v.begin) && awaitTexts(v, { kind: "start", model: v.chooser.value, n_each: Number(v.count.value) }), { class: "cp-main" });
  const how = "Half of the texts are news that people wrote, half a model wrote on from an article's first sentence. All have the same length, each article comes once. Who wrote what is told after the last.";
  const count = make("div", { class: "bt-count" }, make("label", { for: v.count.id }, "Texts"), v.count);
  v.where = make("p", { class: "cp-hint" });
  v.start = make("div", { class: "bt-start" }, make("p", {}, how), buildSpeaker(v), make("div", { class: "cp-row bt-go" }, count, v.begin), v.where);
  return v.start;
}

function buildReading(v) {
  v.place = make("p", { class: "cp-strong", id: `${v.id}-place` });
  v.reached = make("progress", { class: "oc-bar", "aria-label": "Texts that are judged" });
  v.headline = make("h3", { class: "bt-headline" });
  v.text = make("p", { class: "bt-text" });
  v.article = make("article", { class: "bt-article", tabindex: "-1", "aria-labelledby": v.place.id }, v.headline, v.text);
  v.rates = v.model.get("scales").map((scale) => buildScale(v, scale));
  v.rating = make("div", { class: "bt-rating", role: "group", "aria-label": "Ratings" }, make("p", { class: "cp-hint" }, "First rate the text, from 1 (not at all) to 4 (very)."), ...v.rates);
  v.sure = buildChoice(`${v.id}-sure`, "How sure? (optional)", v.model.get("confidences"), () => keepHalf(v));
  v.answers = ["human", "machine"].map((answer) => buildAnswer(v, answer));
  v.hint = make("p", { class: "cp-hint", role: "status" });
  const buttons = make("div", { class: "bt-answers" }, ...v.answers);
  v.reading = make("div", { class: "bt-reading", hidden: true }, make("div", { class: "cp-row" }, v.place), v.reached, v.article, v.rating, v.sure, buttons, v.hint);
  return v.reading;
}

function buildScale(v, scale) {
  const rate = () => {
    const ratings = chosen(v.rating);
    keepHalf(v);
    if (ratings.length === v.rates.length) send(v, { kind: "rate", ratings });
    showAnswers(v);
  };
  return buildChoice(`${v.id}-${scale}`, `How ${scale}?`, [1, 2, 3, 4].map((n) => [n, String(n)]), rate);
}

function buildAnswer(v, answer) {
  const key = answer[0].toUpperCase();
  const label = make("span", {}, `${NAMES[answer][0].toUpperCase()}${NAMES[answer].slice(1)} wrote it`);
  const node = make("button", { type: "button", class: "bt-answer", "aria-keyshortcuts": key, onclick: () => give(v, answer) });
  node.append(label, make("kbd", { "aria-hidden": "true" }, key));
  return node;
}

function buildDone(v) {
  v.finding = make("p", { class: "oc-finding", tabindex: "-1" });
  v.outcome = make("div", { class: "bt-outcome" });
  v.again = button("New round: other texts", () => awaitTexts(v, { kind: "new round" }), { class: "cp-main" });
  v.other = make("input", { type: "text", id: `${v.id}-rater`, maxlength: "20", placeholder: "B" });
  const play = button("Let them read", () => send(v, { kind: "play as", rater: v.other.value }));
  const second = make("div", { class: "bt-second" }, make("label", { for: v.other.id }, "A second reader of the same texts (a letter, no name)"), v.other, play);
  v.done = make("div", { class: "bt-done", hidden: true }, v.finding, v.outcome, make("div", { class: "cp-row bt-next" }, v.again, second));
  return v.done;
}

function build(v) {
  const head = buildHead(v, "Human or machine?");
  const parts = [buildStart(v), ...buildWork(v), buildReading(v), buildDone(v), buildVoteSharing(v), make("p", { class: "cp-hint" }, ETHICS)];
  v.root = make("section", { class: "cp bt", "aria-label": "Human or machine" }, head, ...parts);
  v.root.addEventListener("keydown", (event) => onKey(v, event));
}

/* ---- what the person does ------------------------------------------------------------------------------------------ */

const chosen = (place) => [...place.querySelectorAll(":checked")].map((input) => Number(input.value));
/** What is chosen so far is kept in the kernel: a page that is reloaded shows it again. */
function keepHalf(v) {
  const { id } = v.model.get("item");
  const ratings = {};
  v.rates.forEach((rate, i) => chosen(rate).forEach((n) => (ratings[v.model.get("scales")[i]] = n)));
  if (id) send(v, { kind: "half", item: id, ratings, confidence: chosen(v.sure)[0] ?? null });
}

function showHalf(v) {
  const { item, ratings = {}, confidence = null } = v.model.get("half");
  if (item !== v.model.get("item").id) return;
  const check = (place, n) => place.querySelectorAll("input").forEach((input) => Number(input.value) === n && (input.checked = true));
  v.rates.forEach((rate, i) => check(rate, ratings[v.model.get("scales")[i]]));
  check(v.sure, confidence);
}

const isRated = (v) => !v.model.get("ratings") || chosen(v.rating).length === v.rates.length;

function onKey(v, event) {
  const isElsewhere = event.ctrlKey || event.metaKey || event.altKey || event.repeat || event.target.matches("input[type=text], select");
  const answer = KEYS[event.key.toLowerCase()];
  if (isElsewhere || !answer || v.model.get("phase") !== "reading") return;
  if (event.key.startsWith("Arrow") && event.target.matches("input")) return; // an arrow among choices chooses
  event.preventDefault();
  give(v, answer);
}

/** The keyboard's place goes to Stop while texts are made, then to the first of them. */
function awaitTexts(v, wish) {
  v.isAwaiting = true;
  send(v, wish);
}

function give(v, answer) {
  const { id } = v.model.get("item");
  if (!id || v.given === id) return;
  if (!isRated(v)) {
    v.hint.textContent = "Rate the text first: who has taken a side rates by it.";
    return;
  }
  v.given = id; // a second press must not answer the next text
  send(v, { kind: "answer", item: id, answer, confidence: chosen(v.sure)[0] ?? null });
}

/* ---- what the kernel says ------------------------------------------------------------------------------------------ */

function showState(v) {
  v.start.hidden = v.model.get("phase") !== "start" || isWorking(v);
  showWork(v, WORDS);
  enable(v.begin, !isWorking(v));
  if (v.isAwaiting && isWorking(v)) v.stop.focus();
  if (["stopped", "failed"].includes(v.model.get("state"))) v.isAwaiting = false;
  if (v.isLost || v.model.get("message")) v.given = null;
}

function showStart(v) {
  const [n_begun, n_each, record] = [v.model.get("n_begun"), v.model.get("n_each"), v.model.get("record_name")];
  if (![...v.count.options].some(({ value }) => Number(value) === n_each)) v.count.append(make("option", { value: String(n_each) }, `${2 * n_each}`));
  v.count.value = String(n_each);
  v.begin.textContent = n_begun ? `Go on: ${n_begun} of ${2 * n_each} are judged` : "Begin";
  const place = record ? `Answers are added to ${visible(record)} on this machine, and go nowhere else.` : "Answers stay in this notebook's memory, and go nowhere.";
  v.where.textContent = place;
}

function showItem(v) {
  const [item, phase, n_items] = [v.model.get("item"), v.model.get("phase"), v.model.get("n_items")];
  const hadFocus = v.isAwaiting || v.root.contains(document.activeElement);
  v.reading.hidden = phase !== "reading";
  v.done.hidden = phase !== "done";
  v.again.hidden = !v.model.get("can_make");
  showState(v);
  if (v.shown === item.id) return;
  v.shown = item.id;
  const n_left = v.model.get("n_left");
  v.place.textContent = `Text ${n_items - n_left + 1} of ${n_items} · rater ${visible(v.model.get("rater"))}`;
  Object.assign(v.reached, { max: n_items || 1, value: n_items - n_left });
  v.headline.textContent = visible(item.headline ?? "");
  v.text.textContent = visible(item.text ?? "");
  v.root.querySelectorAll(".bt-reading :checked").forEach((input) => (input.checked = false));
  showHalf(v);
  v.rating.hidden = !v.model.get("ratings");
  showAnswers(v);
  if (phase === "start") return;
  v.isAwaiting = false;
  if (hadFocus) (item.id ? v.article : v.finding).focus({ preventScroll: Boolean(item.id) });
}

function showAnswers(v) {
  v.answers.forEach((each) => enable(each, isRated(v)));
  v.hint.textContent = isRated(v) ? "Keys: H or ← for a person, M or → for a machine." : "";
}

function showOutcomes(v) {
  const { judged, rated } = v.model.get("outcomes");
  if (!judged) {
    v.finding.textContent = "Counting…";
    v.outcome.replaceChildren();
    return;
  }
  v.finding.textContent = judged.finding;
  const parts = [...judged.groups.map(buildGroup), ...judged.agreed.map((words) => make("p", {}, visible(words))), buildKeep(v, "judged", judged.numbers)];
  if (rated) parts.push(...rated.groups.map(buildGroup), make("p", {}, rated.finding), buildKeep(v, "rated", rated.numbers));
  v.outcome.replaceChildren(...parts, make("p", { class: "cp-strong" }, "The texts, and who wrote them"), make("ol", { class: "bt-texts" }, ...judged.texts.map((text) => buildTold(v, text))));
}

function buildTold(v, { headline, text, source, answer, confidence, is_right }) {
  const sure = v.model.get("confidences").find(([n]) => n === confidence)?.[1];
  const said = `You said: ${NAMES[answer]}${sure ? ` (${sure})` : ""}. It was ${source === "human" ? "a person" : visible(source)}.`;
  const verdict = make("span", { class: "bt-verdict" }, `${is_right ? "✓ right" : "✗ wrong"}`);
  const whole = make("details", {}, make("summary", {}, visible(headline)), make("p", { class: "cp-text" }, visible(text)));
  const node = make("li", {}, make("p", {}, verdict, " ", said), whole);
  node.dataset.right = String(is_right);
  return node;
}

/* ---- the way onto the page ----------------------------------------------------------------------------------------- */

function render({ model, el }) {
  const v = Object.assign(newView(model, el), { shown: null, given: null, keeps: "", isAwaiting: false, rest: () => v.begin });
  v.showState = () => showState(v);
  build(v);
  const [state, item, start] = [() => showState(v), () => showItem(v), () => showStart(v)];
  const leave = openView(v, {
    state, message: state, progress: state, models: () => showModels(v), model: () => showModels(v), item, phase: item, rater: item,
    n_begun: start, n_each: start, outcomes: () => showOutcomes(v), kept: () => showKept(v),
  });
  send(v, { kind: "ready" });
  return leave;
}

export default { render };
