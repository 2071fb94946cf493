/* Tokens in words: names, ranks, and where one is cut. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { cutToken, RANK_CLASSES, rankClass, tokenLabel, tokenName } from "#shared/tokens.js";

test("each rank has one class, at the limits too; 0 has none", () => {
  const classes = [0, 1, 10, 11, 100, 101, 1000, 1001, 50257, 1e9].map(rankClass);
  assert.deepEqual(classes, [-1, 0, 0, 1, 1, 2, 2, 3, 3, 3]);
  assert.equal(rankClass(null), -1);
  for (let rank = 1; rank < 1100; rank++) assert.ok(rank <= RANK_CLASSES[rankClass(rank)][0]);
});

test("a name shows spaces, line ends, tabs and loose bytes", () => {
  for (const [text, name] of [
    ["", "(rest of a character)"], [" the", "␣the"], ["  ", "␣␣"], ["\n", "⏎"], ["\t", "⇥"], ["\\xe2\\x80", "⟨byte E2⟩⟨byte 80⟩"],
    ["\u202e", "⟨U+202E⟩"], ["\u0000", "␀"], ["<img src=x onerror=alert(1)>", "<img␣src=x␣onerror=alert(1)>"], [" שלום", "␣שלום"],
  ]) assert.equal(tokenName(text), name);
});

test("a screen reader hears the rank where it is known", () => {
  assert.equal(tokenLabel(" a", 12), "␣a, rank 12, top 100");
  assert.equal(tokenLabel(" a", 0), "␣a");
});

test("the space before a word stays outside the token; cut and put together, nothing is lost", () => {
  assert.deepEqual(cutToken(" word"), { space: " ", shown: "word", isJoined: false });
  assert.deepEqual(cutToken(" "), { space: "", shown: " ", isJoined: false });
  assert.deepEqual(cutToken("  word"), { space: "", shown: "  word", isJoined: false });
  assert.deepEqual(cutToken(""), { space: "", shown: "·", isJoined: false });
  assert.deepEqual(cutToken("\n\n"), { space: "", shown: "⏎\n⏎\n", isJoined: false });
  assert.deepEqual(cutToken(" سلام"), { space: " ", shown: "سلام", isJoined: true });
  for (const text of [" a", "a b", "é", " 字", "🙂", "a "]) assert.equal(cutToken(text).space + cutToken(text).shown, text);
});
