/** Small parts that several views share. */

/** @import { Child } from "./dom.js" */
/** @import { Models } from "./types.js" */

import { messageOf, reasonsOf } from "./api.js";
import { el, svg } from "./dom.js";
import { ago, count, known, NB, utc } from "./format.js";
import { stateName } from "./words.js";

/** @typedef {"good" | "bad" | "doubt" | "unsure"} Tone */

/**
 * An answer of the API, what kept it away, or neither while it is awaited.
 * @template Answer
 * @typedef {{ value?: Answer, error?: unknown }} Part
 */

const SHAPES = {
  good: "M3.5 8.5l3 3 6-7",
  bad: "M8 3.5v5.5M8 12v.5",
  doubt: "M5.6 6.2a2.4 2.4 0 1 1 3.4 2.2q-1 .5-1 1.3M8 12v.3",
  unsure: "M4 8h.1M8 8h.1M12 8h.1",
};

/** @type {Partial<Record<string, Tone>>} */
const TONES = { calibrated: "good", suspect: "doubt", miscalibrated: "bad" };

/**
 * Return the tone of a state.
 * @param {string | null | undefined} state
 * @returns {Tone}
 */
export function toneOf(state) {
  return TONES[state ?? ""] ?? "unsure";
}

/**
 * Draw the sign of a state, which differs in shape as well as in colour.
 * @param {string | undefined} state
 */
export function sign(state) {
  const tone = toneOf(state);
  return svg(
    "svg",
    { class: `sign ${tone}`, viewBox: "0 0 16 16", width: 18, height: 18, role: "img", "aria-label": stateName(state) },
    svg("circle", { cx: 8, cy: 8, r: 8 }),
    svg("path", { d: SHAPES[tone] }),
  );
}

/**
 * Write a figure, or a dash with the reason for its absence.
 * @param {unknown} value
 * @param {(value: number) => string} form
 * @param {string} why
 */
export function valueOr(value, form, why) {
  if (known(value)) return form(value);
  return el(
    "span",
    { class: "none", title: why },
    el("span", { "aria-hidden": "true" }, "—"),
    el("span", { class: "unseen" }, why),
  );
}

/**
 * Write a time in UTC.
 * @param {string} time
 */
export function moment(time) {
  return el("time", { datetime: time, title: `${utc(time, "full")} UTC` }, `${utc(time)}${NB}UTC`);
}

/**
 * Write how long ago something was.
 * @param {string} time
 * @param {number} now
 */
export function since(time, now) {
  return el("time", { datetime: time, title: `${utc(time, "full")} UTC` }, ago(time, now));
}

/**
 * Say that a part of the page could not be loaded.
 * @param {unknown} error
 */
export function trouble(error) {
  return el("p", { class: "trouble" }, messageOf(error), ...reasonsOf(error).map((reason) => ` ${reason}.`));
}

/**
 * Draw a list of reasons; nothing without any.
 * @param {string[]} reasons
 */
export function reasonList(reasons) {
  return (
    reasons.length > 0 &&
    el(
      "ul",
      null,
      reasons.map((reason) => el("li", null, reason)),
    )
  );
}

/**
 * Make a section with a heading.
 * @param {string} name
 * @param {string} title
 * @param {Child[]} children
 */
export function section(name, title, ...children) {
  return el(
    "section",
    { class: `part ${name}`, "aria-labelledby": `title-${name}`, "data-key": name },
    el("header", { class: "part-head" }, el("h2", { id: `title-${name}` }, title)),
    children,
  );
}

/**
 * Show the first items of a list, and the rest on demand.
 * @template Item
 * @param {Item[]} items
 * @param {number} most
 * @param {string} word  how the rest is called, as in "5 older"
 * @param {(items: Item[]) => Child} draw
 * @returns {Child[]}
 */
export function firstOf(items, most, word, draw) {
  const [first, rest] = [items.slice(0, most), items.slice(most)];
  return [
    first.length > 0 && draw(first),
    rest.length > 0 && el("details", null, el("summary", null, `${rest.length} ${word}`), draw(rest)),
  ];
}

/**
 * List what the marks of a chart mean.
 * @param {([look: string, words: string] | false)[]} entries
 */
export function legend(...entries) {
  return el(
    "ul",
    { class: "legend" },
    entries.map(
      (entry) => entry && el("li", null, el("span", { class: `swatch ${entry[0]}`, "aria-hidden": "true" }), entry[1]),
    ),
  );
}

/**
 * Say how many events the figures do not include yet.
 * @param {Partial<Models>} models
 */
export function backlog({ backlog_events: events, rollup_lag_seconds: lag }) {
  if (!known(events)) return null;
  const late = known(lag) && events > 0 ? `, the oldest for ${Math.ceil(lag)}${NB}s` : "";
  return el(
    "p",
    { class: "backlog", "data-key": "backlog" },
    events ? `${count(events)} events wait to be included${late}.` : "All events received are included.",
  );
}
