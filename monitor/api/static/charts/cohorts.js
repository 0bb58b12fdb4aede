/** The share of labelled predictions, cohort by cohort. */

/** @import { Cohort } from "../types.js" */
/** @import { Scale } from "./axes.js" */

import { svg } from "../dom.js";
import { count, percent, span } from "../format.js";
import { chart, label, line, linear, round, spot, timeLabel, timeTicks } from "./axes.js";

const LEFT = 40;
const RIGHT = 8;
const TOP = 10;
const BOTTOM = 24;
const HEIGHT = 170;
const FEWEST = 12;

/**
 * Draw the label coverage of each cohort; there must be one.
 * @param {Cohort[]} cohorts  oldest first
 * @param {number} width
 */
export function cohortChart(cohorts, width) {
  const shown = cohorts.slice(-Math.max(FEWEST, Math.floor((width - LEFT) / 6)));
  const [start, end] = rangeOf(shown);
  const x = linear([start, end], [LEFT, width - RIGHT]);
  const y = linear([0, 1], [HEIGHT - BOTTOM, TOP]);
  return chart(
    "cohorts",
    width,
    HEIGHT,
    "Share of predictions with a label, by cohort. Arrow keys move between the cohorts.",
    [0, 0.5, 1].map((tick) => [
      line("grid", LEFT, y(tick), width - RIGHT, y(tick)),
      label("tick", LEFT - 8, y(tick) + 4, "end", percent(tick, 0)),
    ]),
    shown.map((cohort, i) => bar(cohort, x, y, i === 0)),
    timeTicks(start, end, Math.max(2, Math.floor(width / 76))).map((time) => [
      line("tick-mark", x(time), y(0), x(time), y(0) + 4),
      label("tick", Math.min(x(time), width - RIGHT - 14), HEIGHT - 6, "middle", timeLabel(time)),
    ]),
  );
}

/**
 * @param {Cohort[]} cohorts
 * @returns {[start: number, end: number]}
 */
function rangeOf(cohorts) {
  const times = cohorts.map(({ start, end }) => ({ start: Date.parse(start), end: Date.parse(end) }));
  const last = times.at(-1) ?? { start: 0, end: 0 };
  const oldest = times[0] ?? last;
  return [Math.min(oldest.start, last.end - FEWEST * (last.end - last.start)), last.end];
}

/**
 * @param {Cohort} cohort
 * @param {Scale} x
 * @param {Scale} y
 * @param {boolean} first
 */
function bar(cohort, x, y, first) {
  const [from, to] = [x(Date.parse(cohort.start)), x(Date.parse(cohort.end))];
  const top = y(cohort.label_coverage ?? 0);
  const width = Math.max(1, round(to - from - (to - from > 4 ? 1.5 : 0.5)));
  return spot(
    cohort.matured ? "cohort" : "cohort provisional",
    tipOf(cohort),
    first,
    svg("rect", { class: "reach", x: from, y: y(1), width: Math.max(1, round(to - from)), height: y(0) - y(1) }),
    svg("rect", { class: "fill", x: from, y: top, width, height: Math.max(1, round(y(0) - top)), rx: 1 }),
  );
}

/** @param {Cohort} cohort */
function tipOf({ start, end, label_coverage: share, predictions, matured, late }) {
  return [
    span(start, end),
    `${percent(share ?? 0)} of ${count(predictions)} have a label`,
    matured ? "Final" : "Provisional: labels still arrive",
    ...(late ? [`${count(late)} arrived after the label delay`] : []),
  ].join("\n");
}
