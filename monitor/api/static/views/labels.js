/** How labels arrive: their delay, which predictions have theirs, and whether early ones differ. */

/** @import { Part } from "../parts.js" */
/** @import { EarlyLate, EstimateAnswer, Labels } from "../types.js" */

import { el } from "../dom.js";
import { duration, known, NB, percent, score, utc } from "../format.js";
import { legend, section, trouble } from "../parts.js";
import { drawEstimate } from "./estimate.js";

/**
 * Draw the section of a model's labels; nothing before the first prediction.
 * @param {Part<Labels>} labels
 * @param {Part<EstimateAnswer>} estimate
 */
export function drawLabels({ value, error }, estimate) {
  if (error) return section("labels", "Labels", trouble(error));
  if (!value?.cohorts.length) return null;
  const provisional = value.cohorts.some(({ matured }) => !matured);
  return section(
    "labels",
    "Labels",
    el("p", { class: "hint" }, delayWords(value)),
    el(
      "div",
      { class: "halves" },
      el(
        "div",
        null,
        el("h3", null, "Share of predictions with a label"),
        el("div", { class: "canvas", "data-canvas": "cohorts" }),
        legend(["bar", "final"], provisional && ["provisional", "provisional: labels still arrive"]),
      ),
      drawEstimate(estimate),
    ),
    value.warning && value.early_late && el("p", { class: "warning" }, earlyLateWords(value.early_late)),
  );
}

/** @param {Labels} labels */
function delayWords({
  label_delay: delay,
  learned,
  delays,
  matured_until: until,
  share_never: never,
  labels_seen: seen,
}) {
  /** @param {number} wanted */
  const quantile = (wanted) => delays.find(({ share }) => share === wanted)?.estimated;
  const [half, most] = [quantile(0.5), quantile(0.9)];
  const final = until ? ` Those before ${utc(until)}${NB}UTC are.` : "";
  return [
    half && most && seen && `Half of the labels arrive within ${duration(half)}, nine in ten within ${duration(most)}.`,
    known(never) && never > 0.005 && `About ${percent(never, 0)} of predictions never get one.`,
    delay && `Predictions are final ${duration(delay)} after their time (${learned ? "learned" : "declared"}).${final}`,
  ]
    .filter(Boolean)
    .join(" ");
}

/** @param {EarlyLate} comparison */
function earlyLateWords({ within, early, late }) {
  return [
    "Early labels differ from late ones.",
    `Outcome minus confidence is ${signed(early)} on average for labels within ${duration(within)},`,
    `and ${signed(late)} for later ones. Figures of recent predictions lean towards the early labels.`,
  ].join(" ");
}

/** @param {number} value */
function signed(value) {
  return `${value > 0 ? "+" : ""}${score(value)}`;
}
