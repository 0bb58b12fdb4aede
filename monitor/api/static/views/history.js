/** The calibration error over time: stored evaluations, loaded once and then only what is new. */

/** @import { Query } from "../api.js" */
/** @import { Point, Series, TimelineEvent } from "../charts/timeline.js" */
/** @import { Part } from "../parts.js" */
/** @import { Alerts, AnyEvaluation, Calibrators, ModelAnswer } from "../types.js" */
/** @import { Choices } from "./choices.js" */

import { getOf } from "../api.js";
import { timeline } from "../charts/timeline.js";
import { el } from "../dom.js";
import { milliseconds, score, utc } from "../format.js";
import { legend, section, trouble, valueOr } from "../parts.js";
import { table } from "../table.js";
import { alertWords, calibratorName, errorName, errorOf, hasEnoughLabels, stateName, whyMissing } from "../words.js";
import { SPANS } from "./choices.js";

const MINUTE = 60_000;
const RELOAD_MS = 60_000;
const ROWS = 12;

/** @type {{ name: string, fetchedAt: number, points: Point[] }} */
let kept = { name: "", fetchedAt: 0, points: [] };

/**
 * Load the evaluations of the chosen span, in order of time.
 * @param {string} model
 * @param {Choices} chosen
 * @param {number} until
 * @returns {Promise<Series>}
 */
export async function loadHistory(model, { window, span, segment }, until) {
  const name = JSON.stringify([model, window, span, segment]);
  const start = until - milliseconds(span);
  // Late labels change stored evaluations, so that all are loaded again now and then.
  const usable = kept.name === name && Date.now() - kept.fetchedAt < RELOAD_MS;
  const before = usable ? kept : { name, fetchedAt: Date.now(), points: [] };
  const from = Math.max(start, before.points.at(-1)?.time ?? start);
  const fresh = await fetched(model, { window, ...(segment && { segment }) }, from, until + MINUTE);
  const points = [...before.points.filter(({ time }) => time >= start && time < from), ...fresh];
  kept = { ...before, points };
  const [first] = points;
  return { points, start: first && points.length > 1 ? first.time : start, end: until };
}

/**
 * @param {string} model
 * @param {Query} query
 * @param {number} start
 * @param {number} end
 */
async function fetched(model, query, start, end) {
  const range = { start: new Date(start).toISOString(), end: new Date(end).toISOString() };
  const { evaluations } = await getOf(model, "history", { ...query, ...range });
  return evaluations.map(pointOf).toSorted((a, b) => a.time - b.time);
}

/**
 * @param {AnyEvaluation} evaluation
 * @returns {Point}
 */
function pointOf(evaluation) {
  const { ece, bound, chance } = errorOf(evaluation);
  const { end = "", verdict, labelled } = evaluation;
  return { time: Date.parse(end), ece, bound, chance, verdict, enough: hasEnoughLabels(evaluation), labelled };
}

/**
 * Return the alerts and promotions to mark in the timeline.
 * @param {Alerts | undefined} alerts
 * @param {Calibrators | undefined} calibrators
 * @param {Choices} chosen
 * @returns {TimelineEvent[]}
 */
export function timelineEvents(alerts, calibrators, { window, segment }) {
  const marks = (alerts?.alerts ?? [])
    .filter(({ kind }) => kind === "miscalibration")
    .filter((alert) => ["", "sequential", "ratio", window].includes(alert.window) && alert.segment === segment)
    .map((alert) => ({ time: Date.parse(alert.at), mark: alert.state, words: alertWords(alert) }));
  const promotions = (calibrators?.promotions ?? []).map(({ at, number }) => ({
    time: Date.parse(at),
    mark: /** @type {const} */ ("promotion"),
    words: number ? `Promoted ${calibratorName(number)}` : "Back to no calibrator",
  }));
  return [...promotions, ...marks];
}

/**
 * Draw the section of the calibration error over time.
 * @param {Part<Series>} history
 * @param {TimelineEvent[]} events
 * @param {ModelAnswer} settings
 * @param {Choices} chosen
 */
export function drawHistory({ value, error }, events, settings, chosen) {
  const measure = errorName(settings);
  const title = `${measure} over time`;
  const spans = spanButtons(chosen.span);
  if (!value) return section("history", title, spans, trouble(error));
  const { points, start } = value;
  if (!points.length)
    return section("history", title, spans, el("p", { class: "blank" }, "No evaluation is stored for this time yet."));
  const marks = new Set(events.filter(({ time }) => time >= start).map(({ mark }) => mark));
  return section(
    "history",
    title,
    spans,
    el("div", { class: "canvas", "data-canvas": "timeline" }),
    legend(
      ["score", `${measure} over ${chosen.window}`],
      ["bound", "at least"],
      ["floor", "by chance"],
      marks.has("firing") && ["firing", "alert"],
      marks.has("resolved") && ["resolved", "resolved"],
      marks.has("promotion") && ["promotion", "promotion"],
    ),
    (chosen.scores === "raw" || chosen.version) &&
      el("p", { class: "hint" }, "This chart always shows served scores of all versions."),
    latest(points, measure),
  );
}

/**
 * Draw the timeline.
 * @param {Series} series
 * @param {TimelineEvent[]} events
 * @param {ModelAnswer} settings
 * @param {number} width
 */
export function historyChart(series, events, settings, width) {
  const shown = { ...series, name: errorName(settings), threshold: settings.thresholds.ece, events };
  return timeline(shown, width, heightFor(width));
}

/**
 * Return the height of the chart: that of the diagram beside it, or less below it.
 * @param {number} width
 */
function heightFor(width) {
  return matchMedia("(min-width: 981px)").matches ? 430 : Math.max(240, Math.min(340, width * 0.6));
}

/** @param {string} chosen */
function spanButtons(chosen) {
  return el(
    "div",
    { class: "spans", role: "group", "aria-label": "Time shown" },
    SPANS.map((span) =>
      el(
        "button",
        {
          type: "button",
          "data-act": "choose",
          "data-name": "span",
          "data-value": span,
          "aria-pressed": String(span === chosen),
        },
        span,
      ),
    ),
  );
}

/**
 * @param {Point[]} points
 * @param {string} measure
 */
function latest(points, measure) {
  return el(
    "details",
    { class: "as-table" },
    el("summary", null, "Latest evaluations as a table"),
    table(
      "Latest evaluations",
      ["At (UTC)", measure, "At least", "By chance", "Verdict"],
      points
        .slice(-ROWS)
        .toReversed()
        .map((point) => [
          utc(point.time),
          ...[point.ece, point.bound, point.chance].map((value) =>
            valueOr(value, (figure) => score(Math.max(0, figure)), whyMissing(point)),
          ),
          stateName(point.verdict),
        ]),
    ),
  );
}
