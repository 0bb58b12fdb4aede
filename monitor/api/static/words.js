/** Verdicts, alerts, segments and calibrators in words. */

/** @import { AlertAnswer, AnyEvaluation, Bin, Direction, Figure, ModelAnswer, Remedy, Segments, Task } from "./types.js" */

import { capital, count, known, NB, percent, plain, score, utc } from "./format.js";

/** @type {Record<string, string>} */
const STATES = {
  calibrated: "Calibrated",
  suspect: "Suspect",
  miscalibrated: "Miscalibrated",
  too_few_labels: "Too few labels",
};

/** @type {Record<string, string>} */
const ALERTS = { stale: "Stale clients", segment: "Miscalibrated segments" };

/** @type {Record<Remedy, string>} */
const REMEDIES = {
  recalibrate: "put a new calibrator in service",
  retrain: "retrain the model",
  check_labels: "check the labels",
  wait: "wait",
};

/**
 * Return the calibration error by which an evaluation is judged, with its name, lower bound and chance level.
 * @param {AnyEvaluation | null | undefined} evaluation
 * @returns {{ name: string, ece: Figure, bound: Figure, chance: Figure }}
 */
export function errorOf(evaluation) {
  const { quantile_ece: quantile, quantile_ece_lower_bound: least, quantile_ece_null_mean: mean } = evaluation ?? {};
  if (quantile !== undefined) return { name: "Quantile ECE", ece: quantile, bound: least, chance: mean };
  const { ece, ece_lower_bound: bound, ece_null_mean: chance } = evaluation ?? {};
  return { name: "ECE", ece, bound, chance };
}

/**
 * Name the calibration error of a task.
 * @param {{ task: Task | null }} model
 */
export function errorName({ task }) {
  return task === "regression" ? "Quantile ECE" : "ECE";
}

/**
 * Name what the reliability diagram holds against the confidence.
 * @param {Task | null} task
 */
export function observedName(task) {
  return task === "binary" ? "happens" : "is right";
}

/**
 * Name the two sides of the diagonal, above it and below it.
 * @param {Task | null} task
 */
export function sideNames(task) {
  return task === "binary"
    ? { above: "says less than happens", below: "says more than happens" }
    : { above: "underconfident", below: "overconfident" };
}

/**
 * Name a state of a model, or a verdict.
 * @param {string | null | undefined} state
 */
export function stateName(state) {
  return state ? (STATES[state] ?? plain(state)) : "No verdict";
}

/**
 * Name a segment: `country,device:de,phone` is country: de, device: phone.
 * @param {string} segment
 */
export function segmentName(segment) {
  if (segment.startsWith("class=")) return `class ${segment.slice(6)}`;
  const at = segment.indexOf(":");
  const keys = segment.slice(0, at).split(",");
  if (keys.length === 1) return `${keys[0]}: ${segment.slice(at + 1)}`;
  // In values, commas and backslashes follow a backslash.
  const values = (segment.slice(at + 1).match(/(?:\\.|[^\\,])+|(?<=,)(?=,|$)|^(?=,)/gu) ?? [""]).map((value) =>
    value.replaceAll(/\\(.)/gu, "$1"),
  );
  return keys.map((key, i) => `${key}: ${values[i] ?? ""}`).join(", ");
}

/**
 * Name a calibrator in a sentence.
 * @param {number | null | undefined} number
 */
export function calibratorName(number) {
  return number ? `calibrator ${number}` : "no calibrator";
}

/**
 * Put the verdict of an evaluation in a sentence.
 * @param {{ verdict: string } & Omit<AnyEvaluation, "verdict"> | null | undefined} evaluation
 * @param {Task | null} task
 * @param {boolean} [flagged]  as a segment
 */
export function verdictWords(evaluation, task, flagged = false) {
  if (!evaluation) return "No evaluation yet";
  if (evaluation.verdict === "too_few_labels")
    return isSplit(evaluation) ? nameOf(evaluation, flagged) : tooFew(evaluation);
  const { verdict, direction } = evaluation;
  const state = nameOf(evaluation, flagged);
  if (!hasEnoughLabels(evaluation)) return `${state}, with few labels in this window`;
  const words = evaluation.quantile_ece === undefined ? scoreVerdict : regressionVerdict;
  if (verdict === "miscalibrated") return words(evaluation, directionName(direction), true, task);
  const leans = verdict === "suspect" && Boolean(direction) && direction !== "none";
  return words(evaluation, leans ? `${state}, ${direction}` : state, leans, task);
}

/**
 * @param {Omit<AnyEvaluation, "verdict">} evaluation
 * @param {string} name
 * @param {boolean} off
 * @param {Task | null} task
 */
function scoreVerdict(evaluation, name, off, task) {
  const [says, is] = saysAndIs(evaluation, task);
  if (!known(says) || !known(is)) return off && known(evaluation.ece) ? `${name}: ${offBy(evaluation.ece)}` : name;
  if (off && !shownByMeans(evaluation.direction, says, is, task)) return `${name}: ${shapeWords(evaluation, task)}`;
  const decimals = decimalsOf(says, is);
  return `${name}: says ${percent(says, decimals)}, ${observedName(task)} ${percent(is, decimals)} of the time`;
}

/**
 * What a calibrator that passed its gate does, by remedy.
 * @type {Record<string, string>}
 */
const DOES = { recalibrate: "repairs it and " };

/**
 * Say since when a model is off, for whom most, and what waits for a person; nothing where it is not off.
 * @param {AnyEvaluation} evaluation
 * @param {Pick<ModelAnswer, "proposal">} settings
 * @param {Segments | undefined} segments
 */
export function storyWords(evaluation, { proposal }, segments) {
  if (evaluation.verdict !== "miscalibrated" && evaluation.verdict !== "suspect") return "";
  const worst = evaluation.segment ? undefined : segments?.segments.find(({ flagged }) => flagged);
  const sentences = [
    evaluation.since && sinceWords(evaluation),
    worst && `Worst: ${segmentName(worst.segment)}`,
    proposal && `${capital(calibratorName(proposal))} ${DOES[evaluation.remedy ?? ""] ?? ""}waits for you`,
  ];
  return sentences.filter(Boolean).join(". ") + (sentences.some(Boolean) ? "." : "");
}

/** @param {Pick<AnyEvaluation, "since" | "since_low" | "since_high">} evaluation */
function sinceWords({ since, since_low: low, since_high: high }) {
  const day = utc(since ?? "", "day");
  /** @param {string | null | undefined} time */
  const short = (time) => utc(time ?? "", utc(time ?? "", "day") === day ? "clock" : "moment");
  const at = `Since ${utc(since ?? "")}${NB}UTC`;
  const interval = low
    ? `between ${short(low)} and ${short(high)}`
    : `from the start, or before; ${short(high)} at the latest`;
  return `${at} (${interval})`;
}

/**
 * Name the verdict of an evaluation.
 * @param {{ verdict?: string | undefined, verdict_reason?: string | null | undefined }} evaluation
 * @param {boolean} flagged
 */
function nameOf(evaluation, flagged) {
  if (isSplit(evaluation)) {
    return evaluation.verdict === "calibrated"
      ? "Calibrated as a whole, not in every segment"
      : "Miscalibrated in some segments, with too few labels to judge the whole";
  }
  return evaluation.verdict === "suspect" && flagged ? "Flagged" : stateName(evaluation.verdict);
}

/**
 * Return the state that an evaluation is shown as: no alert on segments is under a good or an unsure sign.
 * @param {{ verdict?: string | undefined, verdict_reason?: string | null | undefined }} evaluation
 */
export function shownState(evaluation) {
  return isSplit(evaluation) ? "suspect" : evaluation.verdict;
}

/**
 * Tell whether an alert fires on segments of a model that is not off, or not known to be, as a whole.
 * @param {{ verdict?: string | undefined, verdict_reason?: string | null | undefined }} evaluation
 */
function isSplit({ verdict, verdict_reason: reason }) {
  return (verdict === "calibrated" || verdict === "too_few_labels") && Boolean(reason);
}

/**
 * Tell whether the figures of an evaluation mean something: it has the labels that a verdict by itself needs.
 * @param {{ verdict?: string | undefined, labels_needed?: number | undefined } | null | undefined} evaluation
 */
export function hasEnoughLabels(evaluation) {
  return Boolean(evaluation) && evaluation?.verdict !== "too_few_labels" && !evaluation?.labels_needed;
}

/**
 * State the grounds of a verdict: alerts and tests before the figures of the window.
 * @param {AnyEvaluation} evaluation
 * @param {Pick<ModelAnswer, "thresholds" | "false_alarm_rate">} settings
 */
export function grounds(evaluation, settings) {
  const figures = hasEnoughLabels(evaluation)
    ? figuresBehind(evaluation, settings)
    : `In this window: ${tooFew(evaluation)}.`;
  return [evaluation.verdict_reason, figures].filter(Boolean).join(" ");
}

/**
 * State the figures behind a verdict.
 * @param {AnyEvaluation} evaluation
 * @param {Pick<ModelAnswer, "thresholds" | "false_alarm_rate">} settings
 */
function figuresBehind(evaluation, { thresholds, false_alarm_rate: rate = 0.01 }) {
  const { name, ece, bound, chance } = errorOf(evaluation);
  const threshold = thresholds?.ece;
  if (!known(ece)) return "";
  const least = known(bound) && (bound > 0 ? `at least ${score(bound)}` : "not above zero");
  const error = [`${name} is ${score(ece)}`, least && `${least} with ${confidence(rate)} confidence`];
  const limit = known(threshold) ? `; the threshold is ${score(threshold)}` : "";
  const unsure = evaluation.verdict === "calibrated" && known(threshold) && ece > threshold;
  const doubt = unsure ? " It is above the threshold, but that may be chance." : "";
  const noise = known(chance) ? ` A calibrated model would show about ${score(chance)} by chance.` : "";
  return `${error.filter(Boolean).join(", ")}${limit}.${doubt}${noise}`;
}

/**
 * Say what to do about a miscalibrated evaluation; nobody is told to wait while a calibrator waits for a decision.
 * @param {AnyEvaluation} evaluation
 * @param {Pick<ModelAnswer, "proposal">} settings
 */
export function remedyWords({ remedy, remedy_reason: reason, verdict_reason: ground }, { proposal }) {
  if (!remedy) return "";
  const action = remedy === "wait" && proposal ? `decide on ${calibratorName(proposal)}` : REMEDIES[remedy];
  return [`What to do: ${action}.`, reason === ground ? "" : reason].filter(Boolean).join(" ");
}

/**
 * Say why a figure is missing.
 * @param {{ labelled?: number | undefined, verdict?: string | undefined } | null | undefined} evaluation
 */
export function whyMissing(evaluation) {
  if (!evaluation || evaluation.labelled === 0) return "no labels in this window";
  if (!hasEnoughLabels(evaluation)) return "too few labels";
  return "not computed for this window";
}

/** @type {Record<string, string>} */
const TESTS = { sequential: " by the sequential test", ratio: " by observed over expected outcomes" };

/**
 * Name an alert and what it is about.
 * @param {AlertAnswer} alert
 */
export function alertWords({ kind, state, window, version, segment }) {
  const name = `${ALERTS[kind] ?? plain(kind)}${state === "resolved" ? " resolved" : ""}`;
  const over = window && (TESTS[window] ?? ` over ${window}`);
  return [`${name}${over}`, version && `version ${version}`, segment && segmentName(segment)]
    .filter(Boolean)
    .join(", ");
}

/**
 * Return what an alert found, without the names that stand before it.
 * @param {AlertAnswer} alert
 * @param {string} model
 */
export function alertSummary({ evidence: { summary = "" }, version, segment }, model) {
  const names = `${`${model} ${version}`.trim()}${segment ? ` (${segment})` : ""}: `;
  return summary.startsWith(names) ? summary.slice(names.length) : summary;
}

/** @param {AnyEvaluation["direction"]} direction */
function directionName(direction) {
  return direction && direction !== "none" ? capital(direction) : "Miscalibrated";
}

/**
 * @param {AnyEvaluation["direction"]} direction
 * @returns {direction is "overconfident" | "underconfident"}
 */
function isSharpness(direction) {
  return direction === "overconfident" || direction === "underconfident";
}

/**
 * Return how many decimals of a percentage tell two shares apart.
 * @param {number} says
 * @param {number} is
 */
function decimalsOf(says, is) {
  const gap = Math.abs(says - is);
  const shares = [gap < 0.001 * says ? 1 : gap, says, is, 1 - says, 1 - is];
  const least = Math.min(...shares.filter((share) => share > 0)); // all or none need no decimals
  return least >= 0.015 ? 0 : Math.min(3, Math.max(1, Math.ceil(-Math.log10(Math.max(least, 1e-5)) - 2)));
}

/** @param {number} rate */
function confidence(rate) {
  return `${Number((100 * (1 - rate)).toFixed(3))}${NB}%`;
}

/** @param {Omit<AnyEvaluation, "verdict">} evaluation */
function tooFew({ labelled, labels_needed: needed }) {
  if (!known(labelled)) return "Too few labels";
  const more = known(needed) && needed > 0 ? `, needs about ${count(Number(needed.toPrecision(2)))} more` : "";
  return `Too few labels: ${count(labelled)}${more}`;
}

/**
 * Return the mean confidence and the observed share.
 * @param {Omit<AnyEvaluation, "verdict">} evaluation
 * @param {Task | null} task
 * @returns {[Figure, Figure]}
 */
function saysAndIs({ reliability = [], mean_confidence: mean, accuracy }, task) {
  const bins = reliability.filter(isFull);
  const total = bins.reduce((sum, bin) => sum + bin.count, 0);
  /** @param {"mean_confidence" | "observed"} field */
  const weighted = (field) => bins.reduce((sum, bin) => sum + bin.count * bin[field], 0) / total;
  if (total) return [weighted("mean_confidence"), weighted("observed")];
  // The accuracy of a binary model is that of its decisions, not the share of class 1.
  return [mean, task === "binary" ? null : accuracy];
}

/**
 * Tell whether a bin has predictions with labels.
 * @param {Bin} bin
 * @returns {bin is Bin & { mean_confidence: number, observed: number }}
 */
export function isFull(bin) {
  return bin.count > 0 && known(bin.mean_confidence) && known(bin.observed);
}

/**
 * @param {Omit<AnyEvaluation, "verdict">} evaluation
 * @param {string} name
 * @param {boolean} off
 */
function regressionVerdict({ direction, quantile_ece: ece, bias, coverage = [] }, name, off) {
  const [level] = coverage.toSorted((a, b) => Math.abs(a.level - 0.9) - Math.abs(b.level - 0.9));
  const held = level && `${percent(level.observed, 0)} of labels lie in ${percent(level.level, 0)} intervals`;
  if (!off) return held ? `${name}: ${held}` : name;
  const shift = known(bias) && `predictions are too ${bias > 0 ? "high" : "low"}`;
  const words = isSharpness(direction)
    ? [direction === "overconfident" ? "too narrow" : "too wide", held]
    : [shift, known(ece) && `quantiles ${offBy(ece)}`];
  return [name, words.filter(Boolean).join(", ")].filter(Boolean).join(": ");
}

/**
 * Tell whether the means show the direction: those of a binary model that is too extreme at both ends do not.
 * @param {Direction | null | undefined} direction
 * @param {number} says
 * @param {number} is
 * @param {Task | null} task
 */
function shownByMeans(direction, says, is, task) {
  if (direction === "overestimates") return says > is;
  if (direction === "underestimates") return says < is;
  if (task === "binary" || !isSharpness(direction)) return false;
  return (direction === "overconfident" ? says - is : is - says) >= 0.01;
}

/**
 * @param {Omit<AnyEvaluation, "verdict">} evaluation
 * @param {Task | null} task
 */
function shapeWords({ direction, ece }, task) {
  const where = task === "binary" ? " at both ends" : "";
  const shape = isSharpness(direction) && `too ${direction === "overconfident" ? "extreme" : "timid"}${where}`;
  return [shape || "too high in places, too low in others", known(ece) && offBy(ece)].filter(Boolean).join(", ");
}

/** @param {number} ece */
function offBy(ece) {
  return `off by ${(100 * ece).toFixed(1)}${NB}points on average`;
}
