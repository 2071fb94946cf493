/* Numbers and words as a person reads them. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { capital, count, cssPercent, duration, longDay, megabytes, parseDecimal, percent, utcTime } from "#shared/format.js";

test("a typed number has a decimal point or a decimal comma", () => {
  for (const [typed, number] of [["0.7", 0.7], ["0,7", 0.7], [" 1,25 ", 1.25], ["-3", -3], ["40", 40], [",5", 0.5], ["1e2", 100], ["0", 0], ["0,", 0], ["000", 0]]) {
    assert.equal(parseDecimal(typed), number, typed);
  }
});

test("what is no number reads as none, and never as 0", () => {
  for (const typed of ["", " ", "many", "1.234,5", "1,2,3", "NaN", "0.7.1", "--1", "1 000", "<b>1</b>", "٢٫٥"]) assert.ok(Number.isNaN(parseDecimal(typed)), typed);
});

test("a share in percent has three digits, and only 0 reads as 0", () => {
  for (const [share, words] of [
    [1, "100 %"], [0.9996, "100 %"], [0.9994, "99.9 %"], [0.5, "50.0 %"], [0.0123, "1.23 %"], [0.001, "0.100 %"], [0.000999, "below 0.1 %"], [Number.MIN_VALUE, "below 0.1 %"], [0, "0 %"],
  ]) assert.equal(percent(share), words);
  for (let share = 1e-12; share <= 1; share *= 1.7) assert.notEqual(percent(share), "0 %");
});

test("a share as a length in a style sheet has a point in every language", () => {
  assert.deepEqual([0, 0.12345, 1, -0.5].map(cssPercent), ["0.00%", "12.35%", "100.00%", "-50.00%"]);
});

test("a time grows from seconds to minutes to hours", () => {
  const words = [0, 0.2, 1.4, 89.4, 90, 150, 5399, 5400, 36000].map(duration);
  assert.deepEqual(words, ["1 s", "1 s", "1 s", "89 s", "2 min", "3 min", "90 min", "1.5 h", "10.0 h"]);
});

test("counts have a comma between the thousands, and no fractions", () => {
  assert.deepEqual([0, 999, 1000, 1234567, 2.5, "20000"].map(count), ["0", "999", "1,000", "1,234,567", "3", "20,000"]);
});

test("sizes say megabytes, and gigabytes from a thousand on", () => {
  assert.deepEqual([0.25, 9.94, 10, 999.4, 1000, 5400].map(megabytes), ["0.3 MB", "9.9 MB", "10 MB", "999 MB", "1.0 GB", "5.4 GB"]);
});

test("days and times do not depend on where the reader is", () => {
  assert.equal(longDay("2019-02-14"), "14 February 2019");
  assert.equal(longDay("2019-12-31"), "31 December 2019");
  assert.equal(utcTime("2026-01-31T10:15:00+00:00"), "2026-01-31 10:15:00 UTC");
});

test("a capital changes the first letter only", () => {
  assert.deepEqual(["the maker", "", "É", "ß", "1st"].map(capital), ["The maker", "", "É", "SS", "1st"]);
});
