/** Score drift: how far raw scores have moved from their reference. */

/** @import { Part } from "../parts.js" */
/** @import { Drift, Figure } from "../types.js" */

import { el } from "../dom.js";
import { count, known, percent, score, span } from "../format.js";
import { section, trouble, valueOr } from "../parts.js";
import { table } from "../table.js";

const TITLE = "Score drift";

const REFERENCES = {
  fixed: "the declared range",
  trailing: "the window before",
  champion: "what the calibrator in service was fitted on",
  validation: "the validation set",
};

/**
 * Draw the section of a model's score drift; nothing before the first prediction.
 * @param {Part<Drift>} drift
 */
export function drawDrift({ value, error }) {
  if (error) return section("drift", TITLE, trouble(error));
  if (!value?.predictions) return null;
  return section(
    "drift",
    TITLE,
    el("p", { class: value.drifted ? "warning" : "hint" }, summary(value)),
    value.enough && table("Distances of raw scores from their reference", ["", "Now", "By chance"], rowsOf(value)),
    el("p", { class: "hint" }, comparedWith(value)),
  );
}

/** @param {Drift} drift */
function summary({ enough, drifted, psi, psi_null_999: chance, threshold, relative_move: move, least_move: least }) {
  if (!enough || !known(psi)) return "Too few predictions, here or in the reference, to compare.";
  const limits = `the threshold is ${score(threshold)}, and chance alone exceeds ${score(chance ?? 0)} once in 1,000 windows`;
  if (known(move) && move <= (least ?? 0) && psi > threshold)
    return `Scores have not moved, but by rounding: PSI ${score(psi)}, and a mean move of ${percent(move, 3)} of their size; ${limits}.`;
  return drifted
    ? `Scores have moved: PSI ${score(psi)}; ${limits}. Labels will show whether calibration suffers.`
    : `Scores have not moved beyond the limits: PSI ${score(psi)}; ${limits}.`;
}

/** @param {Drift} drift */
function rowsOf(drift) {
  /** @type {[title: string, now: Figure, chance: Figure][]} */
  const measures = [
    ["PSI", drift.psi, drift.psi_null_95],
    ["Kolmogorov–Smirnov", drift.ks, drift.ks_null_95],
    ["Jensen–Shannon", drift.js, drift.js_null_95],
    ["Wasserstein", drift.wasserstein, drift.wasserstein_null_95],
  ];
  return measures
    .filter(([, now]) => known(now))
    .map(([title, now, chance]) => [
      el("th", { scope: "row" }, title),
      valueOr(now, score, "not computed"),
      valueOr(chance, (value) => `up to ${score(value)}`, "not computed"),
    ]);
}

/** @param {Drift} drift */
function comparedWith({ reference_kind: kind, reference_start: from, reference_end: to, ...drift }) {
  const sizes = `${count(drift.predictions)} predictions of ${span(drift.start, drift.end)}`;
  return `Raw scores of ${sizes}, compared with ${REFERENCES[kind]}: ${count(drift.reference_predictions)} of ${span(from, to)}. No labels are needed.`;
}
