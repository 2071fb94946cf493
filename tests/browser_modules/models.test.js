/* The list of models, and the words of states. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { aboutModel, modelOptions } from "#shared/models.js";
import { BUSY_STATES, isWorking, stateLabels } from "#shared/states.js";

const MODELS = [{ name: "pocket", about: "124 M parameters" }, { name: "<b>own</b>", about: "" }];
const viewOf = (state) => ({ model: { get: (name) => (name === "state" ? state : undefined) } });

test("every model can be chosen, by its own name", () => {
  assert.deepEqual(modelOptions(MODELS), [["pocket", "pocket"], ["<b>own</b>", "<b>own</b>"]]);
});

test("where there is no model, the list says why, and chooses none", () => {
  assert.deepEqual(modelOptions([], false), [["", "no model on this machine"]]);
  assert.deepEqual(modelOptions([], true), [["", "none yet"]]);
});

test("what is told of a model belongs to that model", () => {
  assert.deepEqual(["pocket", "<b>own</b>", "gone", ""].map((name) => aboutModel(MODELS, name)), ["124 M parameters", "", "", ""]);
});

test("a panel's own words replace the common ones, and only those", () => {
  const labels = stateLabels({ working: "Reading…", training: "Learning…" });
  assert.deepEqual([labels.working, labels.training, labels.done, labels.failed], ["Reading…", "Learning…", "Done", "Not done"]);
  assert.equal(stateLabels().working, "Working…");
});

test("a panel works in its busy states only", () => {
  for (const state of BUSY_STATES) assert.ok(isWorking(viewOf(state)), state);
  for (const state of ["idle", "done", "stopped", "failed", "", undefined]) assert.ok(!isWorking(viewOf(state)), String(state));
});
