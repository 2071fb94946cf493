/* The box "Add my votes to the class's picture", for panels whose votes or numbers may be shared. The trait `class_share` holds
 *   offers   whether a class is open
 *   is_on    whether the box is ticked
 *   what     votes, or kept numbers
 *   names    what exactly is sent
 *   said     what became of it
 *   kept     how many numbers this page keeps by itself, in a hall
 * and is empty where there is neither class nor hall: then nothing is shown.
 */

import { noteAnswer, send } from "#shared/connection.js";
import { button, make, saveFile } from "#shared/dom.js";

export function buildVoteSharing(v) {
  const box = make("input", { type: "checkbox", id: `${v.id}-class`, "aria-describedby": `${v.id}-class-names` });
  box.addEventListener("change", () => send(v, { kind: "class share", is_on: box.checked }));
  const what = make("span", {});
  const label = make("label", { for: box.id, class: "ch-label" }, box, what);
  const names = make("p", { class: "cp-hint", id: `${v.id}-class-names` });
  const said = make("p", { class: "ch-said", role: "status" });
  const offer = make("div", { class: "ch-offer" }, label, names, said);
  const file = button("Download what I kept", () => send(v, { kind: "class ledger" }), { class: "cp-quiet" });
  const node = make("div", { class: "ch-share", hidden: true }, offer, file);
  const show = () => {
    const { offers = false, is_on = false, what: mine = "", names: sent = "", said: words = "", kept = 0 } = v.model.get("class_share") ?? {};
    node.hidden = !offers && !kept;
    offer.hidden = !offers;
    file.hidden = !kept;
    box.checked = is_on;
    what.textContent = `Add my ${mine} to the class's picture (anonymous)`;
    names.textContent = `What is sent: ${sent}; with the minute, and a random number in the place of your name. No prompt, no text, no reason. Untick it to take it back, as long as this page is open; each page and each notebook has a box of its own.`;
    if (said.textContent !== words) said.textContent = words;
  };
  v.model.on("change:class_share", () => (noteAnswer(v), show()));
  v.model.on("msg:custom", (message) => message.kind === "class ledger" && saveFile(message.name, message.text, "application/jsonl"));
  show();
  return node;
}
