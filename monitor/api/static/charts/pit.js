/** Predictive distributions: where labels fell in them, and how often stated intervals held. */

/** @import { AnyEvaluation, Level } from "../types.js" */
/** @import { Scale } from "./axes.js" */

import { svg } from "../dom.js";
import { count, percent } from "../format.js";
import { chart, errorBar, label, line, linear, round, spot } from "./axes.js";

const LEFT = 46;
const RIGHT = 12;
const TOP = 10;
const BOTTOM = 40;
const HEIGHT = 250;
const FLATTER = 0.78;
const TICKS = [0, 0.25, 0.5, 0.75, 1];
const Z_95 = 1.96;

/**
 * Tell whether there are labels to draw.
 * @param {AnyEvaluation | undefined} evaluation
 */
export function hasPit(evaluation) {
  return (evaluation?.pit ?? []).some((size) => size > 0);
}

/**
 * Draw the PIT histogram with the band that holds 95 % of the bars of a calibrated model.
 * @param {number[]} pit
 * @param {number} width
 */
export function pitHistogram(pit, width) {
  const total = pit.reduce((sum, size) => sum + size, 0);
  const expected = total / pit.length;
  const [low, high] = band(total, pit.length);
  const x = linear([0, 1], [LEFT, width - RIGHT]);
  const y = linear([0, Math.max(high, ...pit) * 1.08], [HEIGHT - BOTTOM, TOP]);
  return chart(
    "pit",
    width,
    HEIGHT,
    "Where labels fell in the predicted distribution. Arrow keys move between the bars.",
    svg("rect", { class: "uniform", x: x(0), y: y(high), width: round(x(1) - x(0)), height: round(y(low) - y(high)) }),
    pit.map((size, i) => {
      const [from, to] = [i / pit.length, (i + 1) / pit.length];
      const side = size > high ? "more" : size < low ? "fewer" : "";
      return bar([x(from), x(to)], y(size), y(0), tipOf([from, to], size, size / total, side), side !== "", i === 0);
    }),
    line("ideal", x(0), y(expected), x(1), y(expected)),
    line("axis", x(0), y(0), x(1), y(0)),
    TICKS.map((tick) => label("tick", x(tick), HEIGHT - BOTTOM + 16, "middle", percent(tick, 0))),
    label("caption", x(0.5), HEIGHT - 6, "middle", "predicted quantile of the label"),
    label("tick", LEFT - 8, y(expected) + 4, "end", percent(1 / pit.length, 0)),
  );
}

/**
 * Return the range that holds the count of one bar in 95 of 100 cases if all bars are equally likely.
 * @param {number} total
 * @param {number} bars
 * @returns {[low: number, high: number]}
 */
function band(total, bars) {
  const spread = Z_95 * Math.sqrt((total / bars) * (1 - 1 / bars));
  return [Math.max(0, total / bars - spread), total / bars + spread];
}

/**
 * @param {[from: number, to: number]} range
 * @param {number} size
 * @param {number} share
 * @param {"more" | "fewer" | ""} side
 */
function tipOf([from, to], size, share, side) {
  return [
    `Between the ${percent(from, 0)} and ${percent(to, 0)} quantile`,
    `${count(size)} labels, ${percent(share)}`,
    side ? `${side === "more" ? "More" : "Fewer"} than by chance` : "Within chance",
  ].join("\n");
}

/**
 * @param {[from: number, to: number]} range
 * @param {number} top
 * @param {number} bottom
 * @param {string} tip
 * @param {boolean} off
 * @param {boolean} first
 */
function bar([from, to], top, bottom, tip, off, first) {
  return spot(
    off ? "pit-bar off" : "pit-bar",
    tip,
    first,
    svg("rect", { class: "reach", x: from, y: TOP, width: round(to - from), height: HEIGHT - BOTTOM - TOP }),
    svg("rect", {
      class: "fill",
      x: round(from + 0.75),
      y: top,
      width: round(to - from - 1.5),
      height: round(bottom - top),
      rx: 1,
    }),
  );
}

/**
 * Draw the observed share of labels in stated intervals against the stated level.
 * @param {Level[]} levels
 * @param {number} width
 */
export function coverageChart(levels, width) {
  const side = Math.max(150, Math.min(width, 320) - LEFT - RIGHT);
  const x = linear([0, 1], [LEFT, LEFT + side]);
  const y = linear([0, 1], [TOP + side * FLATTER, TOP]);
  return chart(
    "coverage",
    LEFT + side + RIGHT,
    round(TOP + side * FLATTER + BOTTOM),
    "Share of labels within stated intervals. Arrow keys move between the levels.",
    TICKS.map((tick) => [
      line("grid", x(0), y(tick), x(1), y(tick)),
      label("tick", LEFT - 8, y(tick) + 4, "end", percent(tick, 0)),
      label("tick", x(tick), y(0) + 16, "middle", percent(tick, 0)),
    ]),
    line("ideal", x(0), y(0), x(1), y(1)),
    levels.map((level, i) => levelSpot(level, x(level.level), y, i === 0)),
    label("caption", x(0.5), round(y(0) + 34), "middle", "stated"),
  );
}

/**
 * Tell whether the interval of a level leaves out the stated level.
 * @param {Level} level
 */
export function missesLevel({ level, low, high }) {
  return level < low || level > high;
}

/**
 * @param {Level} level
 * @param {number} at
 * @param {Scale} y
 * @param {boolean} first
 */
function levelSpot(level, at, y, first) {
  const tip = [
    `${percent(level.level, 0)} stated`,
    `${percent(level.observed)} held (${percent(level.low)} to ${percent(level.high)})`,
  ].join("\n");
  return spot(
    missesLevel(level) ? "level off" : "level",
    tip,
    first,
    svg("circle", { class: "reach", cx: at, cy: y(level.observed), r: 12 }),
    errorBar(at, y(level.low), y(level.high)),
    svg("circle", { class: "dot", cx: at, cy: y(level.observed), r: 4.5 }),
  );
}
