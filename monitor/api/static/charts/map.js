/** Maps of calibrators: what is served for each raw probability. */

/** @import { CalibratorMap, Difference } from "../types.js" */
/** @import { Scale } from "./axes.js" */

import { svg } from "../dom.js";
import { calibratorName } from "../words.js";
import { chart, label, line, linear, pathThrough } from "./axes.js";

const SMALL = 92;
const MARGIN = 4;
const LARGE = 260;
const EDGE = 26;

/**
 * Draw the small picture of a map: a curve, or one for each class.
 * @param {CalibratorMap} map
 */
export function mapPicture({ number, curves, x_label: across, y_label: up }) {
  const x = linear([0, 1], [MARGIN, SMALL - MARGIN]);
  const y = linear([0, 1], [SMALL - MARGIN, MARGIN]);
  const classes = curves.length > 1 ? `, of ${curves.length} classes` : "";
  return chart(
    curves.length > 1 ? "mapping many" : "mapping",
    SMALL,
    SMALL,
    `Map of ${calibratorName(number)}: ${across} to ${up}${classes}`,
    svg("title", null, `${up} (up) for each ${across} (across)${classes}`),
    plate(x, y),
    curves.map((curve) =>
      svg("path", { class: "curve", d: pathThrough(curve.x.map((value, i) => [x(value), y(curve.y[i] ?? value)])) }),
    ),
  );
}

/**
 * Draw two maps over each other.
 * @param {Difference} difference
 */
export function mapComparison({ map, before, after }) {
  const x = linear([0, 1], [EDGE, LARGE - 6]);
  const y = linear([0, 1], [LARGE - EDGE, 6]);
  /** @param {"before" | "after"} side */
  const path = (side) => pathThrough(map.map((point) => [x(point.probability), y(point[side])]));
  return chart(
    "maps",
    LARGE,
    LARGE,
    `What is served for each raw probability: ${calibratorName(before)} now, ${calibratorName(after)} then`,
    plate(x, y),
    svg("path", { class: "curve before", d: path("before") }),
    svg("path", { class: "curve after", d: path("after") }),
    label("tick", x(0), LARGE - 8, "start", "0"),
    label("tick", x(1), LARGE - 8, "end", "raw 1"),
    label("tick", x(0) - 4, y(1) + 10, "end", "1"),
    label("tick", x(0) - 4, y(0), "end", "0"),
  );
}

/**
 * Draw the ground of a map, with the line on which nothing changes.
 * @param {Scale} x
 * @param {Scale} y
 */
function plate(x, y) {
  return [
    svg("rect", { class: "plate", x: x(0), y: y(1), width: x(1) - x(0), height: y(0) - y(1) }),
    line("ideal", x(0), y(0), x(1), y(1)),
  ];
}
