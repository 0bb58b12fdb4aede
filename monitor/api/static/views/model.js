/** One model: its verdict, figures, diagram, history, calibrators and alerts. */

import { get, KeyNeeded, modelPath, Unreachable } from "../api.js";
import { drawAlerts } from "./alerts.js";
import { drawCalibrators } from "./calibrators.js";
import { drawClasses } from "./classes.js";
import { el, joined } from "../dom.js";
import { drawEvidence, evidenceCharts } from "./evidence.js";
import { cohortChart, drawLabels } from "./labels.js";
import { backlog } from "./models.js";
import { loadHistory, spanFor, SPANS } from "./history.js";
import { section, since, trouble, valueOr } from "../parts.js";
import { coverageChart, hasPit, missesLevel, pitHistogram } from "../charts/pit.js";
import { isOff, reliabilityDiagram } from "../charts/reliability.js";
import { drawSegments } from "./segments.js";
import { aside } from "./aside.js";
import { timeline } from "../charts/timeline.js";
import {
  alertWords,
  compact,
  count,
  known,
  milliseconds,
  percent,
  plain,
  score,
  segmentName,
  stateName,
  utc,
  whyMissing,
} from "../words.js";
import { figures, verdictPanel } from "./verdict.js";

const BINS = ["10", "12", "15", "20", "30"];
const USUAL_BINS = "15";

/** Ask for what the page of a model shows; parts that fail carry their error. */
export async function loadModel(name, choices) {
  const settings = await get(modelPath(name));
  const chosen = chosenFrom(settings, choices);
  const regression = settings.task === "regression";
  const query = {
    window: chosen.window,
    ...(chosen.bins && !regression && { bins: chosen.bins }),
    ...(!regression && { scores: chosen.scores }),
    ...(chosen.version && { version: chosen.version }),
    ...(chosen.segment && { segment: chosen.segment }),
  };
  const [evaluation, alerts, calibrators, system, beside] = await Promise.all([
    part(get(modelPath(name, "calibration"), query)),
    part(get(modelPath(name, "alerts"))),
    part(get(modelPath(name, "calibrators"))),
    part(get("v1/models")),
    loadBeside(name, settings, chosen),
  ]);
  const until = Date.parse(evaluation.value?.end ?? settings.last_event_at) || Date.now();
  const history = await part(loadHistory(name, chosen, until));
  return { name, settings, chosen, evaluation, alerts, calibrators, system, history, ...beside };
}

// Each is asked for now and then, and none of them is waited for long.
async function loadBeside(name, settings, chosen) {
  const { window } = chosen;
  const version = chosen.version && { version: chosen.version };
  const { champion, revision } = settings;
  const ask = (call, query) => aside(name, call, query, [champion, revision]);
  const [audit, evidence, labels, segments, estimate] = await Promise.all([
    ask("audit"),
    ask("evidence"),
    ask("labels", { window: milliseconds(window) > milliseconds("48h") ? "30d" : "48h" }),
    settings.segments?.length ? ask("segments", { window, ...version }) : {},
    settings.task === "regression" ? {} : ask("estimate", { window, ...version }),
  ]);
  return { audit, evidence, labels, segments, estimate };
}

/** Draw the page of a model. */
export function drawModel(data, { now }) {
  const { name, settings, chosen, evaluation, alerts, calibrators, system } = data;
  const { evidence, segments, labels, estimate, audit } = data;
  const listed = system.value?.models?.find(({ model }) => model === name);
  const current = evaluation.value;
  const firing = listed?.alerts ? `${listed.alerts} firing \u00b7 ` : "";
  return {
    title: `${firing}${name}`,
    charts: charts(data),
    nodes: [
      head(name, settings, listed, now),
      toolbar(settings, chosen, alerts.value, segments.value),
      current ? verdictPanel(current, settings) : el("div", { "data-key": "verdict" }, trouble(evaluation.error)),
      current && figures(current),
      el("div", { class: "columns", "data-key": "charts" }, diagramPart(current, settings), historyPart(data)),
      drawEvidence(evidence, settings, chosen),
      drawSegments(segments, settings, chosen),
      drawClasses(current),
      drawLabels(labels, estimate),
      drawCalibrators(calibrators, settings, audit),
      drawAlerts(alerts),
      backlog(system.value ?? {}),
    ],
  };
}

async function part(promise) {
  try {
    return { value: await promise };
  } catch (error) {
    if (error instanceof Unreachable || error instanceof KeyNeeded) throw error;
    return { error };
  }
}

function chosenFrom(settings, choices) {
  const windows = windowsOf(settings);
  const window = windows.includes(choices.window) ? choices.window : windows.includes("24h") ? "24h" : windows[0];
  return {
    window,
    bins: BINS.includes(choices.bins) ? choices.bins : "",
    scores: choices.scores === "raw" ? "raw" : "served",
    version: choices.version ?? "",
    segment: choices.segment ?? "",
    span: SPANS.includes(choices.span) ? choices.span : spanFor(window),
  };
}

function windowsOf(settings) {
  return settings.windows?.length ? settings.windows : ["1h", "24h", "7d"];
}

function charts(data) {
  const { evaluation, settings, history, alerts, calibrators, chosen, evidence, labels } = data;
  const bins = evaluation.value?.reliability ?? [];
  return {
    ...evidenceCharts(evidence, chosen),
    cohorts: (width) => cohortChart(labels.value.cohorts, width),
    pit: (width) => pitHistogram(evaluation.value.pit, width),
    coverage: (width) => coverageChart(evaluation.value.coverage, width),
    reliability: (width) => reliabilityDiagram(bins, observedName(settings.task), width),
    timeline: (width) =>
      timeline(
        {
          ...history.value,
          name: errorName(settings),
          threshold: settings.thresholds?.ece,
          events: eventsOf(alerts.value, calibrators.value, chosen),
        },
        width,
        timelineHeight(width),
      ),
  };
}

// Beside the diagram it is as tall; below it, as wide screens like it.
function timelineHeight(width) {
  return matchMedia("(min-width: 981px)").matches ? 430 : Math.max(240, Math.min(340, width * 0.6));
}

function observedName(task) {
  return task === "binary" ? "happens" : "is right";
}

function errorName({ task }) {
  return task === "regression" ? "Quantile ECE" : "ECE";
}

function eventsOf(alerts, calibrators, { window, segment }) {
  const ofAlerts = (alerts?.alerts ?? [])
    .filter(({ kind }) => kind === "miscalibration")
    .filter((alert) => ["", "sequential", window].includes(alert.window ?? "") && (alert.segment ?? "") === segment)
    .map((alert) => ({ time: Date.parse(alert.at), kind: alert.state, words: alertWords(alert) }));
  const promotions = (calibrators?.promotions ?? []).map(({ at, number }) => ({
    time: Date.parse(at),
    kind: "promotion",
    words: number ? `Version ${number} promoted` : "Back to no calibrator",
  }));
  return [...promotions, ...ofAlerts];
}

function head(name, settings, listed, now) {
  const facts = [
    listed?.alerts > 0 && el("span", { class: "badge firing" }, `${listed.alerts} firing`),
    settings.task && plain(settings.task),
    known(listed?.predictions) && `${compact(listed.predictions)} predictions`,
    known(listed?.labelled) && `${compact(listed.labelled)} labelled`,
    settings.recalibration && `recalibration ${settings.recalibration}`,
    listed?.last_event_at && el("span", null, "last event ", since(listed.last_event_at, now)),
  ];
  return el(
    "header",
    { class: "model-head", "data-key": "head" },
    el("p", { class: "crumb" }, el("a", { href: "#/" }, "Models")),
    el("h1", { tabindex: -1 }, el("bdi", null, name)),
    el("p", { class: "lead" }, joined(facts, " \u00b7 ")),
  );
}

function toolbar(settings, chosen, alerts, segments) {
  const regression = settings.task === "regression";
  const versions = settings.versions ?? [
    ...new Set((alerts?.alerts ?? []).map(({ version }) => version).filter(Boolean)),
  ];
  return el(
    "form",
    { id: "choices", class: "choices", "aria-label": "What is shown", "data-key": "choices" },
    segmented(
      "window",
      "Window",
      windowsOf(settings).map((window) => [window, window]),
      chosen.window,
    ),
    !regression &&
      segmented(
        "scores",
        "Scores",
        [
          ["served", "Served"],
          ["raw", "Raw"],
        ],
        chosen.scores,
      ),
    !regression && select("bins", "Bins", binsOf(settings), binsChosen(settings, chosen)),
    settings.segments?.length > 0 && select("segment", "Segment", segmentsOf(segments, chosen), chosen.segment),
    versions.length > 1 &&
      select(
        "version",
        "Model version",
        [["", "All"], ...versions.map((version) => [version, version])],
        chosen.version,
      ),
  );
}

// What is stated in words or round figures is binned by value, unless another binning is asked for.
function binsOf({ task }) {
  if (task === "confidence") return [["", "By value, or 15"], ...BINS.map((bins) => [bins, bins])];
  return BINS.map((bins) => [bins === USUAL_BINS ? "" : bins, bins]);
}

function binsChosen({ task }, { bins }) {
  return task !== "confidence" && bins === USUAL_BINS ? "" : bins;
}

function segmentsOf(segments, { segment: chosen }) {
  const names = (segments?.segments ?? []).map(({ segment }) => segment).sort();
  const known_ = !chosen || names.includes(chosen) ? names : [chosen, ...names];
  return [["", "All"], ...known_.map((segment) => [segment, segmentName(segment)])];
}

function segmented(name, title, options, chosen) {
  return el(
    "fieldset",
    { class: "segmented" },
    el("legend", null, title),
    el(
      "div",
      null,
      options.map(([value, words]) =>
        el(
          "label",
          null,
          el("input", { type: "radio", name, value, checked: value === chosen }),
          el("span", null, words),
        ),
      ),
    ),
  );
}

function select(name, title, options, chosen) {
  return el(
    "label",
    { class: "select" },
    el("span", null, title),
    el(
      "select",
      { name },
      options.map(([value, words]) => el("option", { value, selected: value === chosen }, words)),
    ),
  );
}

function diagramPart(evaluation, settings) {
  if (settings.task === "regression") return distributionPart(evaluation);
  const bins = (evaluation?.reliability ?? []).filter(({ count: size }) => size > 0);
  if (!bins.some((bin) => known(bin.observed)))
    return section(
      "diagram",
      "Reliability",
      el("p", { class: "blank" }, `Nothing to draw: ${whyMissing(evaluation)}.`),
    );
  return section(
    "diagram",
    "Reliability",
    el("div", { class: "canvas", "data-canvas": "reliability" }),
    legend(["dot", "agrees"], bins.some(isOff) && ["dot off", "interval misses the diagonal"], [
      "error-bar",
      "95 % interval",
    ]),
    asTable(
      "Bins",
      ["Said", "Mean", plain(observedName(settings.task)), "95 % interval", "Labels"],
      bins.map((bin) => [
        bin.upper > bin.lower ? `${percent(bin.lower)} \u2013 ${percent(bin.upper)}` : percent(bin.lower),
        valueOr(bin.mean_confidence, percent, "no labels"),
        valueOr(bin.observed, percent, "no labels"),
        known(bin.observed_low) ? `${percent(bin.observed_low)} \u2013 ${percent(bin.observed_high)}` : "\u2014",
        count(bin.count),
      ]),
    ),
  );
}

function distributionPart(evaluation) {
  if (!hasPit(evaluation))
    return section(
      "diagram",
      "Distributions",
      el("p", { class: "blank" }, `Nothing to draw: ${whyMissing(evaluation)}.`),
    );
  const levels = evaluation.coverage ?? [];
  return section(
    "diagram",
    "Distributions",
    el("h3", null, "Where labels fell"),
    el("div", { class: "canvas", "data-canvas": "pit" }),
    legend(["bar", "share of labels"], ["uniform", "95 % band if calibrated"]),
    levels.length > 0 && [
      el("h3", { class: "second" }, "How often stated intervals held"),
      el("div", { class: "canvas", "data-canvas": "coverage" }),
      legend(["dot", "agrees"], levels.some(missesLevel) && ["dot off", "interval misses the diagonal"], [
        "error-bar",
        "95 % interval",
      ]),
      asTable(
        "Intervals",
        ["Stated", "Held", "95 % interval"],
        levels.map(({ level, observed, low, high }) => [
          percent(level, 0),
          percent(observed),
          `${percent(low)} \u2013 ${percent(high)}`,
        ]),
      ),
    ],
  );
}

function historyPart({ history, chosen, alerts, calibrators, settings }) {
  const spans = segmentedSpans(chosen.span);
  const error = errorName(settings);
  const title = `${error} over time`;
  if (history.error) return section("history", title, spans, trouble(history.error));
  const { points } = history.value;
  if (!points.length)
    return section(
      "history",
      title,
      spans,
      el("p", { class: "blank" }, "No evaluation is stored for this time yet."),
    );
  const recent = points.slice(-12).reverse();
  const shown = new Set(
    eventsOf(alerts.value, calibrators.value, chosen)
      .filter(({ time }) => time >= history.value.start)
      .map(({ kind }) => kind),
  );
  return section(
    "history",
    title,
    spans,
    el("div", { class: "canvas", "data-canvas": "timeline" }),
    legend(
      ["score", `${error} over ${chosen.window}`],
      ["bound", "at least"],
      ["floor", "by chance"],
      shown.has("firing") && ["firing", "alert"],
      shown.has("resolved") && ["resolved", "resolved"],
      shown.has("promotion") && ["promotion", "promotion"],
    ),
    (chosen.scores === "raw" || chosen.version) &&
      el("p", { class: "hint" }, "History is kept for served scores of all versions."),
    asTable(
      "Latest evaluations",
      ["At (UTC)", error, "At least", "By chance", "Verdict"],
      recent.map((point) => [
        utc(point.time),
        ...[point.ece, point.bound, point.floor].map((value) =>
          valueOr(value, (known_) => score(Math.max(0, known_)), whyMissing(point)),
        ),
        stateName(point.verdict),
      ]),
    ),
  );
}

function segmentedSpans(chosen) {
  return el(
    "div",
    { class: "spans", role: "group", "aria-label": "Time shown" },
    SPANS.map((length) =>
      el(
        "button",
        {
          type: "button",
          "data-act": "choose",
          "data-name": "span",
          "data-value": length,
          "aria-pressed": String(length === chosen),
        },
        length,
      ),
    ),
  );
}

function legend(...entries) {
  return el(
    "ul",
    { class: "legend" },
    entries
      .filter(Boolean)
      .map(([kind, words]) => el("li", null, el("span", { class: `swatch ${kind}`, "aria-hidden": "true" }), words)),
  );
}

function asTable(title, columns, rows) {
  return el(
    "details",
    { class: "as-table" },
    el("summary", null, `${title} as a table`),
    el(
      "div",
      { class: "scroll", tabindex: 0 },
      el(
        "table",
        null,
        el("caption", { class: "unseen" }, title),
        el(
          "thead",
          null,
          el(
            "tr",
            null,
            columns.map((column) => el("th", { scope: "col" }, column)),
          ),
        ),
        el(
          "tbody",
          null,
          rows.map((cells) =>
            el(
              "tr",
              null,
              cells.map((cell) => el("td", null, cell)),
            ),
          ),
        ),
      ),
    ),
  );
}
