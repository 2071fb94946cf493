/* Tokens in words: their names, the classes of their ranks, and how one is cut for the page. Pure functions. */

import { joinsNeighbours, visible } from "#shared/text.js";

/** Classes of ranks: the highest rank of each, and its name. */
export const RANK_CLASSES = [[10, "top 10"], [100, "top 100"], [1000, "top 1,000"], [Infinity, "beyond 1,000"]];

/** Return the place of a rank among the classes; -1 for rank 0, which stands for a rank that is not known. */
export const rankClass = (rank) => (rank ? RANK_CLASSES.findIndex(([highest]) => rank <= highest) : -1);

/** Return the name of a token that stands by itself: spaces, line ends and bytes of half a character can be seen. */
export function tokenName(text) {
  if (!text) return "(rest of a character)";
  const shown = visible(text).replace(/ /g, "␣").replace(/\n/g, "⏎").replace(/\t/g, "⇥");
  return shown.replace(/\\x([0-9a-f]{2})/g, (_, byte) => `⟨byte ${byte.toUpperCase()}⟩`);
}

/** Return what a screen reader says of a token; a rank of 0 is not told. */
export const tokenLabel = (text, rank) => (rank ? `${tokenName(text)}, rank ${rank}, ${RANK_CLASSES[rankClass(rank)][1]}` : tokenName(text));

/**
 * Cut a token for a text of tokens: the space before a word stays outside its box, so that lines break between tokens and not
 * inside them. `isJoined` says that its letters join their neighbours.
 */
export function cutToken(text) {
  const space = /^ (?=\S)/.test(text) ? " " : "";
  const shown = text ? visible(text.slice(space.length)).replace(/\n/g, "⏎\n") : "·";
  return { space, shown, isJoined: joinsNeighbours(text) };
}
