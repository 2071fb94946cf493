/* Numbers and words as a person reads them. Pure functions: no page, no model. */

/** A whole number with a comma between the thousands. */
export const count = (n) => Math.round(n).toLocaleString("en");

/** A share from 0 to 1 in percent; a share that is small, but not 0, never reads as 0. */
export function percent(share) {
  if (share >= 0.9995) return "100 %";
  if (share >= 0.001) return `${(100 * share).toPrecision(3)} %`;
  return share > 0 ? "below 0.1 %" : "0 %";
}

/** A share from 0 to 1 as a length in a style sheet. */
export const cssPercent = (share) => `${(100 * share).toFixed(2)}%`;

/** A time in seconds, as exact as a person needs it who waits. */
export function duration(seconds) {
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
}

/** A size in megabytes. */
export function megabytes(mb) {
  if (mb >= 1000) return `${(mb / 1000).toFixed(1)} GB`;
  return `${mb >= 10 ? mb.toFixed(0) : mb.toFixed(1)} MB`;
}

/** A time of the kernel, such as 2026-01-31T10:15:00+00:00, as words. */
export const utcTime = (iso) => iso.replace("T", " ").replace("+00:00", " UTC");

/** A day, such as 2026-01-31, as words. */
export const longDay = (day) =>
  new Date(`${day}T00:00:00Z`).toLocaleDateString("en-GB", { day: "numeric", month: "long", year: "numeric", timeZone: "UTC" });

/** The same words with a capital. */
export const capital = (words) => words.slice(0, 1).toUpperCase() + words.slice(1);

/** Read what somebody typed as a number, with a decimal point or a decimal comma; NaN where it is none. */
export const parseDecimal = (typed) => Number(typed.trim().replace(",", ".") || NaN);
