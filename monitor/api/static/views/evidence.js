/** Sequential tests: the e-value of each model version against the one that raises the alert. */

/** @import { Part } from "../parts.js" */
/** @import { Evidence, ModelAnswer, VersionEvidence } from "../types.js" */
/** @import { Tested } from "../charts/evalue.js" */
/** @import { Choices } from "./choices.js" */

import { eValueScale, evidenceOf, isReached } from "../charts/evalue.js";
import { el, joined } from "../dom.js";
import { count, eValue, known, shortPercent } from "../format.js";
import { moment, section, trouble } from "../parts.js";

const SHOWN = 3;
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
    el("ol", { class: "tests-list" }, rows.map(rowOf)),
  );
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
function canvasOf({ version }) {
  return `evidence-${version}`;
}

/**
 * @param {Evidence | undefined} evidence
 * @param {string} version
 */
function shownOf(evidence, version) {
  return (evidence?.evidence ?? [])
    .filter(isTested)
    .filter((row) => !version || row.version === version)
    .toSorted((a, b) => Date.parse(b.until) - Date.parse(a.until) || (a.version < b.version ? 1 : -1))
    .slice(0, SHOWN);
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
function explanation({ threshold, false_alarm_rate: rate }, settings, spent) {
  const measure = settings.task === "regression" ? "a quantile ECE" : "an ECE";
  const rule =
    settings.alert_policy === "window" ? "Alerts of this model go by windows instead." : "The alert fires at the mark.";
  return [
    `The e-value grows with each label that shows ${measure} above ${threshold}, and falls with others; the highest so far is shown.`,
    rule,
    `A model within ${threshold} ever gets to any of its marks with a probability of at most ${shortPercent(rate)}, however often it is`,
    `checked: each test of a version has a share of that, also when it starts again, and ${shortPercent(spent)} is spent.`,
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
        fires && el("span", { class: "badge firing" }, "alert"),
      ),
      el("p", { class: "tests-value" }, `e-value ${eValue(evidenceOf(row))}`),
      el(
        "p",
        { class: "evidence" },
        joined(
          [
            el("span", null, `${count(row.labels)} labels of predictions since `, moment(row.since)),
            row.late_labels > 0 && `${count(row.late_labels)} came too late to count`,
            `alert at ${eValue(-Math.log(row.level))} (level ${shortPercent(row.level)})`,
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
function resultOf(row) {
  if (isReached(row)) return row.direction === "none" ? "miscalibrated" : row.direction;
  return `${evidenceOf(row) > SOME ? "some" : "no"} evidence of miscalibration`;
}
