/** What of a model is shown: the choices in the address, and the controls that set them. */

/** @import { ModelAnswer, Segments } from "../types.js" */

import { el } from "../dom.js";
import { milliseconds } from "../format.js";
import { segmentName } from "../words.js";

/** Lengths of time that the history can show. */
export const SPANS = ["24h", "7d", "30d", "90d"];
const BINS = ["10", "12", "15", "20", "30"];
const USUAL_BINS = "15";

/**
 * @typedef {object} Choices
 * @property {string} window
 * @property {string} bins  empty for the usual binning
 * @property {"served" | "raw"} scores
 * @property {string} version  empty for all
 * @property {string} segment  empty for the model as a whole
 * @property {string} span
 */

/** @typedef {[value: string, words: string][]} Options */

/**
 * Complete the choices of the address.
 * @param {ModelAnswer} settings
 * @param {Partial<Record<string, string>>} wanted
 * @returns {Choices}
 */
export function choicesFrom({ windows }, wanted) {
  const window = windows.find((name) => name === wanted.window) ?? usualWindow(windows);
  return {
    window,
    bins: BINS.find((bins) => bins === wanted.bins) ?? "",
    scores: wanted.scores === "raw" ? "raw" : "served",
    version: wanted.version ?? "",
    segment: wanted.segment ?? "",
    span: SPANS.find((span) => span === wanted.span) ?? spanFor(window),
  };
}

/** @param {string[]} windows */
function usualWindow(windows) {
  return windows.find((window) => window === "24h") ?? windows[0] ?? "24h";
}

/**
 * Return the span of time that suits a window.
 * @param {string} window
 */
function spanFor(window) {
  const length = milliseconds(window);
  return length <= milliseconds("1h") ? "24h" : length <= milliseconds("24h") ? "7d" : "30d";
}

/**
 * Draw the controls.
 * @param {ModelAnswer} settings
 * @param {Choices} chosen
 * @param {Segments | undefined} segments
 */
export function drawChoices(settings, chosen, segments) {
  const { task, versions, windows } = settings;
  const scored = task !== "regression";
  return el(
    "form",
    { id: "choices", class: "choices", "aria-label": "What is shown", "data-key": "choices" },
    radios("window", "Window", same(windows), chosen.window),
    scored &&
      radios(
        "scores",
        "Scores",
        [
          ["served", "Served"],
          ["raw", "Raw"],
        ],
        chosen.scores,
      ),
    scored && select("bins", "Bins", ...binOptions(settings, chosen)),
    settings.segments.length > 0 && select("segment", "Segment", segmentOptions(segments, chosen), chosen.segment),
    versions.length > 1 && select("version", "Model version", [["", "All"], ...same(versions)], chosen.version),
  );
}

/**
 * Return the options of the binning, and the chosen one. Verbal confidences are binned by value unless a number is chosen.
 * @param {ModelAnswer} settings
 * @param {Choices} chosen
 * @returns {[options: Options, chosen: string]}
 */
function binOptions({ task }, { bins: chosen }) {
  if (task === "confidence") return [[["", "By value, or 15"], ...same(BINS)], chosen];
  return [BINS.map((bins) => [bins === USUAL_BINS ? "" : bins, bins]), chosen === USUAL_BINS ? "" : chosen];
}

/**
 * @param {Segments | undefined} segments
 * @param {Choices} chosen
 * @returns {Options}
 */
function segmentOptions(segments, { segment: chosen }) {
  const names = (segments?.segments ?? []).map(({ segment }) => segment).toSorted();
  const all = !chosen || names.includes(chosen) ? names : [chosen, ...names];
  return [["", "All"], ...all.map((name) => /** @type {Options[number]} */ ([name, segmentName(name)]))];
}

/**
 * @param {string[]} values
 * @returns {Options}
 */
function same(values) {
  return values.map((value) => [value, value]);
}

/**
 * @param {string} name
 * @param {string} title
 * @param {Options} options
 * @param {string} chosen
 */
function radios(name, title, options, chosen) {
  const inputs = options.map(([value, words]) =>
    el("label", null, el("input", { type: "radio", name, value, checked: value === chosen }), el("span", null, words)),
  );
  return el("fieldset", { class: "segmented" }, el("legend", null, title), el("div", null, inputs));
}

/**
 * @param {string} name
 * @param {string} title
 * @param {Options} options
 * @param {string} chosen
 */
function select(name, title, options, chosen) {
  const items = options.map(([value, words]) => el("option", { value, selected: value === chosen }, words));
  return el("label", { class: "select" }, el("span", null, title), el("select", { name }, items));
}
