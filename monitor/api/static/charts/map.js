/** The map of a calibrator: what goes in against what comes out. */

import { chart, line, linear } from "./axes.js";
import { svg } from "../dom.js";
import { known } from "../words.js";

const SIZE = 92;
const EDGE = 1e-6;

/** Draw the map of a calibrator, or return null for one without a curve. */
export function mapPlot(calibrator) {
  const apply = mapOf(calibrator);
  if (!apply) return null;
  const x = linear([0, 1], [4, SIZE - 4]);
  const y = linear([0, 1], [SIZE - 4, 4]);
  const path = Array.from({ length: 61 }, (_, i) => `${i ? "L" : "M"}${x(i / 60)} ${y(apply(i / 60))}`).join("");
  const between = calibrator.task === "multiclass" ? ", between two classes" : "";
  return chart(
    "mapping",
    SIZE,
    SIZE,
    `Map of version ${calibrator.number}: before to after${between}`,
    svg("title", null, `Before (across) to after (up)${between}`),
    svg("rect", { class: "plate", x: 4, y: 4, width: SIZE - 8, height: SIZE - 8 }),
    line("ideal", x(0), y(0), x(1), y(1)),
    svg("path", { class: "curve", d: path }),
  );
}

/** Return the function of one probability that a calibrator is, or null. */
function mapOf({ method, parameters: p }) {
  const usable = (...names) => p && names.every((name) => known(p[name]));
  if (method === "temperature" && usable("temperature"))
    return (value) => tempered(value, p.temperature, Math.log((p.classes ?? 2) - 1));
  if (method === "platt" && usable("slope", "intercept"))
    return (value) => logistic(p.slope * logit(value) + p.intercept);
  if (method === "beta" && usable("a", "b", "c"))
    return (value) => logistic(p.a * Math.log(inner(value)) - p.b * Math.log(1 - inner(value)) + p.c);
  if (method === "isotonic" && p?.x?.length > 1 && p.x.length === p.y?.length)
    return (value) => interpolate(p.x, p.y, value);
  return null;
}

function inner(value) {
  return Math.min(Math.max(value, EDGE), 1 - EDGE);
}

function logit(value) {
  return Math.log(inner(value) / (1 - inner(value)));
}

function logistic(value) {
  return 1 / (1 + Math.exp(-value));
}

// The other classes share what the answer leaves; with two classes `rest` is zero.
function tempered(value, temperature, rest) {
  return logistic((logit(value) + rest) / temperature - rest);
}

function interpolate(xs, ys, value) {
  const after = xs.findIndex((x) => x >= value);
  if (after === 0) return ys[0];
  if (after < 0) return ys.at(-1);
  const share = (value - xs[after - 1]) / (xs[after] - xs[after - 1] || 1);
  return ys[after - 1] + share * (ys[after] - ys[after - 1]);
}
