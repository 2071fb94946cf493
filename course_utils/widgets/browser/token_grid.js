/* Texts of tokens in `v.grid`: pointer and arrow keys walk along them, and `v.details` tells of the one they are on. */

import { make } from "#shared/dom.js";
import { percent } from "#shared/format.js";
import { cutToken, rankClass, tokenLabel, tokenName } from "#shared/tokens.js";

/** Append a token to a text; `look` is the name of its CSS class, before the number of its class of ranks. */
export function appendToken(body, { text, label, rank, index, look, data }) {
  const { space, shown, isJoined } = cutToken(text);
  const span = make("span", { class: `${look}${rankClass(rank)}`, role: "option", "aria-selected": "false", tabindex: index ? "-1" : "0" }, shown);
  span.setAttribute("aria-label", tokenLabel(label ?? text, rank));
  span.dataset[data] = String(index);
  if (isJoined) span.classList.add("cp-joins");
  body.append(space, span);
}

/** Mark one token of the grid as the selected one. */
export function selectToken(v, token) {
  v.grid.querySelectorAll("[aria-selected=true]").forEach((other) => other.setAttribute("aria-selected", "false"));
  token.setAttribute("aria-selected", "true");
}

/** Build the line of one alternative: its name, a bar, its probability. The prefix of the panel names the CSS classes. */
export function buildAlternative(prefix, text, probability, isChosen, { bar: barName, share: shareName, chosen }) {
  const bar = make("span", { class: `${prefix}-${barName}`, "aria-hidden": "true" });
  bar.style.setProperty("--share", String(probability));
  const name = make("span", { class: `${prefix}-name` }, tokenName(text));
  const share = make("span", { class: `${prefix}-${shareName}` }, percent(probability), isChosen ? " ◂ came" : "");
  return make("li", isChosen ? { class: `${prefix}-${chosen}` } : {}, name, bar, share);
}

/** Let pointer and arrow keys walk along the tokens that match the selector; `show` tells of the one they are on. */
export function watchTokens(v, selector, show) {
  const tokenOf = (event) => event.target.closest?.(selector);
  v.grid.addEventListener("mouseover", (event) => tokenOf(event) && show(v, tokenOf(event)));
  v.grid.addEventListener("click", (event) => tokenOf(event)?.focus());
  v.grid.addEventListener("focusin", (event) => tokenOf(event) && focusOn(v, tokenOf(event), show));
  v.grid.addEventListener("keydown", (event) => tokenOf(event) && moveFrom(tokenOf(event), event));
}

/** A text has one tab stop: the token where the person was last. */
function focusOn(v, token, show) {
  token.parentNode.querySelectorAll("[tabindex='0']").forEach((other) => (other.tabIndex = -1));
  token.tabIndex = 0;
  show(v, token);
  v.root.style.setProperty("--under", `${v.details.offsetHeight + 16}px`); // the details must not lie on the token
  token.scrollIntoView({ block: "nearest" });
}

function moveFrom(token, event) {
  const moves = {
    ArrowRight: () => token.nextElementSibling, ArrowLeft: () => token.previousElementSibling, Home: () => token.parentNode.firstElementChild,
    End: () => token.parentNode.lastElementChild, ArrowDown: () => nextLine(token, 1), ArrowUp: () => nextLine(token, -1),
  };
  if (!(event.key in moves)) return;
  event.preventDefault();
  moves[event.key]()?.focus();
}

/** The token above or below, as the eye sees it. */
function nextLine(token, direction) {
  const step = (node) => (direction > 0 ? node.nextElementSibling : node.previousElementSibling);
  let other = step(token);
  while (other && (other.offsetTop - token.offsetTop) * direction <= 2) other = step(other);
  const line = other?.offsetTop;
  for (let next = other; next && Math.abs(next.offsetTop - line) <= 2; next = step(next)) {
    if (Math.abs(next.offsetLeft - token.offsetLeft) < Math.abs(other.offsetLeft - token.offsetLeft)) other = next;
  }
  return other;
}
