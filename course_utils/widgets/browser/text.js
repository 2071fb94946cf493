/* Text of people and models, made safe to read: characters that a page hides, or that turn its direction, are made visible.
 *
 * Every text enters the page through a text node. Nothing here parses HTML.
 */

// eslint-disable-next-line no-control-regex -- control characters are what it looks for
const HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]/g;

/** Scripts whose letters join their neighbours: no gap may stand between two tokens of such a word. */
const JOINING_SCRIPTS = /[\p{Script=Arabic}\p{Script=Syriac}\p{Script=Nko}\p{Script=Mongolian}\p{Script=Mandaic}\p{Script=Adlam}]/u;

/** A letter or digit: what counts when the words of a quotation are looked for in an essay. */
export const LETTER_OR_DIGIT = /[\p{L}\p{N}]/u;

/** Return the text with control characters and marks of direction as visible signs; tabs and line ends stay. */
export function visible(text) {
  return text.replace(HIDDEN, (character) => {
    const code = character.codePointAt(0);
    return code < 32 ? String.fromCodePoint(0x2400 + code) : `⟨U+${code.toString(16).toUpperCase().padStart(4, "0")}⟩`;
  });
}

/** Return whether the text has letters that join their neighbours. */
export const joinsNeighbours = (text) => JOINING_SCRIPTS.test(text);
