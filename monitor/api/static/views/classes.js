/** How well the probability of each class is calibrated. */

/** @import { Row } from "../table.js" */
/** @import { AnyEvaluation, ClassCalibration } from "../types.js" */

import { el } from "../dom.js";
import { count, known, percent, score } from "../format.js";
import { firstOf, section, valueOr } from "../parts.js";
import { table } from "../table.js";
import { stateName } from "../words.js";

const SHOWN = 8;

/**
 * Draw the section of a model's classes; nothing where there are none.
 * @param {AnyEvaluation | undefined} evaluation
 */
export function drawClasses(evaluation) {
  const rows = (evaluation?.classes ?? []).filter(({ labelled }) => labelled > 0).toSorted(byWeight);
  if (!rows.length) return null;
  const error = evaluation?.sce;
  return section(
    "classes",
    "Classes",
    el(
      "p",
      { class: "hint" },
      "Mean probability of each class, and its share of the labels.",
      known(error) && ` The average error over classes is ${score(error)}.`,
    ),
    firstOf(rows, SHOWN, "more", ranked),
  );
}

/**
 * Compare two classes: those with a threshold of their own first, then the worst.
 * @param {ClassCalibration} a
 * @param {ClassCalibration} b
 */
function byWeight(a, b) {
  return Number(known(b.threshold)) - Number(known(a.threshold)) || (b.ece ?? -1) - (a.ece ?? -1);
}

/** @param {ClassCalibration[]} rows */
function ranked(rows) {
  const guarded = rows.some(({ threshold }) => known(threshold));
  const limits = guarded ? ["Threshold", "Verdict"] : [];
  const columns = ["Class", "Says", "Happens", "ECE", "At least", ...limits, "Labels"];
  return table(
    "Calibration of each class",
    columns,
    rows.map((row) => rowOf(row, guarded)),
    { look: "ranked" },
  );
}

/**
 * @param {ClassCalibration} row
 * @param {boolean} guarded
 * @returns {Row}
 */
function rowOf(row, guarded) {
  const limits = [valueOr(row.threshold, String, "none of its own"), row.verdict ? stateName(row.verdict) : "—"];
  return {
    attributes: { class: row.verdict === "miscalibrated" ? "flagged" : null, "data-key": `class-${row.class}` },
    cells: [
      el("bdi", null, row.class),
      valueOr(row.mean_probability, percent, "no labels"),
      valueOr(row.observed, percent, "no labels"),
      valueOr(row.ece, score, "too few labels"),
      valueOr(row.ece_lower_bound, score, "too few labels in the window before"),
      ...(guarded ? limits : []),
      count(row.positives),
    ],
  };
}
