/* The connection to the kernel: messages to it, and a watch over whether it answers. */

const PING_MS = 2000;
const PATIENCE_MS = 6000;

/** Return what to tell a person whose kernel does not answer. */
export const noAnswer = () =>
  document.body.dataset.voila // a page of its own has no cells, and its reader no kernel
    ? "This page's process does not answer: it is busy, or it has ended. Wait a moment, or reload the page."
    : "The kernel does not answer: it is busy with another cell, or it was restarted or has ended. If it is busy, wait. Otherwise click " +
      "this panel's cell and choose Kernel › Restart Kernel and Run up to Selected Cell. Where there are no cells, reload the page.";

/** Send a message to the kernel; the watch complains when no answer comes. */
export function send(v, content, buffers = []) {
  v.asked_at ??= Date.now();
  try {
    v.model.send(content, undefined, buffers);
  } catch {
    v.asked_at = 1; // the connection is closed: no answer can come any more
  }
}

/** Set a trait, here and in the kernel. */
export function setTrait(v, name, value) {
  v.model.set(name, value);
  v.model.save_changes();
}

/** Note that the kernel has answered. */
export function noteAnswer(v) {
  v.asked_at = null;
  if (!v.isLost) return;
  v.isLost = false;
  v.showState();
}

/** Watch the kernel while something is expected of it; return how to end that. */
export function watchKernel(v, isWorking) {
  const timer = setInterval(() => checkKernel(v, isWorking()), PING_MS);
  return () => clearInterval(timer);
}

function checkKernel(v, isWorking) {
  if (document.hidden) {
    v.asked_at = null; // the browser slows the timers of a hidden page: its clock tells nothing
    return;
  }
  if (v.asked_at && Date.now() - v.asked_at > PATIENCE_MS && !v.isLost) {
    v.isLost = true;
    v.showState();
  }
  if (isWorking || v.asked_at || Date.now() - v.touched < 4 * PING_MS) send(v, { kind: "ping" });
}

/* ---- fields whose text the kernel reads ---------------------------------------------------------------------------- */

/** Send what stands in the fields. The kernel's values come back by `show`, once it has read the newest typing. */
export function sendTyped(v, fields, show) {
  v.n_typed = (v.n_typed ?? 0) + 1;
  if (!v.listensForRead) {
    v.listensForRead = true;
    v.model.on("msg:custom", ({ kind, n, view }) => kind === "read" && view === v.id && ((v.n_read = n), show(v)));
  }
  send(v, { kind: "typed", fields, n: v.n_typed, view: v.id });
}

/** Return whether the kernel has read all that was typed: an answer to "0" must not replace "0,3". */
export const isRead = (v) => (v.n_read ?? 0) === (v.n_typed ?? 0);

/* ---- what is said of kernel and server ----------------------------------------------------------------------------- */

/** Return the words for the state: while a panel works, what it waits for says more than that it works. */
export function stateWords(v, words, isBusy = false) {
  if (v.isLost) return document.body.dataset.voila ? "No answer" : "No answer from the kernel";
  return (isBusy && v.model.get("waiting")) || words;
}

/** Return the panel's message; where nothing is being done, that a model's server is absent is one too. */
export function messageWords(v, isBusy = false) {
  return v.isLost ? noAnswer() : v.model.get("message") || (!isBusy && v.model.get("waiting")) || "";
}
