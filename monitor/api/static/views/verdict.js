/** What a window says: the verdict with its grounds, and the key figures. */

import { el, joined } from "../dom.js";
import { gauge } from "../charts/gauge.js";
import { sign, toneOf, valueOr } from "../parts.js";
import {
  compact,
  errorOf,
  figure as number,
  grounds,
  known,
  percent,
  score,
  segmentName,
  span,
  verdict,
  whyMissing,
} from "../words.js";

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
            settings.task !== "regression" &&
              (evaluation.scores === "raw" ? "raw scores, before calibration" : "scores as served"),
            evaluation.segment ? el("strong", null, el("bdi", null, segmentName(evaluation.segment))) : null,
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
  const { name, ece, bound, floor } = errorOf(evaluation);
  const error = [
    figure(name, ece, score, known(floor) && `by chance ${score(floor)}`),
    figure("At least", bound, (value) => score(Math.max(0, value)), "lower bound"),
  ];
  const counts = [
    figure(
      "Labels",
      evaluation.labelled,
      compact,
      known(evaluation.predictions) && `of ${compact(evaluation.predictions)}`,
    ),
    figure("Coverage", evaluation.label_coverage, percent, "have a label"),
  ];
  const others =
    name === "ECE"
      ? [
          figure("Brier", evaluation.brier, score),
          figure("Log loss", evaluation.log_loss, score),
          figure("Accuracy", evaluation.accuracy, percent),
          figure("Confidence", evaluation.mean_confidence, percent, "mean"),
        ]
      : [
          figure("CRPS", evaluation.crps, number, "in the label\u2019s unit"),
          figure("Bias", evaluation.bias, number, evaluation.bias > 0 ? "too high" : "too low"),
          figure("Mean error", evaluation.mean_absolute_error, number, "absolute"),
          figure("Mean z\u00b2", evaluation.mean_squared_z, number, "1 if calibrated"),
        ];
  return el("dl", { class: "figures", "data-key": "figures" }, error, others, counts);
}
