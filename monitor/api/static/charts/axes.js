/** Scales, ticks and marks that the charts share. */

/** @import { Child } from "../dom.js" */

import { svg } from "../dom.js";
import { utc } from "../format.js";

/** @typedef {(value: number) => number} Scale  From a value to a place in pixels. */

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const TIME_STEPS = [
  ...[5, 15, 30].map((size) => size * MINUTE),
  ...[1, 2, 3, 6, 12].map((size) => size * HOUR),
  ...[1, 2, 4, 7, 14, 30, 90].map((size) => size * DAY),
];

/**
 * Return the scale of a domain on a range.
 * @param {[number, number]} domain
 * @param {[number, number]} range
 * @returns {Scale}
 */
export function linear([from, to], [start, end]) {
  const slope = (end - start) / (to - from || 1);
  return (value) => round(start + (value - from) * slope);
}

/**
 * Round to what a screen can show.
 * @param {number} value
 */
export function round(value) {
  return Math.round(value * 10) / 10;
}

/**
 * Return round steps from zero to just above a value.
 * @param {number} top
 * @param {number} [wanted]
 */
export function steps(top, wanted = 4) {
  const rough = top / wanted;
  const magnitude = 10 ** Math.floor(Math.log10(rough));
  const step = magnitude * ([1, 2, 2.5, 5].find((factor) => factor * magnitude >= rough * 0.999) ?? 10);
  return Array.from({ length: Math.ceil(top / step - 1e-9) + 1 }, (_, i) => Number((i * step).toPrecision(6)));
}

/**
 * Return the ticks of a time axis.
 * @param {number} start
 * @param {number} end
 * @param {number} most
 */
export function timeTicks(start, end, most) {
  const step = TIME_STEPS.find((size) => (end - start) / size <= most) ?? 365 * DAY;
  const first = Math.ceil(start / step) * step;
  return Array.from({ length: Math.max(0, Math.floor((end - first) / step) + 1) }, (_, i) => first + i * step);
}

/**
 * Name a tick of a time axis: the day at midnight, else the time.
 * @param {number} time
 */
export function timeLabel(time) {
  return time % DAY === 0 ? utc(time, "day") : utc(time, "clock");
}

/**
 * Draw a line.
 * @param {string} look  a class of the style sheet
 * @param {number} x1
 * @param {number} y1
 * @param {number} x2
 * @param {number} y2
 */
export function line(look, x1, y1, x2, y2) {
  return svg("line", { class: look, x1, y1, x2, y2 });
}

/**
 * Write a text.
 * @param {string} look
 * @param {number} x
 * @param {number} y
 * @param {"start" | "middle" | "end"} anchor
 * @param {string} text
 */
export function label(look, x, y, anchor, text) {
  return svg("text", { class: look, x, y, "text-anchor": anchor }, text);
}

/**
 * Return the path through points.
 * @param {[x: number, y: number][]} points
 */
export function pathThrough(points) {
  return points.map(([x, y], i) => `${i ? "L" : "M"}${x} ${y}`).join("");
}

/**
 * Draw the interval of a point.
 * @param {number} x
 * @param {number} low
 * @param {number} high
 */
export function errorBar(x, low, high) {
  return svg("path", {
    class: "error-bar",
    d: `M${round(x - 4)} ${low}H${round(x + 4)}M${x} ${low}V${high}M${round(x - 4)} ${high}H${round(x + 4)}`,
  });
}

/**
 * Make a group with a tooltip, reached by pointer and keyboard.
 * @param {string} look
 * @param {string} tip
 * @param {boolean} reachable  by Tab; the others by arrow keys
 * @param {Child[]} children
 */
export function spot(look, tip, reachable, ...children) {
  return svg(
    "g",
    {
      class: `spot ${look}`,
      role: "img",
      tabindex: reachable ? 0 : -1,
      "data-tip": tip,
      "aria-label": tip.replaceAll("\n", ", "),
    },
    ...children,
  );
}

/**
 * Make the root of a chart.
 * @param {string} look
 * @param {number} width
 * @param {number} height
 * @param {string} name
 * @param {Child[]} children
 */
export function chart(look, width, height, name, ...children) {
  return svg(
    "svg",
    { class: `chart ${look}`, viewBox: `0 0 ${width} ${height}`, width, height, role: "group", "aria-label": name },
    ...children,
  );
}
