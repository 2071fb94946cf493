/* What the browser halves of all panels share. It stands before each of them, as one script.
 *
 * A panel's view `v` has: model, el, id, root, and `showState()`, which is called when the kernel is lost or found again.
 * Text of people and models enters the page through text nodes only; nothing here parses it.
 */

const PING_MS = 2000;
const PATIENCE_MS = 6000;
const NO_ANSWER = document.body?.dataset.voila // a page of its own has no cells, and its reader no kernel
  ? "This page's process does not answer: it is busy, or it has ended. Wait a moment, or reload the page."
  : "The kernel does not answer: it is busy with another cell, or it was restarted or has ended. If it is busy, wait. Otherwise click " +
    "this panel's cell and choose Kernel › Restart Kernel and Run up to Selected Cell. Where there are no cells, reload the page.";
const UNSEEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]/g;

/** Control characters and marks that turn the writing direction, made visible. */
function visible(text) {
  return text.replace(UNSEEN, (c) => {
    const code = c.codePointAt(0);
    return code < 32 ? String.fromCodePoint(0x2400 + code) : `⟨U+${code.toString(16).toUpperCase().padStart(4, "0")}⟩`;
  });
}

/** A token by itself, so that spaces, line ends and bytes of half a character can be seen. */
function tokenName(text) {
  if (!text) return "(rest of a character)";
  const shown = visible(text).replace(/ /g, "␣").replace(/\n/g, "⏎").replace(/\t/g, "⇥");
  return shown.replace(/\\x([0-9a-f]{2})/g, (_, byte) => `⟨byte ${byte.toUpperCase()}⟩`);
}

/** Letters of some scripts join their neighbours: no gap may stand between the tokens of such a word. */
const JOINS = /[\p{Script=Arabic}\p{Script=Syriac}\p{Script=Nko}\p{Script=Mongolian}\p{Script=Mandaic}\p{Script=Adlam}]/u;

/** Make an element; strings among the children become text nodes. */
function make(tag, attributes = {}, ...children) {
  // What a person writes goes in the direction of its own script.
  if (tag === "textarea" || (tag === "input" && attributes.type === "text")) attributes = { dir: "auto", ...attributes };
  return dress(document.createElement(tag), attributes, children);
}

/** The same for drawings. */
function draw(tag, attributes = {}, ...children) {
  return dress(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function dress(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name in node && typeof value !== "string" && typeof value !== "number") node[name] = value;
    else node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

const button = (label, press, more = {}) => make("button", { type: "button", onclick: press, ...more }, label);

/** A field for a number. The kernel reads what was typed: a browser understands a decimal comma in some languages only. */
function numberField(attributes, step = 1) {
  const input = make("input", { type: "text", size: "5", inputmode: "decimal", autocomplete: "off", spellcheck: false, class: "cp-number", ...attributes });
  input.addEventListener("keydown", (event) => stepNumber(input, Number(step), event));
  return input;
}

/** The arrows up and down change a number by one step. */
function stepNumber(input, step, event) {
  const way = { ArrowUp: 1, ArrowDown: -1 }[event.key];
  const number = Number(input.value.trim().replace(",", ".") || NaN);
  if (!way || input.readOnly || !Number.isFinite(number) || event.ctrlKey || event.altKey || event.metaKey) return;
  event.preventDefault();
  input.value = String(Number((number + way * step).toFixed(4)));
  for (const name of ["input", "change"]) input.dispatchEvent(new Event(name));
}

/** Tell the kernel what stands in the fields. What it reads comes back by `again`, once the newest typing was read. */
function sayTyped(v, fields, again) {
  v.n_typed = (v.n_typed ?? 0) + 1;
  if (!v.hearsRead) {
    v.hearsRead = true;
    v.model.on("msg:custom", ({ kind, n, view }) => kind === "read" && view === v.id && ((v.n_read = n), again(v)));
  }
  say(v, { kind: "typed", fields, n: v.n_typed, view: v.id });
}

/** Whether the kernel has read all that was typed: an answer to "0" must not replace "0,3". */
const isRead = (v) => (v.n_read ?? 0) === (v.n_typed ?? 0);

/** Show a number from the kernel; never over what somebody is typing. */
function showNumber(input, number) {
  if (number != null && document.activeElement !== input && input.value !== String(number)) input.value = String(number);
}

function able(node, can) {
  // Not `disabled`: a button that takes itself away would also take the keyboard's place with it.
  node.setAttribute("aria-disabled", String(!can));
}

const isAble = (node) => node.getAttribute("aria-disabled") !== "true";

function set(v, name, value) {
  v.model.set(name, value);
  v.model.save_changes();
}

/* ---- light, dark, large -------------------------------------------------------------------------------------------- */

function buildSwitches(v) {
  v.large = button("Large type", () => set(v, "large", !v.model.get("large")), { class: "cp-quiet" });
  v.dark = button("Dark", () => set(v, "theme", v.root.dataset.theme === "dark" ? "light" : "dark"), { class: "cp-quiet" });
  return make("div", { class: "cp-switches" }, v.large, v.dark);
}

function showLook(v) {
  const { voila, jpThemeLight } = document.body.dataset; // a page of its own has no theme but the reader's
  const isDark = jpThemeLight === "false" || (voila && matchMedia("(prefers-color-scheme: dark)").matches);
  const follows = isDark ? "dark" : "light";
  const theme = v.model.get("theme") === "auto" ? follows : v.model.get("theme");
  Object.assign(v.root.dataset, { theme, large: String(v.model.get("large")) });
  v.large.setAttribute("aria-pressed", String(v.model.get("large")));
  v.dark.setAttribute("aria-pressed", String(theme === "dark"));
  // On a page of its own (Voila) the margins follow the panel; inside JupyterLab the rest of the page is not ours.
  if (v.model.get("projector") && document.body.dataset.voila) document.documentElement.dataset.cpTheme = theme;
}

/* ---- is it a recording? -------------------------------------------------------------------------------------------- */

/** Say so where a recording is shown: nobody should take it for a model at work. */
function showRecorded(v) {
  const { by, day, is_playing: isPlaying } = v.model.get("recorded") ?? {};
  v.recorded.hidden = !day;
  if (!day) return;
  const when = new Date(`${day}T00:00:00Z`).toLocaleDateString("en-GB", { day: "numeric", month: "long", year: "numeric", timeZone: "UTC" });
  const words = `${isPlaying ? "A recording plays" : "A recording is shown"}, of ${when}${by ? `, by ${by}` : ""}. No model is at work; what you press next ends it.`;
  if (v.recorded.textContent !== words) v.recorded.textContent = words;
}

/* ---- is the kernel there? ------------------------------------------------------------------------------------------ */

/** Send a wish to the kernel; the watch complains when no answer comes. */
function say(v, content, buffers = []) {
  v.asked_at ??= Date.now();
  try {
    v.model.send(content, undefined, buffers);
  } catch {
    v.asked_at = 1; // the line to the kernel is cut: no answer can come any more
  }
}

function heard(v) {
  v.asked_at = null;
  if (!v.isLost) return;
  v.isLost = false;
  v.showState();
}

/** Ask for a sign of life while something is expected; give up politely when none comes. */
function watch(v, isWorking) {
  if (document.hidden) {
    v.asked_at = null; // a page in the background is not told the time
    return;
  }
  if (v.asked_at && Date.now() - v.asked_at > PATIENCE_MS && !v.isLost) {
    v.isLost = true;
    v.showState();
  }
  if (isWorking || v.asked_at || Date.now() - v.touched < 4 * PING_MS) say(v, { kind: "ping" });
}

/* ---- is the model's server there? ---------------------------------------------------------------------------------- */

/** What stands for the state: while a panel works, what it waits for is more than that it works. */
function stateWords(v, words, isBusy) {
  return v.isLost ? (document.body.dataset.voila ? "No answer" : "No answer from the kernel") : (isBusy && v.model.get("waiting")) || words;
}

/** What stands as the panel's message: an absent server too, when nothing is being done. */
function messageWords(v, isBusy) {
  return v.isLost ? NO_ANSWER : v.model.get("message") || (!isBusy && v.model.get("waiting")) || "";
}

/* ---- what several panels can do ------------------------------------------------------------------------------------ */

/** Put a text on the clipboard, and say so on the panel's Copy button for a moment. */
async function copy(v, text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Pages without https have no clipboard of their own; the old way still works there.
    const box = make("textarea", { class: "cp-unseen" });
    box.value = text;
    v.root.append(box);
    box.select();
    document.execCommand("copy");
    box.remove();
    v.copy.focus();
  }
  v.copyLabel ??= v.copy.textContent;
  v.copy.textContent = "Copied";
  setTimeout(() => (v.copy.textContent = v.copyLabel), 1500);
}

/** Let pointer and arrow keys walk along the tokens of `v.grid`; `show` tells of the one they are on. */
function watchTokens(v, selector, show) {
  const tokenOf = (event) => event.target.closest?.(selector);
  v.grid.addEventListener("mouseover", (event) => tokenOf(event) && show(v, tokenOf(event)));
  v.grid.addEventListener("click", (event) => tokenOf(event)?.focus());
  v.grid.addEventListener("focusin", (event) => tokenOf(event) && arriveAt(v, tokenOf(event), show));
  v.grid.addEventListener("keydown", (event) => tokenOf(event) && moveFrom(tokenOf(event), event));
}

/** One tab stop a text: where the person was last. */
function arriveAt(v, token, show) {
  token.parentNode.querySelectorAll("[tabindex='0']").forEach((other) => (other.tabIndex = -1));
  token.tabIndex = 0;
  show(v, token);
  v.root.style.setProperty("--under", `${v.details.offsetHeight + 16}px`); // the details must not lie on the token
  token.scrollIntoView({ block: "nearest" });
}

function moveFrom(token, event) {
  const ways = {
    ArrowRight: () => token.nextElementSibling, ArrowLeft: () => token.previousElementSibling, Home: () => token.parentNode.firstElementChild,
    End: () => token.parentNode.lastElementChild, ArrowDown: () => nextLine(token, 1), ArrowUp: () => nextLine(token, -1),
  };
  if (!(event.key in ways)) return;
  event.preventDefault();
  ways[event.key]()?.focus();
}

/** The token above or below, as the eye sees it. */
function nextLine(token, direction) {
  const step = (node) => (direction > 0 ? node.nextElementSibling : node.previousElementSibling);
  let other = step(token);
  while (other && (other.offsetTop - token.offsetTop) * direction <= 2) other = step(other);
  const line = other?.offsetTop;
  for (let next = other; next && Math.abs(next.offsetTop - line) <= 2; next = step(next)) {
    if (Math.abs(next.offsetLeft - token.offsetLeft) < Math.abs(other.offsetLeft - token.offsetLeft)) other = next;
  }
  return other;
}

/* ---- the door ------------------------------------------------------------------------------------------------------ */

/** JupyterLab would take the arrow keys and Enter for itself; only saving is left to it. */
function markOwnKeys(v) {
  const isSaving = (event) => (event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "s";
  const mark = (event) => v.root.toggleAttribute("data-lm-suppress-shortcuts", !isSaving(event));
  window.addEventListener("keydown", mark, true);
  return () => window.removeEventListener("keydown", mark, true);
}

/** Put a built view on its page: draw each trait now and at every change, watch the kernel; return how to take it away. */
function open(v, shows, isWorking = () => false) {
  v.el.append(v.root);
  v.recorded = make("p", { class: "cp-recorded", role: "status", hidden: true });
  v.root.firstChild.after(v.recorded);
  v.root.addEventListener("focusin", () => (v.touched = Date.now()));
  const look = () => showLook(v);
  const waiting = shows.waiting ?? shows.state ?? (() => {});
  for (const [name, show] of Object.entries({ ...shows, waiting, large: look, theme: look, recorded: () => showRecorded(v) })) {
    v.model.on(`change:${name}`, () => (heard(v), show()));
    show();
  }
  v.model.on("msg:custom", () => heard(v));
  const theme = new MutationObserver(look);
  theme.observe(document.body, { attributeFilter: ["data-jp-theme-light"] });
  const timer = setInterval(() => watch(v, isWorking()), PING_MS);
  const unmark = markOwnKeys(v);
  return () => (clearInterval(timer), theme.disconnect(), unmark());
}

function newView(model, el) {
  const id = `cp-${Math.random().toString(36).slice(2)}`;
  return { model, el, id, asked_at: null, isLost: false, touched: 0, showState: () => {} };
}
