/** The interval of an error against a threshold, small enough for a cell of a table. */

/** @import { Figure } from "../types.js" */

import { svg } from "../dom.js";
import { known, score } from "../format.js";
import { line, linear, round } from "./axes.js";

const WIDTH = 150;
const HEIGHT = 22;
const EDGE = 4;
const MIDDLE = HEIGHT / 2;

/**
 * Draw an interval; what lies beyond the top of the scale is drawn at its end.
 * @param {{ low: number, high: number, at: Figure, off: boolean }} interval
 * @param {number} top
 * @param {number} threshold
 */
export function intervalBar({ low, high, at, off }, top, threshold) {
  const x = linear([0, top], [EDGE, WIDTH - EDGE]);
  /** @param {number} value */
  const place = (value) => x(Math.min(value, top));
  const words = `${score(low)} to ${score(high)}`;
  const look = off ? "interval-bar off" : "interval-bar";
  const width = round(Math.max(2, place(high) - place(low)));
  return svg(
    "svg",
    { class: look, viewBox: `0 0 ${WIDTH} ${HEIGHT}`, width: WIDTH, height: HEIGHT, role: "img", "aria-label": words },
    svg("title", null, words),
    svg("rect", { class: "track", x: EDGE, y: MIDDLE - 2, width: WIDTH - 2 * EDGE, height: 4, rx: 2 }),
    svg("rect", { class: "at-least", x: place(low), y: MIDDLE - 3, width, height: 6, rx: 2 }),
    line("limit", x(threshold), 3, x(threshold), HEIGHT - 3),
    known(at) && svg("circle", { class: "at", cx: place(at), cy: MIDDLE, r: 4 }),
  );
}
