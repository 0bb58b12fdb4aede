/** Segments, worst first, each with an interval of its calibration error. */

/** @import { Part } from "../parts.js" */
/** @import { Figure, ModelAnswer, SegmentRow, Segments } from "../types.js" */
/** @import { Choices } from "./choices.js" */

import { intervalBar } from "../charts/interval.js";
import { el } from "../dom.js";
import { count, eValue, known, NB, score, shortPercent, span } from "../format.js";
import { firstOf, section, trouble, valueOr } from "../parts.js";
import { table } from "../table.js";
import { segmentName } from "../words.js";

const SHOWN = 8;
const MOST = 108;

/** @typedef {{ segments: Segments, top: number, regression: boolean, chosen: string }} Context  What each row of the table needs. */

/**
 * Draw the section of a model's segments; nothing where none are declared.
 * @param {Part<Segments>} segments
 * @param {ModelAnswer} settings
 * @param {Choices} chosen
 */
export function drawSegments({ value, error }, settings, { segment: chosen }) {
  if (!settings.segments.length) return null;
  if (error) return section("segments", "Segments", trouble(error));
  if (!value?.segments.length) return null;
  const top = Math.max(value.threshold * 1.5, ...value.segments.slice(0, SHOWN).map(farEnd)) * 1.02;
  const context = { segments: value, top, regression: settings.task === "regression", chosen };
  return section(
    "segments",
    "Segments",
    el("p", { class: "hint" }, summary(value)),
    firstOf(value.segments.slice(0, MOST), SHOWN, "more", (rows) => ranked(rows, context)),
    el("p", { class: "hint" }, barWords(context)),
  );
}

/** @param {Segments} segments */
function summary({ segments, false_discovery_rate: rate, start, end, threshold }) {
  const flagged = segments.filter((row) => row.flagged).length;
  const range = `${span(start, end)}.`;
  if (!flagged) return `None of ${segments.length} is flagged: chance can explain the differences. ${range}`;
  return [
    `${flagged} of ${segments.length} ${flagged === 1 ? "is" : "are"} flagged: there is evidence of an ECE above`,
    `${score(threshold)}. On average at most ${shortPercent(rate)} of the flags of one look are wrong, however many segments there are.`,
    range,
  ].join(" ");
}

/** @param {Context} context */
function barWords({ regression, segments: { threshold } }) {
  const bars = regression
    ? "Bars reach from the lower bound of the quantile ECE to its value"
    : `Bars are 95${NB}% intervals of the root-mean-square calibration error, without the noise of labels`;
  return `${bars}; the dashed line is at ${score(threshold)}.`;
}

/** @param {SegmentRow} row */
function farEnd(row) {
  return Math.max(row.debiased_l2_high ?? 0, errorIn(row) ?? 0);
}

/** @param {SegmentRow} row */
function errorIn(row) {
  return row.ece ?? row.quantile_ece;
}

/**
 * @param {SegmentRow[]} rows
 * @param {Context} context
 */
function ranked(rows, context) {
  const measures = context.regression ? ["Quantile ECE", "At least"] : ["ECE", `95${NB}% interval`];
  const drawn = rows.map((row) => ({
    attributes: { class: row.flagged ? "flagged" : null, "data-key": `segment-${row.segment}` },
    cells: [
      nameCell(row, row.segment === context.chosen),
      valueOr(errorIn(row), score, "no labels"),
      el("td", { class: "interval" }, interval(row, context)),
      row.direction && row.direction !== "none" ? row.direction : "—",
      count(row.labelled),
      valueOr(row.e_value_log, eValue, "no labels"),
    ],
  }));
  return table("Segments, worst first", ["Segment", ...measures, "Direction", "Labels", "e-value"], drawn, {
    look: "ranked",
  });
}

/**
 * @param {SegmentRow} row
 * @param {boolean} chosen
 */
function nameCell({ segment, flagged }, chosen) {
  const button = el(
    "button",
    {
      type: "button",
      class: "link-like",
      "data-act": "choose",
      "data-name": "segment",
      "data-value": chosen ? "" : segment,
      "aria-pressed": String(chosen),
    },
    el("bdi", null, segmentName(segment)),
  );
  return el("td", null, button, flagged && el("span", { class: "badge firing" }, "flagged"));
}

/**
 * @param {SegmentRow} row
 * @param {Context} context
 */
function interval(row, { top, segments: { threshold } }) {
  const [low, high] = bounds(row);
  if (!known(low) || !known(high)) return valueOr(null, score, "too few labels");
  return intervalBar({ low, high, at: row.debiased_l2, off: row.flagged }, top, threshold);
}

/**
 * @param {SegmentRow} row
 * @returns {[low: Figure, high: Figure]}
 */
function bounds(row) {
  if (known(row.quantile_ece)) return [row.quantile_ece_lower_bound, row.quantile_ece];
  return [row.debiased_l2_low, row.debiased_l2_high];
}
