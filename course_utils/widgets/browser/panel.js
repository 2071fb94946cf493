/* The frame of every panel: light and dark, large type, its message, a recording's note, and the way onto the page.
 *
 * A panel's view `v` has: model (the widget's traits), el (its place on the page), id, root (the panel's element), and
 * `showState()`, which is called when the kernel is lost or found again.
 */

import { messageWords, noteAnswer, setTrait, watchKernel } from "#shared/connection.js";
import { button, make, setText } from "#shared/dom.js";
import { longDay } from "#shared/format.js";
import { isWorking } from "#shared/states.js";
import { visible } from "#shared/text.js";

export function newView(model, el, more = {}) {
  const id = `cp-${Math.random().toString(36).slice(2)}`;
  return { model, el, id, asked_at: null, isLost: false, touched: 0, showState: () => {}, ...more };
}

/* ---- light, dark, large -------------------------------------------------------------------------------------------- */

/** Build the head of a panel: its title, the two switches, and what else belongs there. */
export const buildHead = (v, title, ...more) => make("div", { class: "cp-head" }, make("p", { class: "cp-title" }, title), buildSwitches(v), ...more);

export function buildSwitches(v) {
  v.large = button("Large type", () => setTrait(v, "large", !v.model.get("large")), { class: "cp-quiet" });
  v.dark = button("Dark", () => setTrait(v, "theme", v.root.dataset.theme === "dark" ? "light" : "dark"), { class: "cp-quiet" });
  return make("div", { class: "cp-switches" }, v.large, v.dark);
}

function showTheme(v) {
  const { voila, jpThemeLight } = document.body.dataset; // a page of its own has no theme but the reader's
  const isDark = jpThemeLight === "false" || (voila && matchMedia("(prefers-color-scheme: dark)").matches);
  const pageTheme = isDark ? "dark" : "light";
  const theme = v.model.get("theme") === "auto" ? pageTheme : v.model.get("theme");
  Object.assign(v.root.dataset, { theme, large: String(v.model.get("large")) });
  v.large.setAttribute("aria-pressed", String(v.model.get("large")));
  v.dark.setAttribute("aria-pressed", String(theme === "dark"));
  // On a page of its own (Voila) the margins follow the panel; inside JupyterLab the rest of the page is not ours.
  if (v.model.get("projector") && document.body.dataset.voila) document.documentElement.dataset.cpTheme = theme;
}

/* ---- the message --------------------------------------------------------------------------------------------------- */

export function buildMessage(v) {
  v.message = make("p", { class: "cp-message", role: "alert", hidden: true });
  return v.message;
}

/** Show the panel's message, or that the kernel does not answer. */
export function showMessage(v, isBusy = false) {
  v.message.textContent = visible(messageWords(v, isBusy));
  v.message.hidden = !v.message.textContent;
}

/** Show the message of a panel that has no other state than whether something failed. */
export function showFailure(v) {
  showMessage(v);
  v.root.dataset.state = v.message.textContent ? "failed" : "idle";
}

/* ---- is it a recording? -------------------------------------------------------------------------------------------- */

/** Say so where a recording is shown: nobody should take it for a model at work. */
function showRecorded(v) {
  const { by, day, is_playing: isPlaying } = v.model.get("recorded") ?? {};
  v.recorded.hidden = !day;
  if (!day) return;
  const what = isPlaying ? "A recording plays" : "A recording is shown";
  setText(v.recorded, `${what}, of ${longDay(day)}${by ? `, by ${by}` : ""}. No model is at work; what you press next ends it.`);
}

/* ---- what several panels can do ------------------------------------------------------------------------------------ */

/** Put a text on the clipboard, and say so on the panel's Copy button for a moment. */
export async function copy(v, text) {
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

/* ---- the way onto the page ----------------------------------------------------------------------------------------- */

/** JupyterLab would take the arrow keys and Enter for itself; only saving is left to it. */
function claimKeys(v) {
  const isSaving = (event) => (event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "s";
  const mark = (event) => v.root.toggleAttribute("data-lm-suppress-shortcuts", !isSaving(event));
  window.addEventListener("keydown", mark, true);
  return () => window.removeEventListener("keydown", mark, true);
}

/**
 * Put a built view on its page: draw each trait now and at every change, and watch the kernel. `shows` has a function for each
 * trait, by its name. Return how to take the view away.
 */
export function openView(v, shows) {
  v.el.append(v.root);
  v.recorded = make("p", { class: "cp-recorded", role: "status", hidden: true });
  v.root.firstChild.after(v.recorded);
  v.root.addEventListener("focusin", () => (v.touched = Date.now()));
  const theme = () => showTheme(v);
  const waiting = shows.waiting ?? shows.state ?? (() => {});
  for (const [name, show] of Object.entries({ ...shows, waiting, large: theme, theme, recorded: () => showRecorded(v) })) {
    v.model.on(`change:${name}`, () => (noteAnswer(v), show()));
    show();
  }
  v.model.on("msg:custom", () => noteAnswer(v));
  const observer = new MutationObserver(theme);
  observer.observe(document.body, { attributeFilter: ["data-jp-theme-light"] });
  const endWatch = watchKernel(v, () => isWorking(v));
  const releaseKeys = claimKeys(v);
  return () => (endWatch(), observer.disconnect(), releaseKeys());
}
