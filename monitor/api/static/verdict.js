/** What a window says: the verdict with its grounds, and the key figures. */

import { el, joined } from "./dom.js";
import { gauge } from "./gauge.js";
import { sign, toneOf, valueOr } from "./parts.js";
import { compact, grounds, known, percent, score, span, verdict, whyMissing } from "./words.js";

/** Draw the verdict of an evaluation. */
export function verdictPanel(evaluation, settings) {
  const tone = toneOf(evaluation.verdict);
  const threshold = settings.thresholds?.ece;
  return el(
    "section",
    { class: `verdict ${tone}`, "aria-label": "Verdict", "data-key": "verdict" },
    sign(evaluation.verdict),
    el(
      "div",
      { class: "verdict-words" },
      el("p", { class: "sentence" }, verdict(evaluation, settings.task)),
      el(
        "p",
        { class: "grounds" },
        tone === "unsure"
          ? "Without enough labels there is no verdict: what the figures show may be noise."
          : grounds(evaluation, settings),
      ),
      el(
        "p",
        { class: "range" },
        joined(
          [
            evaluation.start && evaluation.end && el("span", null, span(evaluation.start, evaluation.end)),
            evaluation.scores === "raw" ? "raw scores, before calibration" : "scores as served",
            evaluation.version && el("span", null, "version ", el("bdi", null, evaluation.version)),
            evaluation.matured === false && el("span", { class: "badge" }, "provisional: labels still arrive"),
          ],
          " \u00b7 ",
        ),
      ),
    ),
    gauge(evaluation, threshold),
  );
}

/** Draw the key figures of an evaluation. */
export function figures(evaluation) {
  const why = whyMissing(evaluation);
  const figure = (name, value, form, note) =>
    el(
      "div",
      null,
      el("dt", null, name),
      el("dd", null, valueOr(value, form, why)),
      note && el("dd", { class: "note" }, note),
    );
  const { ece_null_mean: floor, ece_lower_bound: bound } = evaluation;
  return el(
    "dl",
    { class: "figures", "data-key": "figures" },
    figure("ECE", evaluation.ece, score, known(floor) && `by chance ${score(floor)}`),
    figure("At least", bound, (value) => score(Math.max(0, value)), "lower bound"),
    figure("Brier", evaluation.brier, score),
    figure("Log loss", evaluation.log_loss, score),
    figure("Accuracy", evaluation.accuracy, percent),
    figure("Confidence", evaluation.mean_confidence, percent, "mean"),
    figure(
      "Labels",
      evaluation.labelled,
      compact,
      known(evaluation.predictions) && `of ${compact(evaluation.predictions)}`,
    ),
    figure("Coverage", evaluation.label_coverage, percent, "have a label"),
  );
}
