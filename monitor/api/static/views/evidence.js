/** Sequential tests: the e-value of each model version against the one that raises the alert. */

/** @import { Part } from "../parts.js" */
/** @import { Evidence, ModelAnswer, RatioEvidence, VersionEvidence } from "../types.js" */
/** @import { Tested } from "../charts/evalue.js" */
/** @import { Choices } from "./choices.js" */

import { eValueScale, evidenceOf, figureOf, isReached, limitOf } from "../charts/evalue.js";
import { el, joined } from "../dom.js";
import { count, eValue, known, shortPercent } from "../format.js";
import { moment, section, trouble } from "../parts.js";
import { segmentName } from "../words.js";

const SHOWN = 3;
const MOST_CLASSES = 10;
const SOME = Math.log(3);
const TITLE = "Evidence of miscalibration";

/**
 * Draw the section of a model's evidence; nothing where there is none.
 * @param {Part<Evidence>} evidence
 * @param {ModelAnswer} settings
 * @param {Choices} chosen
 */
export function drawEvidence({ value, error }, settings, chosen) {
  if (error) return section("tests", TITLE, trouble(error));
  const rows = shownOf(value, chosen.version);
  const [first] = rows;
  if (!first) return null;
  return section(
    "tests",
    TITLE,
    el("p", { class: "hint" }, explanation(first, settings, value?.spent ?? 0)),
    el("ol", { class: "tests-list" }, rows.map(rowOf), ratiosOf(value, chosen.version).map(ratioRow)),
  );
}

/**
 * Return the tests of observed over expected outcomes that have bet.
 * @param {Evidence | undefined} evidence
 * @param {string} version
 */
function ratiosOf(evidence, version) {
  return (evidence?.ratios ?? [])
    .filter((row) => row.labels > 0 && (!version || row.version === version))
    .slice(0, SHOWN);
}

/** @param {RatioEvidence} row */
function ratioRow(row) {
  const fires = known(row.fires_at) && row.log_e_peak >= row.fires_at && !row.held;
  return el(
    "li",
    { class: fires ? "firing" : null, "data-key": `ratio-${row.version}` },
    el(
      "div",
      null,
      el(
        "p",
        { class: "tests-name" },
        row.version ? el("bdi", null, `version ${row.version}`) : "all predictions",
        ", observed over expected",
        fires && el("span", { class: "badge firing" }, "alert"),
      ),
      el("p", { class: "tests-value" }, `e-value ${eValue(row.log_e_peak)}`),
      el(
        "p",
        { class: "evidence" },
        joined(
          [
            `${shortNumber(row.observed)} outcomes where ${shortNumber(row.expected)} were expected, limit ${row.threshold} times either way`,
            el("span", null, `${count(row.labels)} labels of predictions since `, moment(row.since)),
            known(row.fires_at) && `alert at ${eValue(row.fires_at)} (level ${shortPercent(row.level ?? 0)})`,
            row.held && "alert held",
          ],
          " · ",
        ),
      ),
      row.held_because && el("p", { class: "warning" }, row.held_because),
    ),
  );
}

/** @param {number} value */
function shortNumber(value) {
  return Number(value.toPrecision(3)).toLocaleString("en");
}

/**
 * Return the chart of each version, under the name of its canvas.
 * @param {Part<Evidence>} evidence
 * @param {Choices} chosen
 */
export function evidenceCharts({ value }, chosen) {
  return Object.fromEntries(
    shownOf(value, chosen.version).map((row) => [
      canvasOf(row),
      /** @param {number} width */ (width) => eValueScale(row, width),
    ]),
  );
}

/** @param {VersionEvidence} row */
function canvasOf({ version, segment }) {
  return segment ? `evidence-${version}-${segment}` : `evidence-${version}`;
}

/**
 * @param {Evidence | undefined} evidence
 * @param {string} version
 */
function shownOf(evidence, version) {
  /** @param {VersionEvidence[]} rows */
  const newest = (rows) =>
    rows
      .filter(isTested)
      .filter((row) => !version || row.version === version)
      .toSorted((a, b) => Date.parse(b.until) - Date.parse(a.until) || (a.version < b.version ? 1 : -1));
  return [
    ...newest(evidence?.evidence ?? []).slice(0, SHOWN),
    ...newest(evidence?.classes ?? []).slice(0, MOST_CLASSES),
  ];
}

/**
 * @param {VersionEvidence} row
 * @returns {row is Tested}
 */
function isTested(row) {
  return row.labels > 0 && known(row.log_e) && known(row.level);
}

/**
 * @param {Tested} row
 * @param {ModelAnswer} settings
 * @param {number} spent
 */
function explanation(row, settings, spent) {
  const rule =
    settings.alert_policy === "window" ? "Alerts of this model go by windows instead." : "The alert fires at the mark.";
  return [
    `The ${figureOf(row)} grows with each label that shows ${errorOf(row, settings)}, and falls with others;`,
    "the highest so far is shown.",
    rule,
    promiseOf(row, spent),
  ].join(" ");
}

/**
 * @param {Tested} row
 * @param {ModelAnswer} settings
 */
function errorOf({ threshold, alert_on: limited }, settings) {
  if (limited === "pointwise") return `some confidences off by more than ${threshold}`;
  return `${settings.task === "regression" ? "a quantile ECE" : "an ECE"} above ${threshold}`;
}

/**
 * @param {Tested} row
 * @param {number} spent
 */
function promiseOf({ threshold, guarantee, alert_on: limited, false_alarm_rate: rate }, spent) {
  const within =
    limited === "pointwise" ? `A model whose confidences are all within ${threshold}` : `A model within ${threshold}`;
  if (typeof guarantee !== "object") {
    return [
      `${within} ever reaches a mark with a probability of at most ${shortPercent(rate)}, however often it is checked.`,
      `Each test takes a share of that when it starts; ${shortPercent(spent)} is spent so far.`,
    ].join(" ");
  }
  const [probability, labels] = guarantee.per_labels;
  return [
    `${within} gets to its mark within the first ${count(labels)} labels of a test with a probability of at most`,
    `${shortPercent(probability)}, and after ${count(Math.round(labels / probability))} labels or more on average.`,
  ].join(" ");
}

/** @param {Tested} row */
function rowOf(row) {
  const fires = isReached(row) && !row.held;
  return el(
    "li",
    { class: fires ? "firing" : null, "data-key": canvasOf(row) },
    el(
      "div",
      null,
      el(
        "p",
        { class: "tests-name" },
        row.version ? el("bdi", null, `version ${row.version}`) : "all predictions",
        row.segment && el("bdi", null, `, ${segmentName(row.segment)}, limit ${row.threshold}`),
        fires && el("span", { class: "badge firing" }, "alert"),
      ),
      el("p", { class: "tests-value" }, `${figureOf(row)} ${eValue(evidenceOf(row))}`),
      el(
        "p",
        { class: "evidence" },
        joined(
          [
            el("span", null, `${count(row.labels)} labels of predictions since `, moment(row.since)),
            row.late_labels > 0 && `${count(row.late_labels)} came too late to count`,
            markOf(row),
            row.held ? "alert held" : resultOf(row),
          ],
          " · ",
        ),
      ),
      row.held_because && el("p", { class: "warning" }, row.held_because),
    ),
    el("div", { class: "canvas", "data-canvas": canvasOf(row) }),
  );
}

/** @param {Tested} row */
function markOf(row) {
  const level = typeof row.guarantee === "object" ? "" : ` (level ${shortPercent(row.level)})`;
  return `alert at ${eValue(limitOf(row))}${level}`;
}

/** @param {Tested} row */
function resultOf(row) {
  if (isReached(row)) return row.direction === "none" ? "miscalibrated" : row.direction;
  return `${evidenceOf(row) > SOME ? "some" : "no"} evidence of miscalibration`;
}
