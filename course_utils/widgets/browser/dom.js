/* Elements of a page: making them, enabling them, and fields for numbers. */

import { parseDecimal } from "#shared/format.js";

/** Make an element; strings among the children become text nodes. */
export function make(tag, attributes = {}, ...children) {
  // What a person writes goes in the direction of its own script.
  if (tag === "textarea" || (tag === "input" && attributes.type === "text")) attributes = { dir: "auto", ...attributes };
  return fill(document.createElement(tag), attributes, children);
}

/** Make an element of a drawing (SVG). */
export const draw = (tag, attributes = {}, ...children) => fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);

/** Strings and numbers become attributes; anything else, such as a callback or true, becomes a property of the element. */
function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name in node && typeof value !== "string" && typeof value !== "number") node[name] = value;
    else node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

export const button = (label, press, more = {}) => make("button", { type: "button", onclick: press, ...more }, label);

/** Enable or disable a button or field. */
export function enable(node, isEnabled) {
  // Not `disabled`: a button that disables itself would lose the keyboard focus, and with it the person's place on the page.
  node.setAttribute("aria-disabled", String(!isEnabled));
}

export const isEnabled = (node) => node.getAttribute("aria-disabled") !== "true";

/** A field for a number. The kernel reads what was typed: a browser understands a decimal comma in some languages only. */
export function numberField(attributes, step = 1) {
  const input = make("input", { type: "text", size: "5", inputmode: "decimal", autocomplete: "off", spellcheck: false, class: "cp-number", ...attributes });
  input.addEventListener("keydown", (event) => stepNumber(input, Number(step), event));
  return input;
}

/** The arrow keys up and down change a number by one step. */
function stepNumber(input, step, event) {
  const direction = { ArrowUp: 1, ArrowDown: -1 }[event.key];
  const number = parseDecimal(input.value);
  if (!direction || input.readOnly || !Number.isFinite(number) || event.ctrlKey || event.altKey || event.metaKey) return;
  event.preventDefault();
  input.value = String(Number((number + direction * step).toFixed(4)));
  for (const name of ["input", "change"]) input.dispatchEvent(new Event(name));
}

/** Show a number from the kernel; never over what somebody is typing. */
export function showNumber(input, number) {
  if (number != null && document.activeElement !== input && input.value !== String(number)) input.value = String(number);
}

/** Change a text only where it differs: a screen reader reads out again what is set again. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Hand the person a file. */
export function saveFile(name, text, type) {
  const url = URL.createObjectURL(new Blob([text], { type }));
  make("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}
