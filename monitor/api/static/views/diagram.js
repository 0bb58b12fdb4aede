/** The diagram of a window: reliability of scores, or the distributions of a regression. */

/** @import { Child } from "../dom.js" */
/** @import { AnyEvaluation, Bin, Level, ModelAnswer } from "../types.js" */

import { hasPit, missesLevel } from "../charts/pit.js";
import { isOff } from "../charts/reliability.js";
import { el } from "../dom.js";
import { capital, count, known, NB, percent } from "../format.js";
import { legend, section, valueOr } from "../parts.js";
import { table } from "../table.js";
import { isFull, observedName, whyMissing } from "../words.js";

const INTERVAL = `95${NB}% interval`;

/**
 * Draw the section of the diagram; its canvases are filled once their width is known.
 * @param {AnyEvaluation | undefined} evaluation
 * @param {ModelAnswer} settings
 */
export function drawDiagram(evaluation, { task }) {
  if (task !== "regression") return section("diagram", "Reliability", reliability(evaluation, observedName(task)));
  return section("diagram", "Distributions", distributions(evaluation));
}

/**
 * @param {AnyEvaluation | undefined} evaluation
 * @param {string} observed
 * @returns {Child}
 */
function reliability(evaluation, observed) {
  const bins = (evaluation?.reliability ?? []).filter((bin) => bin.count > 0);
  if (!bins.some(isFull)) return nothing(evaluation);
  return [
    el("div", { class: "canvas", "data-canvas": "reliability" }),
    agreement(bins.some(isOff)),
    el(
      "details",
      { class: "as-table" },
      el("summary", null, "Bins as a table"),
      table("Bins", ["Said", "Mean", capital(observed), INTERVAL, "Labels"], bins.map(binCells)),
    ),
  ];
}

/** @param {Bin} bin */
function binCells({
  lower,
  upper,
  mean_confidence: mean,
  observed,
  observed_low: low,
  observed_high: high,
  count: size,
}) {
  return [
    upper > lower ? range(lower, upper) : percent(lower),
    valueOr(mean, percent, "no labels"),
    valueOr(observed, percent, "no labels"),
    known(low) && known(high) ? range(low, high) : "—",
    count(size),
  ];
}

/**
 * @param {AnyEvaluation | undefined} evaluation
 * @returns {Child}
 */
function distributions(evaluation) {
  if (!hasPit(evaluation)) return nothing(evaluation);
  const levels = evaluation?.coverage ?? [];
  return [
    el("h3", null, "Where labels fell"),
    el("div", { class: "canvas", "data-canvas": "pit" }),
    legend(["bar", "share of labels"], ["uniform", `95${NB}% band if calibrated`]),
    levels.length > 0 && intervals(levels),
  ];
}

/**
 * @param {Level[]} levels
 * @returns {Child}
 */
function intervals(levels) {
  return [
    el("h3", { class: "second" }, "How often stated intervals held"),
    el("div", { class: "canvas", "data-canvas": "coverage" }),
    agreement(levels.some(missesLevel)),
    el(
      "details",
      { class: "as-table" },
      el("summary", null, "Intervals as a table"),
      table(
        "Intervals",
        ["Stated", "Held", INTERVAL],
        levels.map(({ level, observed, low, high }) => [percent(level, 0), percent(observed), range(low, high)]),
      ),
    ),
  ];
}

/** @param {boolean} off */
function agreement(off) {
  return legend(["dot", "agrees"], off && ["dot off", "interval misses the diagonal"], ["error-bar", INTERVAL]);
}

/**
 * @param {number} low
 * @param {number} high
 */
function range(low, high) {
  return `${percent(low)} – ${percent(high)}`;
}

/** @param {AnyEvaluation | undefined} evaluation */
function nothing(evaluation) {
  return el("p", { class: "blank" }, `Nothing to draw: ${whyMissing(evaluation)}.`);
}
