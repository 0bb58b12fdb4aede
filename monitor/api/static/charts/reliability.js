/** The reliability diagram: confidence against outcome with intervals, and how often each confidence was stated. */

/** @import { Bin, Task } from "../types.js" */
/** @import { Scale } from "./axes.js" */

import { svg } from "../dom.js";
import { capital, count, known, percent } from "../format.js";
import { isFull, observedName, sideNames } from "../words.js";
import { chart, errorBar, label, line, linear, pathThrough, round, spot } from "./axes.js";

const LEFT = 62;
const RIGHT = 18;
const TOP = 10;
const STRIP = 52;
const BETWEEN = 12;
const BOTTOM = 40;
const TICKS = [0, 0.2, 0.4, 0.6, 0.8, 1];

/** @typedef {{ x: Scale, y: Scale, strip: { top: number, bottom: number } }} Frame  Scales, and the strip below them. */
/** @typedef {Bin & { mean_confidence: number, observed: number }} FullBin */

/**
 * Draw the bins of an evaluation.
 * @param {Bin[]} bins
 * @param {Task | null} task
 * @param {number} width
 */
export function reliabilityDiagram(bins, task, width) {
  const observed = observedName(task);
  const side = Math.max(160, Math.min(width, 560) - LEFT - RIGHT);
  const plotHeight = Math.round(side * 0.86);
  const frame = {
    x: linear([0, 1], [LEFT, LEFT + side]),
    y: linear([0, 1], [TOP + plotHeight, TOP]),
    strip: { top: TOP + plotHeight + BETWEEN, bottom: TOP + plotHeight + BETWEEN + STRIP },
  };
  return chart(
    "reliability",
    LEFT + side + RIGHT,
    frame.strip.bottom + BOTTOM,
    "Reliability diagram. Arrow keys move between the bins.",
    grid(frame),
    diagonal(frame, sideNames(task)),
    points(bins.filter(isFull), frame, observed),
    histogram(bins, frame),
    captions(frame, observed),
  );
}

/**
 * Tell whether the interval of a bin leaves out its mean confidence.
 * @param {Bin} bin
 */
export function isOff({ mean_confidence: mean, observed_low: low, observed_high: high }) {
  return known(mean) && known(low) && known(high) && (mean < low || mean > high);
}

/** @param {Frame} frame */
function grid({ x, y }) {
  return TICKS.flatMap((tick) => [
    line("grid", x(0), y(tick), x(1), y(tick)),
    line("grid", x(tick), y(0), x(tick), y(1)),
    label("tick", x(0) - 8, y(tick) + 4, "end", percent(tick, 0)),
  ]);
}

/**
 * @param {Frame} frame
 * @param {{ above: string, below: string }} sides
 */
function diagonal({ x, y }, { above, below }) {
  return [
    svg("path", { class: "too-sure", d: `M${x(0)} ${y(0)}H${x(1)}V${y(1)}Z` }),
    line("ideal", x(0), y(0), x(1), y(1)),
    label("region", x(0.03), y(0.95), "start", above),
    label("region", x(0.97), y(0.03), "end", below),
  ];
}

/**
 * @param {FullBin[]} bins
 * @param {Frame} frame
 * @param {string} observed
 */
function points(bins, frame, observed) {
  const { x, y } = frame;
  const most = Math.max(1, ...bins.map((bin) => bin.count));
  const curve = pathThrough(bins.map((bin) => [x(bin.mean_confidence), y(bin.observed)]));
  return [
    svg("path", { class: "curve", d: curve }),
    bins.map((bin, i) => point(bin, frame, bin.count / most, tipOf(bin, observed), i === 0)),
  ];
}

/**
 * @param {FullBin} bin
 * @param {Frame} frame
 * @param {number} size  of the bin, as a share of the largest
 * @param {string} tip
 * @param {boolean} first
 */
function point(bin, { x, y }, size, tip, first) {
  const { observed_low: low, observed_high: high } = bin;
  const [at, height] = [x(bin.mean_confidence), y(bin.observed)];
  const radius = round(Math.max(3.5, 10 * Math.sqrt(size)));
  return spot(
    isOff(bin) ? "bin off" : "bin",
    tip,
    first,
    svg("circle", { class: "reach", cx: at, cy: height, r: Math.max(14, radius) }),
    known(low) && known(high) && errorBar(at, y(low), y(high)),
    svg("circle", { class: "dot", cx: at, cy: height, r: radius }),
  );
}

/**
 * @param {Bin[]} bins
 * @param {Frame} frame
 */
function histogram(bins, { x, strip: { top, bottom } }) {
  const most = Math.max(1, ...bins.map((bin) => bin.count));
  const bars = bins
    .filter((bin) => bin.count > 0)
    .map((bin) => {
      const height = Math.max(1.5, round(((bottom - top) * bin.count) / most));
      const [from, width] = bin.upper > bin.lower ? rangeBar(bin, x) : valueBar(bin, x);
      return svg("rect", { class: "bar", x: round(from), y: round(bottom - height), width, height, rx: 1 });
    });
  return [line("axis", x(0), bottom, x(1), bottom), bars];
}

/**
 * @param {Bin} bin
 * @param {Scale} x
 * @returns {[from: number, width: number]}
 */
function rangeBar({ lower, upper }, x) {
  return [x(lower) + 0.75, Math.max(1, round(x(upper) - x(lower) - 1.5))];
}

/**
 * Return the bar of a bin of one value, as where people state confidences: just wide enough to be seen.
 * @param {Bin} bin
 * @param {Scale} x
 * @returns {[from: number, width: number]}
 */
function valueBar({ lower }, x) {
  return [x(lower) - 2, 4];
}

/**
 * @param {Frame} frame
 * @param {string} observed
 */
function captions({ x, y, strip: { top, bottom } }, observed) {
  const middle = round((y(0) + y(1)) / 2);
  return [
    TICKS.map((tick) => label("tick", x(tick), bottom + 16, "middle", percent(tick, 0))),
    label("caption", x(0.5), bottom + 34, "middle", "says"),
    svg(
      "text",
      { class: "caption", "text-anchor": "middle", transform: `translate(12 ${middle}) rotate(-90)` },
      observed,
    ),
    label("tick", x(0) - 8, top + 22, "end", "labels"),
  ];
}

/**
 * @param {FullBin} bin
 * @param {string} observed
 */
function tipOf(bin, observed) {
  const { mean_confidence: mean, observed_low: low, observed_high: high } = bin;
  const interval = known(low) && known(high) ? ` (${percent(low)} to ${percent(high)})` : "";
  return [
    `Says ${percent(mean)}`,
    `${capital(observed)} ${percent(bin.observed)}${interval}`,
    `${count(bin.count)} labels`,
    ...(isOff(bin) ? [`Interval ${known(high) && mean > high ? "below" : "above"} the diagonal`] : []),
  ].join("\n");
}
