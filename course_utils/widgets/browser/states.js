/* States of a panel, as the kernel names them, and their words. Pure, but for the model that is asked. */

/** Names of the states in which a panel is at work; `busy_states` of the Python class has the same. */
export const BUSY_STATES = ["loading", "generating", "working", "preparing", "training"];

const LABELS = { idle: "Ready", loading: "Loading the model…", working: "Working…", done: "Done", stopped: "Stopped", failed: "Not done" };

/** How a text of a model ended. */
export const ENDINGS = { length: "reached its length", "end of text": "the model ended the text", stopped: "stopped" };

/** Return the words of every state; a panel gives those that it says in its own way. */
export const stateLabels = (own = {}) => ({ ...LABELS, ...own });

/** Return whether the panel is at work. */
export const isWorking = (v) => BUSY_STATES.includes(v.model.get("state"));
