/* Text of people and models: what is hidden, or turns the direction, is made visible; letters are what counts as letters. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { joinsNeighbours, LETTER_OR_DIGIT, visible } from "#shared/text.js";

const TURNS = [0x61c, 0x200e, 0x200f, 0x202a, 0x202b, 0x202c, 0x202d, 0x202e, 0x2066, 0x2067, 0x2068, 0x2069];
const HIDES = [0x200b, 0x2060, 0xfeff, 0x7f, 0x80, 0x9f];

test("no mark that turns or hides text stays in it", () => {
  for (const code of [...TURNS, ...HIDES]) {
    const shown = visible(`a${String.fromCodePoint(code)}b`);
    assert.equal(shown, `a⟨U+${code.toString(16).toUpperCase().padStart(4, "0")}⟩b`);
  }
});

test("control characters have their pictures; tabs and line ends stay", () => {
  for (let code = 0; code < 32; code++) {
    const character = String.fromCodePoint(code);
    assert.equal(visible(character), code === 9 || code === 10 ? character : String.fromCodePoint(0x2400 + code));
  }
});

test("every other character stays as it is, whatever its script", () => {
  for (const text of ["", "Où?", "שלום עולם", "مرحبا بالعالم", "你好", "👩‍👩‍👧 🙂", "a\u0301", "‘½ ٣’", "<script>alert(1)</script>", "\ud800"]) assert.equal(visible(text), text);
});

test("visible text stays as it is when it is made visible again", () => {
  const all = String.fromCodePoint(...Array.from({ length: 0x3000 }, (_, code) => code));
  assert.equal(visible(visible(all)), visible(all));
});

test("letters of joined scripts join, in any place of a token", () => {
  for (const text of ["سلام", " ال", "xب", "ܫܠܡܐ", "ߒߞߏ", "ᠮᠣᠩᠭᠣᠯ"]) assert.ok(joinsNeighbours(text), text);
  for (const text of ["", "word", "שלום", "слово", "你好", "…", "12"]) assert.ok(!joinsNeighbours(text), text);
});

test("letters and digits count, signs and emoji do not", () => {
  for (const c of ["a", "é", "ß", "ב", "م", "字", "9", "٣", "½"]) assert.match(c, LETTER_OR_DIGIT);
  for (const c of [" ", "*", "_", "“", "🙂", "%", "\u0301", "–"]) assert.doesNotMatch(c, LETTER_OR_DIGIT);
});
