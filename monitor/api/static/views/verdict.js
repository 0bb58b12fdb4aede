/** The verdict on a window with its grounds, and the key figures. */

/** @import { AnyEvaluation, Figure, ModelAnswer } from "../types.js" */

import { gauge } from "../charts/gauge.js";
import { el, joined } from "../dom.js";
import { compact, known, percent, quantity, score, span } from "../format.js";
import { sign, toneOf, valueOr } from "../parts.js";
import { errorOf, grounds, segmentName, verdictWords, whyMissing } from "../words.js";

const NO_VERDICT = "There are too few labels for a verdict: the figures may be chance.";

/** @typedef {[name: string, value: Figure, form: (value: number) => string, note?: string | false]} Entry */

/**
 * Draw the verdict of an evaluation.
 * @param {AnyEvaluation} evaluation
 * @param {ModelAnswer} settings
 */
export function drawVerdict(evaluation, settings) {
  const tone = toneOf(evaluation.verdict);
  return el(
    "section",
    { class: `verdict ${tone}`, "aria-label": "Verdict", "data-key": "verdict" },
    sign(evaluation.verdict),
    el(
      "div",
      { class: "verdict-words" },
      el("p", { class: "sentence" }, verdictWords({ verdict: "", ...evaluation }, settings.task)),
      el("p", { class: "grounds" }, tone === "unsure" ? NO_VERDICT : grounds(evaluation, settings)),
      el("p", { class: "range" }, joined(scope(evaluation, settings), " · ")),
    ),
    gauge(evaluation, settings.thresholds.ece),
  );
}

/**
 * @param {AnyEvaluation} evaluation
 * @param {ModelAnswer} settings
 */
function scope({ start, end, scores, segment, version, matured }, { task }) {
  return [
    start && end && el("span", null, span(start, end)),
    task !== "regression" && (scores === "raw" ? "raw scores, before calibration" : "scores as served"),
    segment && el("strong", null, el("bdi", null, segmentName(segment))),
    version && el("span", null, "version ", el("bdi", null, version)),
    matured === false && el("span", { class: "badge" }, "provisional: labels still arrive"),
  ].filter((part) => part !== "");
}

/**
 * Draw the key figures of an evaluation.
 * @param {AnyEvaluation} evaluation
 */
export function drawFigures(evaluation) {
  const why = whyMissing(evaluation);
  return el(
    "dl",
    { class: "figures", "data-key": "figures" },
    entriesOf(evaluation).map(([name, value, form, note]) =>
      el(
        "div",
        null,
        el("dt", null, name),
        el("dd", null, valueOr(value, form, why)),
        note && el("dd", { class: "note" }, note),
      ),
    ),
  );
}

/**
 * @param {AnyEvaluation} evaluation
 * @returns {Entry[]}
 */
function entriesOf(evaluation) {
  const { labelled, predictions, label_coverage: coverage } = evaluation;
  const { name, ece, bound, chance } = errorOf(evaluation);
  return [
    [name, ece, score, known(chance) && `by chance ${score(chance)}`],
    ["At least", bound, (value) => score(Math.max(0, value)), "lower bound"],
    ...(name === "ECE" ? scoreEntries(evaluation) : distributionEntries(evaluation)),
    ["Labels", labelled, compact, known(predictions) && `of ${compact(predictions)}`],
    ["Coverage", coverage, percent, "have a label"],
  ];
}

/**
 * @param {AnyEvaluation} evaluation
 * @returns {Entry[]}
 */
function scoreEntries({ brier, log_loss: loss, accuracy, mean_confidence: mean }) {
  return [
    ["Brier", brier, score],
    ["Log loss", loss, score],
    ["Accuracy", accuracy, percent],
    ["Confidence", mean, percent, "mean"],
  ];
}

/**
 * @param {AnyEvaluation} evaluation
 * @returns {Entry[]}
 */
function distributionEntries({ crps, bias, mean_absolute_error: error, mean_squared_z: squared }) {
  return [
    ["CRPS", crps, quantity, "in the label’s unit"],
    ["Bias", bias, quantity, known(bias) && (bias > 0 ? "too high" : "too low")],
    ["Mean error", error, quantity, "absolute"],
    ["Mean z²", squared, quantity, "1 if calibrated"],
  ];
}
