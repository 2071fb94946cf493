/* The lecturer's bar over a demo. It sends what was pressed; the kernel does it.
 *
 * Presenter mode is a matter of this browser alone: a mark on the page, which the style sheet knows, remembered here,
 * as light and dark are: the next page looks like the one before.
 */

import "#shared/panel.css";
import "./presenter.css";

import { send, setTrait } from "#shared/connection.js";
import { button, make } from "#shared/dom.js";
import { buildSwitches, newView, openView, showMessage } from "#shared/panel.js";
import { BUSY_STATES } from "#shared/states.js";

const REMEMBERED = "course-presenter";
const LOOK_MS = 8000; // by then what was asked for is there, unless the panel is still at work
const THEME = "course-theme";

/* ---- building ------------------------------------------------------------------------------------------------------ */

function buildButton(v, label, keys, press, more = {}) {
  const node = make("button", { type: "button", onclick: press, "aria-keyshortcuts": keys, ...more });
  node.append(make("span", { class: "cl-words" }, label), make("kbd", { "aria-hidden": "true" }, keys));
  return node;
}

function buildBar(v) {
  const switches = buildSwitches(v);
  v.large.remove(); // presenter mode is larger
  v.presenter = button("Presenter", () => present(v, !isPresenting()));
  v.reset = buildButton(v, "Reset", "Alt+R", () => send(v, { kind: "reset" }));
  v.play = buildButton(v, "Play the recording", "Alt+P", () => (send(v, { kind: "play" }), lookAt(v, v.model.get("recording").look)));
  v.home = make("a", { class: "cl-home", href: v.model.get("gallery") }, "All demos");
  v.home.hidden = !document.body.dataset.voila;
  switches.prepend(v.presenter);
  return make("div", { class: "cl-bar" }, v.home, v.reset, v.play, switches);
}

function buildPrompts(v) {
  const press = (look, place) => (send(v, { kind: "prompt", place }), lookAt(v, look));
  const buttons = v.model.get("prompts").map(({ title, look }, i) => buildButton(v, title, `Alt+${i + 1}`, () => press(look, i), { class: "cl-prompt" }));
  v.prompts = make("details", { class: "cl-prompts" }, make("summary", {}, "Prepared prompts"), make("div", { class: "cl-buttons" }, ...buttons));
  v.prompts.hidden = !buttons.length;
  return v.prompts;
}

function build(v) {
  const minutes = v.model.get("minutes");
  const takeaway = make("p", { class: "cl-takeaway" }, make("span", { class: "cp-unseen" }, "To take away: "), v.model.get("takeaway"));
  v.top = make("div", { class: "cl cl-top" }, takeaway);
  const about = make("details", { class: "cl-about" }, make("summary", {}, "What does this show?"), ...["shows", "more"].map((name) => make("p", { hidden: !v.model.get(name) }, v.model.get(name))), make("p", {}, `About ${minutes} minutes.`));
  v.note = make("p", { class: "cl-note", role: "status" });
  v.message = make("p", { class: "cl-note", role: "alert", hidden: true });
  v.root = make("section", { class: "cl", "aria-label": "Lectern" }, buildBar(v), v.note, v.message, buildPrompts(v), about);
}

/* ---- presenter mode ------------------------------------------------------------------------------------------------ */

const isPresenting = () => document.documentElement.dataset.cpPresenter === "true";

function remembered(name) {
  try {
    return localStorage.getItem(name);
  } catch {
    return null; // a browser may keep nothing
  }
}

function remember(name, value) {
  try {
    localStorage.setItem(name, value);
  } catch {
    // it is so on this page only
  }
}

function present(v, isOn) {
  remember(REMEMBERED, String(isOn));
  showPresenter(v, isOn);
}

/** Light or dark as it was chosen on another page of this hall. */
function takeTheme(v) {
  const chosen = remembered(THEME);
  if (document.body.dataset.voila && v.model.get("theme") === "auto" && ["light", "dark"].includes(chosen)) setTrait(v, "theme", chosen);
  v.model.on("change:theme", () => v.model.get("theme") === "auto" || remember(THEME, v.model.get("theme")));
}

function showPresenter(v, isOn) {
  document.documentElement.dataset.cpPresenter = String(isOn);
  v.presenter.setAttribute("aria-pressed", String(isOn));
  v.prompts.open = isOn;
}

/** The line on top has the frame's theme, and so have the margins of a page of its own. */
function dressPage(v) {
  v.top.dataset.theme = v.root.dataset.theme;
  if (document.body.dataset.voila) document.documentElement.dataset.cpTheme = v.root.dataset.theme;
}

/** Bring what happens into view, for as long as it grows and nobody scrolls: in a hall no one else does. */
function lookAt(v, look) {
  v.endLook?.();
  const stand = v.el.closest(".cl-stand");
  if (!stand) return;
  const behavior = matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth";
  const go = () => stand.querySelector(look === ".cp" ? ".cp" : `.cp ${look}`)?.scrollIntoView({ block: "start", behavior });
  const growing = new ResizeObserver(go);
  const own = ["wheel", "touchmove", "pointerdown", "keydown"];
  const timer = setInterval(() => BUSY_STATES.includes(stand.querySelector(".cp")?.dataset.state) || v.endLook(), LOOK_MS);
  v.endLook = () => (growing.disconnect(), clearInterval(timer), own.forEach((name) => window.removeEventListener(name, v.endLook, true)));
  own.forEach((name) => window.addEventListener(name, v.endLook, true));
  growing.observe(stand);
}

/* ---- keys ---------------------------------------------------------------------------------------------------------- */

const isTyping = (node) => Boolean(node?.closest?.("textarea, input:not([type=checkbox]):not([type=radio]), select"));

function onShortcut(v, event) {
  if (!event.altKey || event.ctrlKey || event.metaKey || event.shiftKey || event.getModifierState("AltGraph")) return;
  const key = event.code.replace(/^(Digit|Key)/, "");
  // Where Alt makes a character of its own (Option on a Mac), typing stays typing.
  if (isTyping(event.target) && event.key.toUpperCase() !== key) return;
  const pressed = { R: v.reset, P: v.play, ...Object.fromEntries([...v.prompts.querySelectorAll("button")].map((node, i) => [String(i + 1), node])) }[key];
  if (!pressed || pressed.hidden || event.repeat) return;
  event.preventDefault();
  event.stopPropagation();
  pressed.click();
}

/* ---- what the kernel says ------------------------------------------------------------------------------------------ */

function showPlay(v) {
  v.play.hidden = v.model.get("recording").seconds === undefined;
  v.play.firstChild.textContent = v.model.get("is_playing") ? "Stop the recording" : "Play the recording";
}

function showNote(v) {
  v.note.textContent = v.model.get("note");
  v.note.hidden = !v.note.textContent;
  showMessage(v);
}

/* ---- the way onto the page ----------------------------------------------------------------------------------------- */

function render({ model, el }) {
  const v = newView(model, el);
  v.showState = () => showNote(v);
  build(v);
  const onKey = (event) => onShortcut(v, event);
  window.addEventListener("keydown", onKey, true);
  const dressed = () => dressPage(v);
  const leave = openView(v, { note: () => showNote(v), message: () => showNote(v), is_playing: () => showPlay(v), recording: () => showPlay(v) });
  el.classList.add("cl-frame");
  el.prepend(v.top);
  const look = new MutationObserver(dressed);
  look.observe(v.root, { attributeFilter: ["data-theme"] });
  dressed();
  showPresenter(v, remembered(REMEMBERED) === "true");
  takeTheme(v);
  return () => (v.endLook?.(), window.removeEventListener("keydown", onKey, true), look.disconnect(), leave());
}

export default { render };
