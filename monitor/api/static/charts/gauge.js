/** The gauge beside a verdict: the ECE and what it surely is, against chance and the threshold. */

import { label, line, linear, round } from "./axes.js";
import { svg } from "../dom.js";
import { errorOf, known, score } from "../words.js";

const WIDTH = 280;
const HEIGHT = 74;
const BASE = 38;
const EDGE = 6;

/** Draw the gauge of an evaluation, or return null where there is no score. */
export function gauge(evaluation, threshold) {
  const { name, ece, bound, floor } = errorOf(evaluation);
  if (!known(ece) || evaluation.verdict === "too_few_labels") return null;
  const top = Math.max(ece * 1.15, (threshold ?? 0) * 1.6, 0.02);
  const x = linear([0, top], [EDGE, WIDTH - EDGE]);
  return svg(
    "svg",
    { class: "gauge", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, width: WIDTH, height: HEIGHT, "aria-hidden": "true" },
    svg("rect", { class: "track", x: EDGE, y: BASE - 4, width: WIDTH - 2 * EDGE, height: 8, rx: 4 }),
    known(floor) &&
      svg("rect", {
        class: "chance",
        x: EDGE,
        y: BASE - 4,
        width: Math.max(2, round(x(Math.min(floor, top)) - EDGE)),
        height: 8,
        rx: 4,
      }),
    known(bound) &&
      svg("rect", {
        class: "surely",
        x: x(Math.max(0, bound)),
        y: BASE - 4,
        width: round(Math.max(0, x(ece) - x(Math.max(0, bound)))),
        height: 8,
      }),
    known(threshold) && [
      line("limit", x(threshold), BASE - 12, x(threshold), BASE + 12),
      label("gauge-note", clamp(x(threshold)), BASE + 26, "middle", `threshold ${threshold}`),
    ],
    svg("circle", { class: "at", cx: x(ece), cy: BASE, r: 6.5 }),
    label("gauge-name", clamp(x(ece), name === "ECE" ? 44 : 70), BASE - 16, "middle", `${name} ${score(ece)}`),
  );
}

function clamp(x, half = 44) {
  return Math.min(Math.max(x, half), WIDTH - half);
}
