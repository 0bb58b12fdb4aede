/** The scale of an e-value: how far the evidence has come, and where the alert is. */

/** @import { VersionEvidence } from "../types.js" */

import { svg } from "../dom.js";
import { eValue } from "../format.js";
import { chart, label, line, linear, round } from "./axes.js";

const HEIGHT = 56;
const BAR = 22;
const EDGE = 18;
const LOWEST = -2;

/** @typedef {VersionEvidence & { log_e: number, level: number }} Tested  Evidence with an e-value. */

/**
 * Return the logarithm of the evidence that alerts compare: the highest so far.
 * @param {Tested} evidence
 */
export function evidenceOf({ log_e: value, log_e_peak: ever, peak }) {
  return peak ?? Math.max(value, ever ?? value);
}

/**
 * Return the logarithm of the evidence at which the alert fires.
 * @param {Tested} evidence
 */
export function limitOf({ fires_at: limit, level }) {
  return limit ?? -Math.log(level);
}

/**
 * Name the figure that alerts compare.
 * @param {VersionEvidence} evidence
 */
export function figureOf({ guarantee }) {
  return typeof guarantee === "object" ? "Shiryaev–Roberts statistic" : "e-value";
}

/**
 * Tell whether an e-value has reached the alert.
 * @param {Tested} evidence
 */
export function isReached(evidence) {
  return evidenceOf(evidence) >= limitOf(evidence) - 1e-9;
}

/**
 * Draw an e-value on a logarithmic scale.
 * @param {Tested} evidence
 * @param {number} width
 */
export function eValueScale(evidence, width) {
  const limit = limitOf(evidence) / Math.LN10;
  const at = evidenceOf(evidence) / Math.LN10;
  // Evidence far beyond the alert, or far from any, is drawn at the edge.
  const highest = Math.max(limit + 1, Math.min(Math.ceil(at), 3 * limit));
  const x = linear([LOWEST, highest], [EDGE, width - EDGE]);
  const place = x(Math.min(Math.max(at, LOWEST), highest));
  const reached = isReached(evidence);
  return chart(
    "scale",
    width,
    HEIGHT,
    `${figureOf(evidence)} ${eValue(evidenceOf(evidence))} on a logarithmic scale; the alert is at ${eValue(limit * Math.LN10)}`,
    svg("rect", { class: "track", x: EDGE, y: BAR - 4, width: width - 2 * EDGE, height: 8, rx: 4 }),
    svg("rect", {
      class: reached ? "reached" : "at-least",
      x: Math.min(x(0), place),
      y: BAR - 4,
      width: round(Math.max(1, Math.abs(place - x(0)))),
      height: 8,
    }),
    ticks(highest, width).map((tick) => [
      line("tick-mark", x(tick), BAR + 6, x(tick), BAR + 10),
      label("tick", x(tick), HEIGHT - 10, "middle", eValue(tick * Math.LN10)),
    ]),
    line("limit", x(limit), BAR - 12, x(limit), BAR + 10),
    label("threshold-name", x(limit) - 5, BAR - 10, "end", "alert"),
    svg("circle", { class: reached ? "at off" : "at", cx: place, cy: BAR, r: 6.5 }),
  );
}

/**
 * @param {number} highest
 * @param {number} width
 */
function ticks(highest, width) {
  const step = Math.max(1, Math.ceil((highest - LOWEST) / Math.max(3, width / 62)));
  const powers = Array.from({ length: Math.floor(highest - LOWEST) + 1 }, (_, i) => LOWEST + i);
  return powers.filter((power) => power % step === 0);
}
