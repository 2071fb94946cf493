/* The list of models to choose from, and what stands beside it. */

import { make } from "#shared/dom.js";

/** Return the options of a list of models, as [value, label]; one says why where there is no model. */
export function modelOptions(models, isWaiting = false) {
  if (models.length) return models.map(({ name }) => [name, name]);
  return [["", isWaiting ? "none yet" : "no model on this machine"]];
}

/** Return what is told of a model; nothing of one that is not in the list. */
export const aboutModel = (models, name) => models.find((model) => model.name === name)?.about ?? "";

/** Build the list of models with its label; `choose` is called when a person takes another. */
export function buildModelChooser(v, className, choose = () => showAbout(v)) {
  v.chooser = make("select", { id: `${v.id}-model`, onchange: choose });
  v.about = make("span", { class: "cp-about" });
  return make("div", { class: className }, make("label", { for: v.chooser.id }, "Model"), v.chooser, v.about);
}

/** Show the models that the kernel knows, and which one is chosen. */
export function showModels(v) {
  const options = modelOptions(v.model.get("models"), Boolean(v.model.get("waiting")));
  v.chooser.replaceChildren(...options.map(([value, label]) => make("option", { value }, label)));
  v.chooser.value = v.model.get("model");
  showAbout(v);
}

/** Show what is told of the chosen model, and let the panel know that another may be chosen. */
export function showAbout(v) {
  v.about.textContent = aboutModel(v.model.get("models"), v.chooser.value);
  v.chooser.dispatchEvent(new Event("chosen"));
}
