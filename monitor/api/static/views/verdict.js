/** The verdict on a window, with its grounds. */

/** @import { AnyEvaluation, ModelAnswer, Segments } from "../types.js" */

import { gauge } from "../charts/gauge.js";
import { el, joined } from "../dom.js";
import { known, span } from "../format.js";
import { sign, toneOf } from "../parts.js";
import { grounds, remedyWords, segmentName, shownState, storyWords, verdictWords } from "../words.js";

const NO_VERDICT = "There are too few labels for a verdict: the figures may be chance.";
const UNREAD =
  "No map reads what the model sends as probabilities yet: it takes labels enough, and scores that tell right answers from wrong ones.";

/**
 * Draw the verdict of an evaluation.
 * @param {AnyEvaluation} evaluation
 * @param {ModelAnswer} settings
 * @param {Segments | undefined} segments
 */
export function drawVerdict(evaluation, settings, segments) {
  const shown = shownState(evaluation);
  const tone = toneOf(shown);
  const off = classesOff(evaluation);
  // Since when is known of the whole alone.
  const story = storyWords(off.length ? { ...evaluation, since: null } : evaluation, settings, segments);
  return el(
    "section",
    { class: `verdict ${tone}`, "aria-label": "Verdict", "data-key": "verdict" },
    sign(shown),
    el(
      "div",
      { class: "verdict-words" },
      el(
        "p",
        { class: "sentence" },
        off.length
          ? `Miscalibrated in ${off.length === 1 ? "class" : "classes"} ${off.join(", ")}`
          : verdictWords({ verdict: "", ...evaluation }, settings.task, isFlagged(evaluation, segments)),
      ),
      story && el("p", { class: "story" }, story),
      evaluation.remedy && el("p", { class: "remedy" }, remedyWords(evaluation, settings)),
      el(
        "p",
        { class: "grounds" },
        tone === "unsure" ? noVerdict(evaluation, settings) : grounds(evaluation, settings),
      ),
      evaluation.threshold_hint && el("p", { class: "warning" }, evaluation.threshold_hint.replaceAll("`", "")),
      el("p", { class: "range" }, joined(scope(evaluation, settings), " · ")),
    ),
    gauge(evaluation, settings.thresholds.ece),
  );
}

/**
 * Say why there is no verdict: answers whose confidences no map reads have labels, but no mean confidence.
 * @param {AnyEvaluation} evaluation
 * @param {ModelAnswer} settings
 */
function noVerdict({ labelled, mean_confidence: mean }, { task }) {
  return task === "confidence" && labelled && !known(mean) ? UNREAD : NO_VERDICT;
}

/**
 * Return the classes whose alerts fire where none fires on the whole.
 * @param {AnyEvaluation} evaluation
 */
function classesOff({ verdict, verdict_reason: reason, classes }) {
  if (verdict !== "miscalibrated" || !reason?.startsWith("An alert (class=")) return [];
  return (classes ?? []).filter((one) => one.verdict === "miscalibrated").map((one) => one.class);
}

/**
 * @param {AnyEvaluation} evaluation
 * @param {Segments | undefined} segments
 */
function isFlagged({ segment }, segments) {
  return segments?.segments.some((row) => row.segment === segment && row.flagged) ?? false;
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
