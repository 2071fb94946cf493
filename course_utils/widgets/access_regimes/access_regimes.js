/* Access regimes: one prompt, three columns, each with the same five buttons. */

import "#shared/panel.css";
import "./access_regimes.css";

import { isRead, send, sendTyped, setTrait, stateWords } from "#shared/connection.js";
import { button, enable, isEnabled, make, numberField, showNumber } from "#shared/dom.js";
import { utcTime } from "#shared/format.js";
import { buildHead, buildMessage, newView, openView, showMessage } from "#shared/panel.js";
import { isWorking, stateLabels } from "#shared/states.js";
import { visible } from "#shared/text.js";
import { tokenName } from "#shared/tokens.js";

const STATES = stateLabels({ failed: "Not answered" });
const FIELDS = [["seed", "Seed", "1"], ["temperature", "Temperature", "0.1"]];
const WHO = { researcher: "A researcher", misuser: "A misuser", maker: "The maker" };
const AT_FIRST = 3; // of many texts; the others open on demand

/* ---- building ------------------------------------------------------------------------------------------------------ */

function buildAsk(v) {
  v.prompt = make("textarea", { id: `${v.id}-prompt`, rows: 2, spellcheck: false });
  v.prompt.addEventListener("change", () => setTrait(v, "prompt", v.prompt.value));
  v.state = make("span", { class: "ar-state", role: "status" });
  v.bar = make("progress", { max: 1, value: 0, "aria-label": "Tokens written" });
  v.stop = button("Stop", () => isWorking(v) && send(v, { kind: "stop" }));
  v.speaker = make("p", { class: "cp-hint" });
  const label = make("label", { for: v.prompt.id, class: "cp-strong" }, "One prompt for all three");
  const ask = make("div", { class: "ar-ask" }, label, v.prompt, v.speaker, make("div", { class: "ar-progress" }, v.stop, v.bar, v.state));
  ask.addEventListener("keydown", (event) => event.key === "Escape" && isWorking(v) && send(v, { kind: "stop" }));
  return ask;
}

function buildColumn(v, { key, name, about, example, source, how }) {
  const head = [make("h3", { class: "ar-name" }, name), make("p", {}, about), make("p", { class: "cp-hint" }, `For example: ${example}. (${source}; ${how})`)];
  const own = { open: buildSettings, api: buildAccount }[key]?.(v) ?? make("p", { class: "cp-hint" }, "Nothing can be set here.");
  const buttons = v.model.get("actions").map((action) => button(action.name, () => ask(v, key, action.key), { class: "cp-quiet", "aria-label": `${action.name}: ${name}` }));
  v.outputs[key] = make("div", { class: "ar-output", role: "region", "aria-live": "polite", "aria-label": `Answer: ${name}` });
  return make("article", { class: "ar-column", "aria-label": name }, ...head, make("div", { class: "ar-own" }, own), make("div", { class: "cp-buttons" }, ...buttons), v.outputs[key]);
}

function buildSettings(v) {
  const fields = FIELDS.map(([name, label, step]) => {
    const [lowest, highest, , meaning] = v.model.get("ranges")[name];
    const id = `${v.id}-${name}`;
    const input = numberField({ id, title: `${meaning}; ${lowest} to ${highest}`, "aria-describedby": `${id}-problem` }, step);
    const problem = make("p", { id: `${id}-problem`, class: "cp-problem" });
    input.addEventListener("change", () => sendTyped(v, readFields(v), showValues));
    input.addEventListener("blur", () => showValues(v));
    v.fields[name] = { input, problem };
    return make("div", {}, make("label", { for: id }, label), input, problem);
  });
  return make("div", { class: "ar-fields" }, ...fields);
}

function buildAccount(v) {
  v.purpose = make("input", { type: "text", id: `${v.id}-purpose`, maxlength: 300, placeholder: "What will you use it for?" });
  v.purpose.addEventListener("keydown", (event) => event.key === "Enter" && requestKey(v));
  v.request = button("Agree, and ask for a key", () => requestKey(v), { class: "cp-quiet" });
  v.revoke = button("Provider: revoke the key", () => isEnabled(v.revoke) && send(v, { kind: "revoke" }), { class: "cp-quiet" });
  v.account = make("p", { class: "ar-account", role: "status" });
  v.problem = make("p", { class: "ar-error" });
  const terms = make("ul", { class: "ar-terms" }, ...v.model.get("terms").map((term) => make("li", {}, term)));
  const rule = make("p", { class: "cp-hint" }, `Rule of use, a plain list of words that reads no meaning: ${v.model.get("rule")}.`);
  const papers = make("details", {}, make("summary", {}, "Terms and rule of use"), terms, rule);
  return make("div", { class: "ar-gate" }, make("label", { for: v.purpose.id }, "Purpose"), v.purpose, papers, make("div", { class: "cp-buttons" }, v.request, v.revoke), v.problem, v.account);
}

function build(v) {
  const head = buildHead(v, "One model, three regimes");
  buildMessage(v);
  const columns = make("div", { class: "ar-columns" }, ...v.model.get("regimes").map((regime) => buildColumn(v, regime)));
  v.log = make("ol", { class: "ar-log" });
  v.logHead = make("summary", {});
  const log = make("details", { class: "ar-provider" }, v.logHead, v.log);
  v.questions = make("tbody");
  const names = v.model.get("regimes").map(({ name }) => make("th", { scope: "col" }, name));
  const caption = make("caption", {}, "What each lets one learn, and do. ✓ marks what you have tried here.");
  const table = make("table", { class: "ar-table" }, caption, make("thead", {}, make("tr", {}, make("th", { scope: "col" }, "Question"), ...names)), v.questions);
  v.root = make("section", { class: "cp ar", "aria-label": "Access regimes" }, head, buildAsk(v), v.message, columns, log, table);
}

/* ---- what the person does ------------------------------------------------------------------------------------------ */

const readFields = (v) => Object.fromEntries(FIELDS.map(([name]) => [name, v.fields[name].input.value]));

const ask = (v, regime, action) => send(v, { kind: "ask", regime, action, prompt: v.prompt.value, values: readFields(v) });
const requestKey = (v) => send(v, { kind: "request key", purpose: v.purpose.value });

/* ---- what the kernel says ------------------------------------------------------------------------------------------ */

function showState(v) {
  const state = v.model.get("state");
  const { regime, n, of } = v.model.get("busy");
  v.root.dataset.state = v.model.get("message") ? "failed" : state;
  showMessage(v, isWorking(v));
  const name = v.model.get("regimes").find(({ key }) => key === regime)?.name;
  v.state.textContent = stateWords(v, name ? `${name}: ${STATES[state]}${n ? ` ${n} of at most ${of} tokens` : ""}` : STATES[state], isWorking(v));
  v.bar.value = isWorking(v) && of ? n / of : 0;
  v.bar.hidden = !isWorking(v);
  enable(v.stop, isWorking(v));
}

function showAnswers(v) {
  const answers = v.model.get("answers");
  for (const [key, place] of Object.entries(v.outputs)) {
    const shown = JSON.stringify(answers[key] ?? null);
    if (place.dataset.shown === shown) continue; // a screen reader would read it out again
    place.dataset.shown = shown;
    place.replaceChildren(...(answers[key] ? buildAnswer(v, answers[key]) : []));
  }
}

function buildAnswer(v, { action, prompt = "", texts, rows, facts, note, error }) {
  const name = v.model.get("actions").find(({ key }) => key === action)?.name ?? "Answer";
  const parts = [make("p", { class: "cp-label" }, texts ? `${name} · machine-written` : name)];
  const shown = (texts ?? []).map((text, i) => buildText(prompt, text, texts.length > 1 ? i + 1 : 0));
  parts.push(...shown.slice(0, AT_FIRST));
  if (shown.length > AT_FIRST) parts.push(make("details", {}, make("summary", {}, `${shown.length - AT_FIRST} more texts`), ...shown.slice(AT_FIRST)));
  if (rows) parts.push(buildTable(rows.map(([token, p]) => [`“${tokenName(token)}”`, p])));
  if (facts) parts.push(buildTable(facts));
  if (note) parts.push(make("p", { class: "cp-hint" }, note));
  if (error) parts.push(make("p", { class: "ar-error cp-text" }, make("strong", {}, "✗ "), error));
  return parts;
}

function buildText(prompt, text, number) {
  const said = make("span", { class: "ar-prompt" }, visible(prompt));
  return make("p", { class: "ar-text cp-text" }, ...(number ? [make("strong", {}, `${number}. `)] : [said]), visible(text));
}

function buildTable(pairs) {
  const rows = pairs.map(([head, value]) => make("tr", {}, make("th", { scope: "row" }, head), make("td", {}, value)));
  return make("table", { class: "ar-small" }, make("tbody", {}, ...rows));
}

function showAccount(v) {
  const { price, quota, cost, name, purpose, left, is_revoked: isRevoked, problem } = v.model.get("account");
  const prices = `${price} per 1,000 tokens, ${quota} requests a key (our numbers, no provider's).`;
  const key = isRevoked ? `${name} is revoked.` : `${name}, for “${visible(purpose ?? "")}”: ${left} of ${quota} requests left.`;
  v.account.textContent = `${name ? key : "No key yet."} Spent: ${cost}. ${prices}`;
  v.problem.textContent = problem ?? "";
  v.problem.hidden = !problem;
  enable(v.revoke, Boolean(name) && !isRevoked);
}

function showLog(v) {
  const rows = v.model.get("logged");
  v.logHead.textContent = `The provider's log: ${rows.length} ${rows.length === 1 ? "request" : "requests"}, every prompt in it`;
  v.log.replaceChildren(...rows.map((row) => {
    const head = make("p", { class: "cp-label" }, `${utcTime(row.time)} · ${row.key} · “${visible(row.purpose)}” · ${row.n_tokens} tokens · $${row.cost.toFixed(4)}`);
    return make("li", {}, head, make("p", { class: "cp-text" }, make("strong", {}, visible(row.prompt) || "(empty)"), ` → ${visible(row.answer)}`));
  }));
}

function showQuestions(v) {
  const names = v.model.get("regimes").map(({ name }) => name);
  v.questions.replaceChildren(...v.model.get("questions").map(({ who, ask: question, answers, tried }) => {
    const head = make("th", { scope: "row" }, make("span", { class: "cp-label" }, WHO[who]), make("br"), question);
    const cells = answers.map((answer, i) => {
      const times = tried[i] ? make("span", { class: "ar-tried" }, `✓ tried${tried[i] > 1 ? ` ${tried[i]} times` : ""}`) : "";
      return make("td", { "data-regime": names[i] }, answer, " ", times);
    });
    return make("tr", {}, head, ...cells);
  }));
}

function showValues(v) {
  const values = v.model.get("values");
  if (isRead(v)) for (const [name] of FIELDS) showNumber(v.fields[name].input, values[name]);
}

function showProblems(v) {
  const problems = v.model.get("problems");
  for (const [name] of FIELDS) {
    v.fields[name].problem.textContent = problems[name] ?? "";
    v.fields[name].input.setAttribute("aria-invalid", String(name in problems));
  }
}

/* ---- the way onto the page ----------------------------------------------------------------------------------------- */

function render({ model, el }) {
  const v = Object.assign(newView(model, el), { outputs: {}, fields: {} });
  v.showState = () => showState(v);
  build(v);
  const close = openView(v, {
    message: () => showState(v), state: () => showState(v), busy: () => showState(v), values: () => showValues(v), problems: () => showProblems(v), answers: () => showAnswers(v),
    prompt: () => (v.prompt.value = model.get("prompt")), speaker: () => (v.speaker.textContent = `Behind all three: ${model.get("speaker")}`),
    account: () => showAccount(v), logged: () => showLog(v), questions: () => showQuestions(v),
  });
  send(v, { kind: "ready" });
  return close;
}

export default { render };
