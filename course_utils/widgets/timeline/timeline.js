/* The release timeline: what was published in 2019, and what a person would have decided.
 *
 * The drawing is for the eye and the pointer; every event in it is also a button below, and the arrow keys walk along them.
 */

import "#shared/panel.css";
import "#shared/share_vote.css";
import "./timeline.css";

import { buildVoteSharing } from "#shared/share_vote.js";
import { send } from "#shared/connection.js";
import { button, draw, enable, make } from "#shared/dom.js";
import { utcTime } from "#shared/format.js";
import { buildHead, buildMessage, newView, openView, showFailure } from "#shared/panel.js";
import { visible } from "#shared/text.js";

const SIGNS = { OpenAI: "■", others: "●", comment: "▲", evidence: "◆" };
const LANES = Object.keys(SIGNS);
const YEAR = [Date.UTC(2019, 0, 1), Date.UTC(2020, 0, 1)];
const MONTH_NAMES = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const TYPING_MS = 600;
const time = (day) => Date.parse(`${day}T00:00:00Z`);

/* ---- building ------------------------------------------------------------------------------------------------------ */

function buildStages(v) {
  const set = make("fieldset", { class: "rt-stages" }, make("legend", { class: "cp-strong" }, "Release stage"));
  for (const { name } of v.model.get("stages")) {
    const input = make("input", { type: "radio", name: `${v.id}-stage`, value: name });
    input.addEventListener("change", () => send(v, { kind: "choose", stage: name }));
    const note = make("span", { class: "rt-note" });
    v.radios[name] = { input, note };
    set.append(make("label", { class: "rt-stage" }, input, make("span", {}, name), note));
  }
  v.all = button("All open", () => send(v, { kind: "open all" }), { title: "Every size may be loaded, and the whole year is shown" });
  set.append(v.all);
  v.said = make("p", { class: "rt-said", role: "status" });
  return make("div", { class: "rt-switch" }, set, v.said);
}

function buildEvents(v) {
  v.drawing = draw("svg", { class: "rt-svg", "aria-hidden": "true" });
  v.figure = make("div", { class: "rt-figure" }, v.drawing);
  v.before = button("‹ Earlier", () => step(v, -1), { class: "cp-quiet" });
  v.after = button("Later ›", () => step(v, 1), { class: "cp-quiet" });
  v.told = make("div", { class: "rt-told", role: "region", "aria-live": "polite", "aria-label": "The chosen event" });
  v.chips = make("ol", { class: "rt-events", "aria-label": "Events, in order of time; the arrow keys walk along them" });
  v.chips.addEventListener("keydown", (event) => onArrow(v, event));
  v.later = make("p", { class: "cp-hint" });
  const about = make("div", { class: "rt-about" }, v.told, make("div", { class: "cp-buttons" }, v.before, v.after));
  return [v.figure, about, v.chips, v.later];
}

function buildQuestion(v) {
  v.reason = make("textarea", { id: `${v.id}-reason`, rows: 3, maxlength: v.model.get("longest") });
  v.reason.addEventListener("input", () => (clearTimeout(v.timer), (v.timer = setTimeout(() => keepDraft(v), TYPING_MS))));
  v.reason.addEventListener("change", () => keepDraft(v));
  v.options = Object.entries(v.model.get("choices")).map(([value, words]) => {
    const input = make("input", { type: "radio", name: `${v.id}-decision`, value });
    return make("label", { class: "rt-choice" }, input, make("span", {}, words));
  });
  v.legend = make("legend", { class: "cp-strong" });
  v.commit = button("Commit, and see what OpenAI did", () => decide(v), { class: "cp-main" });
  v.asked = make("fieldset", { class: "rt-asked" }, v.legend, make("div", { class: "rt-choices" }, ...v.options));
  v.asked.append(make("label", { for: v.reason.id }, "Why? What is committed stays as it is; what you type is kept."), v.reason, v.commit);
  return v.asked;
}

function build(v) {
  const head = buildHead(v, "The releases of 2019");
  buildMessage(v);
  v.shown = make("div", { class: "rt-shown" });
  v.decided = make("div", { class: "rt-decided" });
  v.root = make("section", { class: "cp rt", "aria-label": "Timeline of the releases of 2019" }, head, buildStages(v), v.message, ...buildEvents(v));
  v.root.append(v.shown, buildQuestion(v), buildVoteSharing(v), v.decided);
}

/* ---- what the person does ------------------------------------------------------------------------------------------ */

function select(v, i, withFocus = false) {
  const events = v.model.get("events");
  if (!events.length) return;
  v.chosen = Math.max(0, Math.min(events.length - 1, i));
  showEvent(v);
  if (withFocus) v.chips.children[v.chosen].firstChild.focus();
}

const step = (v, by) => select(v, v.chosen + by);

function onArrow(v, event) {
  const last = v.model.get("events").length - 1;
  const to = { ArrowLeft: v.chosen - 1, ArrowUp: v.chosen - 1, ArrowRight: v.chosen + 1, ArrowDown: v.chosen + 1, Home: 0, End: last }[event.key];
  if (to === undefined) return;
  event.preventDefault();
  select(v, to, true);
}

function keepDraft(v) {
  clearTimeout(v.timer);
  if (v.typedAt && v.reason.value !== v.model.get("draft")) send(v, { kind: "draft", stage: v.typedAt, text: v.reason.value });
}

function decide(v) {
  const chosen = v.asked.querySelector("input:checked");
  send(v, { kind: "decide", decision: chosen ? chosen.value : "", reason: v.reason.value });
  v.hasDecided = true;
}

/* ---- what the kernel says ------------------------------------------------------------------------------------------ */

function showStages(v) {
  const now = v.model.get("stage");
  for (const { name, can, is_decided: isDecided } of v.model.get("stages")) {
    const { input, note } = v.radios[name];
    input.checked = name === now;
    input.disabled = !can && name !== now;
    note.textContent = isDecided ? "decided ✓" : input.disabled ? "decide first" : "";
  }
  v.all.setAttribute("aria-pressed", String(now === null));
  const shown = v.model.get("shown");
  const free = "All models are open here. ";
  const all = v.model.get("until") ? `${free}Choose Feb 2019 to begin.` : `${free}The whole timeline is shown.`;
  v.said.textContent = now === null ? all : `${now}: ${shown.open?.join(", ")} may be loaded here, and models of your own.`;
}

/* -- the events -- */

function showEvents(v) {
  const events = v.model.get("events");
  const hadFocus = v.chips.contains(document.activeElement);
  v.chips.replaceChildren(...events.map((event, i) => make("li", {}, buildChip(v, event, i))));
  const until = v.model.get("until");
  const isLast = v.model.get("stage") === v.model.get("stages").at(-1).name;
  v.later.textContent = isLast ? "What came after 2019 is shown with All open." : "What came later is hidden until you open the next stage.";
  v.later.hidden = !until;
  select(v, v.model.get("stage") ? firstOfStage(v, events) : 0, hadFocus);
}

/** A stage opens with its release. */
function firstOfStage(v, events) {
  const release = v.model.get("sizes").at(-1)?.day;
  return Math.max(0, events.findIndex(({ first, kind, size }) => first === release && kind === "OpenAI" && size));
}

function buildChip(v, { date, short, kind }, i) {
  const sign = make("span", { class: `rt-sign rt-${kind}`, "aria-hidden": "true" }, SIGNS[kind]);
  const words = [make("span", { class: "rt-date" }, date), make("span", { class: "rt-short" }, visible(short))];
  return make("button", { type: "button", class: "rt-chip", onclick: () => select(v, i) }, sign, ...words);
}

function showEvent(v) {
  const events = v.model.get("events");
  [...v.chips.children].forEach(({ firstChild }, i) => {
    firstChild.tabIndex = i === v.chosen ? 0 : -1;
    firstChild.setAttribute("aria-current", String(i === v.chosen));
  });
  const { date, event, kind, size, source, how } = events[v.chosen];
  const head = make("p", { class: "cp-label" }, `${date} · ${v.model.get("kinds")[kind]}${size ? ` · ${size}` : ""}`);
  v.told.replaceChildren(head, make("p", { class: "rt-event" }, visible(event)), sourceOf(source, how));
  enable(v.before, v.chosen > 0);
  enable(v.after, v.chosen < events.length - 1);
  drawYear(v);
}

const sourceOf = (source, how) => make("p", { class: "cp-hint" }, `Source: ${source} (${how})`);

/* -- the drawing -- */

function drawYear(v) {
  if (!v.root.isConnected) return; // no size of type yet; the observer draws once there is a place
  const width = Math.max(280, v.figure.clientWidth);
  const em = parseFloat(getComputedStyle(v.root).fontSize);
  const isNarrow = width < 36 * em;
  const left = isNarrow ? 1.8 * em : 8.8 * em;
  const plane = { width, em, left, right: width - 1.6 * em, isNarrow, steps: 7.5 * em, lane: 1.7 * em };
  plane.top = plane.steps + 1.2 * em;
  plane.height = plane.top + plane.lane * LANES.length + 1.9 * em;
  v.drawing.setAttribute("width", width);
  v.drawing.setAttribute("height", plane.height);
  v.drawing.replaceChildren(...drawMonths(plane), ...drawHidden(v, plane), ...drawSteps(v, plane), ...drawLanes(v, plane));
}

function xOf({ left, right }, t) {
  const share = (t - YEAR[0]) / (YEAR[1] - YEAR[0]);
  return share < 0 ? left - 6 : share > 1 ? right + 8 : left + share * (right - left);
}

function drawMonths(plane) {
  return MONTH_NAMES.flatMap((name, i) => {
    const x = xOf(plane, Date.UTC(2019, i, 1));
    const line = draw("line", { x1: x, x2: x, y1: 0, y2: plane.height - 1.6 * plane.em, class: "rt-grid" });
    return [line, draw("text", { x: x + 2, y: plane.height - 0.4 * plane.em, class: "rt-word" }, plane.isNarrow ? name[0] : name)];
  });
}

function drawHidden(v, plane) {
  const until = v.model.get("until");
  if (!until) return [];
  const x = Math.max(plane.left, xOf(plane, time(until)));
  if (plane.right - x < 4) return [];
  const veil = draw("rect", { x, y: 0, width: plane.right - x + 4, height: plane.height - 1.6 * plane.em, class: "rt-veil" });
  const words = draw("text", { x: (x + plane.right) / 2, y: plane.steps / 2, "text-anchor": "middle", class: "rt-word" }, "hidden");
  return plane.right - x > 5 * plane.em ? [veil, words] : [veil];
}

/** How much of the full model anyone could load: the height of the steps. */
function drawSteps(v, plane) {
  const sizes = v.model.get("sizes");
  const end = Math.min(xOf(plane, time(v.model.get("until") || "2019-12-31")), plane.right);
  const y = (share) => plane.steps - share * (plane.steps - 1.6 * plane.em);
  let path = `M${plane.left} ${plane.steps}`;
  const words = sizes.map(({ name, day, share }) => {
    const x = xOf(plane, time(day));
    path += `H${x}V${y(share)}`;
    return draw("text", { x: x + 3, y: y(share) - 0.35 * plane.em, class: "rt-size" }, plane.isNarrow ? name : `${name}: ${Math.round(100 * share)} %`);
  });
  path += `H${end}V${plane.steps}Z`;
  const title = draw("text", { x: plane.isNarrow ? plane.left : 0, y: 1.1 * plane.em, class: "rt-word" }, plane.isNarrow ? "" : "Share open");
  return [draw("path", { d: path, class: "rt-steps" }), title, ...words];
}

function drawLanes(v, plane) {
  const kinds = v.model.get("kinds");
  const yOf = (kind) => plane.top + plane.lane * (LANES.indexOf(kind) + 0.5);
  const lanes = LANES.flatMap((kind) => {
    const words = plane.isNarrow ? SIGNS[kind] : `${SIGNS[kind]} ${kinds[kind]}`;
    const line = draw("line", { x1: plane.left, x2: plane.right, y1: yOf(kind), y2: yOf(kind), class: "rt-grid" });
    return [line, draw("text", { x: 0, y: yOf(kind) + 0.35 * plane.em, class: `rt-word rt-${kind}` }, words)];
  });
  const marks = v.model.get("events").map((event, i) => drawEvent(v, plane, event, i, yOf(event.kind)));
  return [...lanes, ...marks.flat().sort((a, b) => Number(b.classList.contains("rt-touch")) - Number(a.classList.contains("rt-touch")))];
}

/** One sign, hollow, in the middle of its month, where the day is not known; and a wider ring below all signs, to be hit. */
function drawEvent(v, plane, { first, last, kind, precision, short, date }, i, y) {
  const x = xOf(plane, (time(first) + time(last)) / 2);
  const isChosen = i === v.chosen;
  const transform = `translate(${x} ${y}) scale(${plane.em / 14})`;
  const touch = draw("circle", { r: 12, class: "rt-touch", transform });
  const mark = draw("g", { class: `rt-mark rt-${kind}`, transform }, draw("title", {}, `${date}: ${short}`));
  if (isChosen) mark.append(draw("circle", { r: 12, class: "rt-ring" }));
  mark.append(draw("path", { d: SHAPES[kind], class: precision === "day" ? "rt-solid" : "rt-hollow" }));
  [touch, mark].forEach((each) => each.addEventListener("click", () => select(v, i)));
  return [touch, mark];
}

const SHAPES = { OpenAI: "M-6-6H6V6H-6Z", others: "M-7 0A7 7 0 1 0 7 0A7 7 0 1 0-7 0Z", comment: "M0-7L7 6H-7Z", evidence: "M0-8L8 0L0 8L-8 0Z" };

/* -- the stage, the decision -- */

function showShown(v) {
  const shown = v.model.get("shown");
  v.shown.hidden = !shown.day;
  if (!shown.day) return;
  const closed = shown.closed.length ? `Withheld: ${shown.closed.join(", ")}.` : "Nothing is withheld any more.";
  const open = make("div", { class: "rt-part" }, make("p", { class: "cp-strong" }, `Open on ${shown.day}`));
  open.append(make("p", {}, `OpenAI released ${shown.opened} on ${shown.begins}. ${closed}`), make("p", {}, make("strong", {}, "Its reason: "), visible(shown.reason), "."), sourceOf(shown.source, shown.how));
  const listOf = (rows) => make("ul", { class: "rt-evidence" }, ...rows.map(buildEvidence));
  const [fresh, older] = [shown.evidence.filter((each) => each.is_new), shown.evidence.filter((each) => !each.is_new)];
  const known = make("div", { class: "rt-part" }, make("p", { class: "cp-strong" }, `Became public from ${shown.begins} to ${shown.day}: ${fresh.length} findings`), listOf(fresh));
  if (older.length) known.append(make("details", {}, make("summary", {}, `Known before: ${older.length} findings`), listOf(older)));
  v.shown.replaceChildren(open, known);
}

function buildEvidence({ date, about, finding, source, how }) {
  const head = make("p", { class: "cp-label" }, make("strong", {}, about), ` · ${date}`);
  return make("li", {}, head, make("p", {}, `${visible(finding)}.`), sourceOf(source, how));
}

function showAsked(v) {
  const { size, model, day } = v.model.get("asked");
  v.asked.hidden = !size;
  const stage = v.model.get("stage");
  if (stage !== v.typedAt) {
    v.options.forEach((label) => (label.firstChild.checked = false));
    v.reason.value = v.model.get("draft");
    v.typedAt = size ? stage : null;
  }
  if (size) v.legend.textContent = `It is ${day}. Would you release the next size, ${size} (${model})?`;
}

function showDecided(v) {
  const decided = v.model.get("decided");
  v.decided.hidden = !decided.length;
  const cards = decided.map(({ stage, next_size: model, choice, reason, time: at, openai, openai_reason: why, source }) => {
    const yours = make("div", {}, make("p", { class: "cp-label" }, `You, at ${stage}, on ${model}`), make("p", {}, make("strong", {}, choice)), make("p", { class: "rt-reason cp-text" }, visible(reason)), make("p", { class: "cp-hint" }, `committed ${utcTime(at)}`));
    const theirs = make("div", {}, make("p", { class: "cp-label" }, "OpenAI"), make("p", {}, make("strong", {}, openai)), make("p", {}, `${visible(why)}.`), make("p", { class: "cp-hint" }, `Source: ${source}`));
    return make("li", { class: "rt-pair" }, yours, theirs);
  });
  v.decided.replaceChildren(make("p", { class: "cp-strong", tabIndex: -1 }, "Your decisions, and what OpenAI did"), make("ul", { class: "rt-pairs" }, ...cards));
  if (v.hasDecided && decided.length > (v.nDecided ?? 0)) v.decided.firstChild.focus(); // its button has gone
  [v.hasDecided, v.nDecided] = [false, decided.length];
}

/* ---- the way onto the page ----------------------------------------------------------------------------------------- */

function render({ model, el }) {
  const v = Object.assign(newView(model, el), { radios: {}, chosen: 0, timer: null, typedAt: null });
  v.showState = () => showFailure(v);
  build(v);
  const redraw = new ResizeObserver(() => drawYear(v));
  redraw.observe(v.figure);
  const close = openView(v, {
    message: () => (showFailure(v), showStages(v)), stages: () => showStages(v), shown: () => (showShown(v), showStages(v)), stage: () => (showStages(v), showAsked(v)),
    until: () => showStages(v), sizes: () => {}, events: () => showEvents(v), asked: () => showAsked(v), decided: () => showDecided(v),
  });
  return () => (keepDraft(v), redraw.disconnect(), close());
}

export default { render };
