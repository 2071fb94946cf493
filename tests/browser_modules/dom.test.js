/* Elements of a page, in a document that linkedom makes: hostile text stays text, and each text has its own direction. */

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { parseHTML } from "linkedom";

import { messageWords, noAnswer, stateWords } from "#shared/connection.js";
import { button, draw, enable, isEnabled, make, numberField, setText, showNumber } from "#shared/dom.js";
import { appendToken } from "#shared/token_grid.js";

const HOSTILE = ["<img src=x onerror=alert(1)>", "</script><script>alert(1)</script>", "&lt;b&gt; &amp;", '" onmouseover="alert(1)', "${alert(1)}"];

beforeEach(() => {
  const { document, Event } = parseHTML("<!doctype html><html><body></body></html>");
  Object.assign(globalThis, { document, Event });
});

test("text stays text, among the children and in the attributes", () => {
  for (const text of HOSTILE) {
    const node = make("p", { title: text, "aria-label": text }, text, make("b", {}, text));
    document.body.replaceChildren(node);
    assert.equal(node.firstChild.textContent, text);
    assert.equal(node.getAttribute("title"), text);
    assert.deepEqual([...node.children].map((child) => child.tagName), ["B"]);
    const page = parseHTML(`<html><body>${document.body.innerHTML}</body></html>`).document; // as a browser would read it again
    assert.deepEqual([...page.querySelectorAll("*")].map((each) => each.tagName).filter((tag) => ["IMG", "SCRIPT"].includes(tag)), []);
    assert.equal(page.querySelector("b").textContent, text);
    assert.equal(page.querySelector("p").getAttribute("onmouseover"), null);
  }
});

test("what a person writes goes in the direction of its own script", () => {
  assert.equal(make("textarea").getAttribute("dir"), "auto");
  assert.equal(make("input", { type: "text" }).getAttribute("dir"), "auto");
  assert.equal(make("textarea", { dir: "ltr" }).getAttribute("dir"), "ltr");
  for (const node of [make("p"), make("input", { type: "radio" }), make("select")]) assert.equal(node.getAttribute("dir"), null);
});

test("a disabled button keeps the focus: it is marked, and not taken away", () => {
  const node = button("Stop", () => {});
  assert.ok(isEnabled(node));
  enable(node, false);
  assert.deepEqual([isEnabled(node), node.getAttribute("aria-disabled"), node.hasAttribute("disabled")], [false, "true", false]);
  enable(node, true);
  assert.ok(isEnabled(node));
});

test("drawings are SVG", () => {
  assert.equal(draw("circle", { r: 3 }).namespaceURI, "http://www.w3.org/2000/svg");
});

const press = (input, key, more = {}) => {
  const event = Object.assign(new Event("keydown", { cancelable: true }), { key, ...more });
  input.dispatchEvent(event);
  return input.value;
};

test("arrow keys change a number by its step, also one with a decimal comma", () => {
  const input = numberField({}, 0.1);
  for (const [typed, key, value] of [["0,7", "ArrowUp", "0.8"], ["0.3", "ArrowDown", "0.2"], ["1", "ArrowUp", "1.1"], ["", "ArrowUp", ""], ["many", "ArrowUp", "many"], ["0,7", "a", "0,7"]]) {
    input.value = typed;
    assert.equal(press(input, key), value, `${typed} ${key}`);
  }
  input.value = "0.5";
  assert.equal(press(input, "ArrowUp", { ctrlKey: true }), "0.5");
});

test("a number from the kernel never replaces what somebody is typing", () => {
  const [input, other] = [numberField({}), numberField({})];
  input.value = other.value = "0,";
  Object.defineProperty(document, "activeElement", { value: input, configurable: true });
  showNumber(input, 0);
  showNumber(other, 0);
  showNumber(other, null);
  assert.deepEqual([input.value, other.value], ["0,", "0"]);
});

test("a text that stays the same is not set again", () => {
  const node = make("p", {}, "Done");
  const text = node.firstChild;
  setText(node, "Done");
  assert.equal(node.firstChild, text);
  setText(node, "Stopped");
  assert.equal(node.textContent, "Stopped");
});

test("a token's text is text, its space stays outside, and its rank gives its class", () => {
  const body = make("div");
  appendToken(body, { text: " <b>", rank: 11, index: 0, look: "tm-token tm-class", data: "place" });
  appendToken(body, { text: "ب", rank: 0, index: 1, look: "tm-token tm-class", data: "place" });
  const [first, second] = body.children;
  assert.equal(body.textContent, " <b>ب");
  assert.deepEqual([first.textContent, first.getAttribute("class"), first.getAttribute("tabindex")], ["<b>", "tm-token tm-class1", "0"]);
  assert.equal(first.getAttribute("aria-label"), "␣<b>, rank 11, top 100");
  assert.ok(second.classList.contains("cp-joins") && second.dataset.place === "1" && second.getAttribute("tabindex") === "-1");
});

const viewOf = (traits, isLost = false) => ({ isLost, model: { get: (name) => traits[name] } });

test("that the kernel is lost says more than any message, and a message more than what is waited for", () => {
  const traits = { message: "The file is gone.", waiting: "No server." };
  assert.equal(messageWords(viewOf(traits, true)), noAnswer());
  assert.equal(messageWords(viewOf(traits)), "The file is gone.");
  assert.equal(messageWords(viewOf({ ...traits, message: "" })), "No server.");
  assert.equal(messageWords(viewOf({ ...traits, message: "" }), true), "");
  assert.equal(messageWords(viewOf({})), "");
  assert.deepEqual([stateWords(viewOf(traits), "Working…", true), stateWords(viewOf(traits), "Ready"), stateWords(viewOf(traits, true), "Ready")], ["No server.", "Ready", "No answer from the kernel"]);
});
