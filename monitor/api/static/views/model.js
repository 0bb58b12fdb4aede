/** One model: its verdict, figures, diagram, history, segments, labels, calibrators and alerts. */

/** @import { Child } from "../dom.js" */
/** @import { Series } from "../charts/timeline.js" */
/** @import { Part } from "../parts.js" */
/** @import { Alerts, AnyEvaluation, Audit, Calibrators, Corrected, Drift, EstimateAnswer, Evidence, Labels, ModelAnswer, Models, Rejections, ReplayList, Segments, Summary, Undeclared } from "../types.js" */
/** @import { Choices } from "./choices.js" */

import { get, getModels, getOf, KeyNeeded, modelPath, Unreachable } from "../api.js";
import { cohortChart } from "../charts/cohorts.js";
import { coverageChart, pitHistogram } from "../charts/pit.js";
import { reliabilityDiagram } from "../charts/reliability.js";
import { el, joined } from "../dom.js";
import { compact, known, milliseconds, plain } from "../format.js";
import { backlog, since, trouble } from "../parts.js";
import { drawAlerts } from "./alerts.js";
import { aside, patience } from "./aside.js";
import { drawCalibrators } from "./calibrators.js";
import { choicesFrom, drawChoices } from "./choices.js";
import { drawClasses } from "./classes.js";
import { drawDiagram } from "./diagram.js";
import { drawDrift } from "./drift.js";
import { drawEvidence, evidenceCharts } from "./evidence.js";
import { drawFigures, loadDescriptions } from "./figures.js";
import { drawHistory, historyChart, loadHistory, timelineEvents } from "./history.js";
import { drawLabels } from "./labels.js";
import { loadMaps } from "./maps.js";
import { drawRejections } from "./rejections.js";
import { drawReplays } from "./replays.js";
import { drawSegments } from "./segments.js";
import { drawVerdict } from "./verdict.js";

/** @typedef {Record<string, (width: number) => Child>} Charts  Charts by the name of their canvas. */
/** @typedef {{ title: string, nodes: Child[], charts: Charts }} View */

/**
 * @typedef {object} Secondary  What is asked for now and then, and not waited for long.
 * @property {Part<Audit>} audit
 * @property {Part<Evidence>} evidence
 * @property {Part<Labels>} labels
 * @property {Part<Segments>} segments
 * @property {Part<EstimateAnswer>} estimate
 * @property {Part<Drift>} drift
 * @property {Part<Rejections>} rejections
 */

/**
 * @typedef {object} Primary
 * @property {string} name
 * @property {ModelAnswer} settings
 * @property {Choices} chosen
 * @property {Part<AnyEvaluation>} evaluation
 * @property {Part<Alerts>} alerts
 * @property {Part<Calibrators>} calibrators
 * @property {Part<Models>} system
 * @property {Part<Series>} history
 * @property {Part<ReplayList>} replays
 */

/** @typedef {Primary & Secondary} ModelData */

/**
 * Load what the page of a model shows; parts that fail carry their error.
 * @param {string} name
 * @param {Partial<Record<string, string>>} choices  of the address
 * @returns {Promise<ModelData>}
 */
export async function loadModel(name, choices) {
  /** @type {ModelAnswer} */
  const settings = await get(modelPath(name));
  const chosen = choicesFrom(settings, choices);
  const [evaluation, alerts, calibrators, system, replays, secondary] = await Promise.all([
    part(getOf(name, "calibration", calibrationQuery(settings, chosen))),
    part(getOf(name, "alerts")),
    part(loadCalibrators(name)),
    part(getModels()),
    part(getOf(name, "replays")),
    loadSecondary(name, settings, chosen),
    Promise.race([loadDescriptions(), patience()]),
  ]);
  const until = Date.parse(evaluation.value?.end ?? settings.last_event_at ?? "") || Date.now();
  const history = await part(loadHistory(name, chosen, until));
  return { name, settings, chosen, evaluation, alerts, calibrators, system, history, replays, ...secondary };
}

/**
 * @param {ModelAnswer} settings
 * @param {Choices} chosen
 */
function calibrationQuery({ task }, { window, bins, scores, version, segment }) {
  return {
    window,
    ...(task !== "regression" && { ...(bins && { bins }), scores }),
    ...(version && { version }),
    ...(segment && { segment }),
  };
}

/** @param {string} name */
async function loadCalibrators(name) {
  const answer = await getOf(name, "calibrators");
  await loadMaps(name, answer.calibrators, answer.champion);
  return answer;
}

/**
 * @param {string} name
 * @param {ModelAnswer} settings
 * @param {Choices} chosen
 * @returns {Promise<Secondary>}
 */
async function loadSecondary(name, { champion, revision, segments: declared, task }, { window, version, segment }) {
  const state = [champion, revision];
  const query = { window, ...(version && { version }) };
  const labelWindow = milliseconds(window) > milliseconds("48h") ? "30d" : "48h";
  const [audit, evidence, labels, segments, estimate, drift, rejections] = await Promise.all([
    aside(name, "audit", {}, state),
    aside(name, "evidence", {}, state),
    aside(name, "labels", { window: labelWindow }, state),
    declared.length ? aside(name, "segments", query, state) : {},
    task === "regression" ? {} : aside(name, "estimate", query, state),
    aside(name, "drift", { ...query, ...(segment && { segment }) }, state),
    aside(name, "rejections", {}, state),
  ]);
  return { audit, evidence, labels, segments, estimate, drift, rejections };
}

/**
 * @template Answer
 * @param {Promise<Answer>} answer
 * @returns {Promise<Part<Answer>>}
 */
async function part(answer) {
  try {
    return { value: await answer };
  } catch (error) {
    if (error instanceof Unreachable || error instanceof KeyNeeded) throw error;
    return { error };
  }
}

/**
 * Draw the page of a model.
 * @param {ModelData} data
 * @param {{ now: number }} context
 * @returns {View}
 */
export function drawModel(data, { now }) {
  const { name, settings, chosen, evaluation, alerts, calibrators, system, history, replays } = data;
  const { evidence, segments, labels, estimate, drift, audit, rejections } = data;
  const listed = system.value?.models.find(({ model }) => model === name);
  const current = evaluation.value;
  const events = timelineEvents(alerts.value, calibrators.value, chosen);
  return {
    title: `${listed?.alerts ? `${listed.alerts} firing · ` : ""}${name}`,
    charts: chartsOf(data),
    nodes: [
      head(name, settings, listed, now),
      drawChoices(settings, chosen, segments.value),
      current
        ? drawVerdict(current, settings, segments.value)
        : el("div", { "data-key": "verdict" }, trouble(evaluation.error)),
      current && drawFigures(current),
      el(
        "div",
        { class: "columns", "data-key": "charts" },
        drawDiagram(current, settings),
        drawHistory(history, events, settings, chosen),
      ),
      drawEvidence(evidence, settings, chosen),
      drawSegments(segments, settings, chosen),
      drawClasses(current),
      drawLabels(labels, estimate),
      drawDrift(drift),
      drawCalibrators(calibrators, settings, audit),
      drawAlerts(alerts, name),
      drawRejections(rejections),
      drawReplays(replays),
      backlog(system.value ?? {}),
    ],
  };
}

/**
 * @param {ModelData} data
 * @returns {Charts}
 */
function chartsOf({ evaluation: { value }, settings, history, alerts, calibrators, chosen, evidence, labels }) {
  const series = history.value;
  const events = timelineEvents(alerts.value, calibrators.value, chosen);
  return {
    ...evidenceCharts(evidence, chosen),
    cohorts: (width) => cohortChart(labels.value?.cohorts ?? [], width),
    pit: (width) => pitHistogram(value?.pit ?? [], width),
    coverage: (width) => coverageChart(value?.coverage ?? [], width),
    reliability: (width) => reliabilityDiagram(value?.reliability ?? [], settings.task, width),
    timeline: (width) => series && historyChart(series, events, settings, width),
  };
}

/**
 * @param {string} name
 * @param {ModelAnswer} settings
 * @param {Summary | undefined} listed
 * @param {number} now
 */
function head(name, { task, recalibration }, listed, now) {
  const facts = [
    listed && listed.alerts > 0 && el("span", { class: "badge firing" }, `${listed.alerts} firing`),
    task && plain(task),
    known(listed?.predictions) && `${compact(listed.predictions)} predictions`,
    known(listed?.labelled) && `${compact(listed.labelled)} labelled`,
    listed && corrected(listed.corrected),
    `recalibration ${recalibration}`,
    listed?.last_event_at && el("span", null, "last event ", since(listed.last_event_at, now)),
  ];
  return el(
    "header",
    { class: "model-head", "data-key": "head" },
    el("p", { class: "crumb" }, el("a", { href: "#/" }, "Models")),
    el("h1", { tabindex: -1 }, el("bdi", null, name)),
    el("p", { class: "lead" }, joined(facts, " · ")),
    listed && [undeclaredLabels(listed.undeclared), unnamedEvents(listed.unnamed)],
  );
}

/**
 * Return what is said of labels of classes that were never declared; nothing where there are none.
 * @param {Undeclared} labels
 */
function undeclaredLabels({ told }) {
  return told && el("p", { class: "warning" }, told.replaceAll("`", ""));
}

/**
 * Return what is said of predictions that count as __other__; nothing where there are none.
 * @param {Record<string, number>} counts
 */
function unnamedEvents(counts) {
  const told = Object.entries(counts).map(([of, count]) => `${compact(count)} by ${of}`);
  return (
    told.length > 0 &&
    el(
      "p",
      { class: "warning" },
      `Predictions beyond this model’s limits of versions or segment values count as __other__: ${told.join(", ")}.`,
    )
  );
}

/**
 * Return how many predictions rounding had put out of place, and what was done; nothing where there are none.
 * @param {Corrected | undefined} counts
 */
function corrected(counts) {
  const done = Object.entries(counts ?? {}).filter(([, count]) => count > 0);
  return done.length > 0 && `rounding: ${done.map(([what, count]) => `${compact(count)} ${what}`).join(", ")}`;
}
