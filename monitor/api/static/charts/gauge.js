/** The gauge beside a verdict: the calibration error and its lower bound, against chance and the threshold. */

/** @import { AnyEvaluation } from "../types.js" */

import { svg } from "../dom.js";
import { known, score } from "../format.js";
import { errorOf, hasEnoughLabels } from "../words.js";
import { label, line, linear, round } from "./axes.js";

const WIDTH = 280;
const HEIGHT = 74;
const BASE = 38;
const EDGE = 6;

/**
 * Draw the gauge of an evaluation; nothing where it has too few labels.
 * @param {AnyEvaluation} evaluation
 * @param {number | undefined} threshold
 */
export function gauge(evaluation, threshold) {
  const { name, ece, bound, chance } = errorOf(evaluation);
  if (!known(ece) || !hasEnoughLabels(evaluation)) return null;
  const top = Math.max(ece * 1.15, (threshold ?? 0) * 1.6, 0.02);
  const x = linear([0, top], [EDGE, WIDTH - EDGE]);
  const least = known(bound) ? x(Math.max(0, bound)) : null;
  return svg(
    "svg",
    { class: "gauge", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, width: WIDTH, height: HEIGHT, "aria-hidden": "true" },
    bar("track", EDGE, WIDTH - 2 * EDGE, 4),
    known(chance) && bar("chance", EDGE, Math.max(2, x(Math.min(chance, top)) - EDGE), 4),
    least !== null && bar("at-least", least, Math.max(0, x(ece) - least)),
    known(threshold) && [
      line("limit", x(threshold), BASE - 12, x(threshold), BASE + 12),
      label("gauge-note", clamp(x(threshold)), BASE + 26, "middle", `threshold ${threshold}`),
    ],
    svg("circle", { class: "at", cx: x(ece), cy: BASE, r: 6.5 }),
    label("gauge-name", clamp(x(ece), name === "ECE" ? 44 : 70), BASE - 16, "middle", `${name} ${score(ece)}`),
  );
}

/**
 * @param {string} look
 * @param {number} x
 * @param {number} width
 * @param {number} [radius]
 */
function bar(look, x, width, radius) {
  return svg("rect", { class: look, x, y: BASE - 4, width: round(width), height: 8, rx: radius });
}

/**
 * @param {number} x
 * @param {number} [half]  of the text's width
 */
function clamp(x, half = 44) {
  return Math.min(Math.max(x, half), WIDTH - half);
}
