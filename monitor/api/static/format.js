/** Numbers, times and identifiers, as the page writes them. */

/** A space at which no line breaks. */
export const NB = "\u00A0";
const SECONDS = new Map([
  ["s", 1],
  ["m", 60],
  ["h", 3600],
  ["d", 86_400],
  ["w", 604_800],
]);
const COUNT = new Intl.NumberFormat("en");
const COMPACT = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
/** @type {Intl.DateTimeFormatOptions} */
const DAY = { timeZone: "UTC", day: "numeric", month: "short" };
/** @type {Intl.DateTimeFormatOptions} */
const CLOCK = { timeZone: "UTC", hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
const FORMATS = {
  day: new Intl.DateTimeFormat("en-GB", DAY),
  clock: new Intl.DateTimeFormat("en-GB", CLOCK),
  second: new Intl.DateTimeFormat("en-GB", { ...CLOCK, second: "2-digit" }),
  moment: new Intl.DateTimeFormat("en-GB", { ...DAY, ...CLOCK }),
  full: new Intl.DateTimeFormat("en-GB", { ...DAY, ...CLOCK, year: "numeric", second: "2-digit" }),
};
/** @typedef {keyof typeof FORMATS} TimeForm */

/** @type {[string, number][]} */
const UNITS = [
  ["d", 86_400],
  ["h", 3600],
  ["min", 60],
  ["s", 1],
];
const SUPERSCRIPTS = new Map([..."0123456789-"].map((sign, i) => [sign, "⁰¹²³⁴⁵⁶⁷⁸⁹⁻"[i] ?? ""]));
const ACRONYMS = /^(?:ece|mce|ace|sce|auc|aurc|corp|crps|pit|psi|l2)$/u;

/**
 * Tell whether a value is a usable number.
 * @param {unknown} value
 * @returns {value is number}
 */
export function known(value) {
  return typeof value === "number" && Number.isFinite(value);
}

/**
 * Write a score: three decimals, four when it is small.
 * @param {number} value
 */
export function score(value) {
  const size = Math.abs(value);
  return value.toFixed(size > 0 && size < 0.00995 ? 4 : 3).replace("-", "−");
}

/**
 * Write a number of unknown size.
 * @param {number} value
 */
export function quantity(value) {
  if (Number.isInteger(value)) return COUNT.format(value).replace("-", "−");
  return Math.abs(value) >= 10 ? COUNT.format(Number(value.toFixed(2))) : score(value);
}

/**
 * Write a share as a percentage.
 * @param {number} share
 * @param {number} [decimals]
 */
export function percent(share, decimals = 1) {
  return `${(100 * share).toFixed(decimals)}${NB}%`;
}

/**
 * Write a share as a percentage of up to three digits.
 * @param {number} share
 */
export function shortPercent(share) {
  return `${Number((100 * share).toPrecision(3))}${NB}%`;
}

/**
 * Write a count in full.
 * @param {number} value
 */
export function count(value) {
  return COUNT.format(value);
}

/**
 * Write a count in little room.
 * @param {number} value
 */
export function compact(value) {
  return value < 10_000 ? COUNT.format(value) : COMPACT.format(value);
}

/**
 * Write an e-value.
 * @param {number} log  its natural logarithm, since some are beyond all numbers
 */
export function eValue(log) {
  const ten = log / Math.LN10;
  if (ten > 6 - 1e-9 || ten < -4) {
    const exponent = Math.floor(ten + 1e-9);
    const leading = (10 ** (ten - exponent)).toFixed(1);
    const raised = `10${[...String(exponent)].map((sign) => SUPERSCRIPTS.get(sign)).join("")}`;
    return leading === "1.0" ? raised : `${leading}×${raised}`;
  }
  const value = Math.exp(log);
  return value >= 100 ? COUNT.format(Math.round(value)) : String(Number(value.toPrecision(value >= 1 ? 3 : 2)));
}

/**
 * Write a duration of the API, such as `46341s`, in its largest unit.
 * @param {string} text
 */
export function duration(text) {
  const seconds = milliseconds(text) / 1000;
  if (!Number.isFinite(seconds)) return text;
  const [unit, size] = UNITS.find(([, length]) => seconds >= 2 * length) ?? ["s", 1];
  return `${Number((seconds / size).toFixed(seconds / size < 10 ? 1 : 0))}${NB}${unit}`;
}

/**
 * Return the milliseconds of a duration such as `15m`, `24h` or `7d`.
 * @param {string} text
 */
export function milliseconds(text) {
  const [, size, unit] = /^(\d+(?:\.\d+)?)([smhdw])$/u.exec(text) ?? [];
  return 1000 * Number(size) * (SECONDS.get(unit ?? "") ?? Number.NaN);
}

/**
 * Write a time in UTC.
 * @param {string | number} time
 * @param {TimeForm} [form]
 */
export function utc(time, form = "moment") {
  const date = new Date(time);
  return Number.isNaN(date.getTime()) ? "" : FORMATS[form].format(date);
}

/**
 * Write a range of time in UTC, with one date where it is one day.
 * @param {string} start
 * @param {string} end
 */
export function span(start, end) {
  const sameDay = utc(start, "day") === utc(end, "day");
  return `${utc(start)} – ${utc(end, sameDay ? "clock" : "moment")}${NB}UTC`;
}

/**
 * Write how long ago a time was.
 * @param {string | number} time
 * @param {number} now
 */
export function ago(time, now) {
  const seconds = Math.round((now - new Date(time).getTime()) / 1000);
  if (!Number.isFinite(seconds)) return "";
  if (seconds < 5) return "just now";
  const [unit, size] = UNITS.find(([, length]) => seconds >= length) ?? ["s", 1];
  return `${Math.floor(seconds / size)}${NB}${unit} ago`;
}

/**
 * Turn an identifier of the API into words.
 * @param {string} identifier
 */
export function plain(identifier) {
  const words = identifier
    .split("_")
    .filter(Boolean)
    .map((word) => word.replace(ACRONYMS, word.toUpperCase()));
  return capital(words.join(" "));
}

/**
 * Begin a text with a capital letter.
 * @param {string} text
 */
export function capital(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
