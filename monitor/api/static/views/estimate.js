/** What the labels of a window are expected to show, and how well earlier estimates did. */

/** @import { Part } from "../parts.js" */
/** @import { EstimateAnswer, Estimated } from "../types.js" */

import { el } from "../dom.js";
import { compact, NB, percent, score } from "../format.js";
import { moment, trouble, valueOr } from "../parts.js";
import { table } from "../table.js";

/** @typedef {"accuracy" | "ece" | "brier"} Name */

/** @type {[name: Name, title: string, form: (value: number) => string][]} */
const FIGURES = [
  ["accuracy", "Accuracy", percent],
  ["ece", "ECE", score],
  ["brier", "Brier", score],
];
const TITLE = "Expected before labels arrive";

/**
 * Draw what is expected now and the newest estimate whose labels came.
 * @param {Part<EstimateAnswer>} estimate
 */
export function drawEstimate({ value, error }) {
  if (error) return el("div", null, el("h3", null, TITLE), trouble(error));
  const past = value?.past.findLast(({ truth }) => truth?.inside);
  if (!value || (!value.estimate && !past)) return null;
  const { estimate: now, record } = value;
  return el(
    "div",
    { class: "expected" },
    el("h3", null, TITLE),
    table(
      "Estimates before labels arrived, and what the labels showed",
      ["", ...(now ? ["Now"] : []), ...(past ? ["Last time", "Labels showed", "Hit rate"] : [])],
      FIGURES.map(([name, title, form]) => [
        el("th", { scope: "row" }, title),
        ...(now ? [estimated(now, name, form)] : []),
        ...(past ? [estimated(past, name, form), outcome(past, name, form), hitRate(record[name])] : []),
      ]),
    ),
    now &&
      el(
        "p",
        { class: "hint" },
        `Now: ${compact(now.predictions)} predictions up to `,
        moment(now.end),
        `, with 95${NB}% intervals. ${now.assumption}`,
      ),
    past && el("p", { class: "hint" }, `Hit rate: share of ${record.judged} estimates whose interval held the figure.`),
  );
}

/**
 * @param {Estimated} estimate
 * @param {Name} name
 * @param {(value: number) => string} form
 */
function estimated(estimate, name, form) {
  const low = form(estimate[`${name}_low`]).replace(`${NB}%`, "");
  const range = `${low}–${form(estimate[`${name}_high`])}`;
  return el("td", null, form(estimate[name]), el("span", { class: "detail" }, ` ${range}`));
}

/**
 * @param {EstimateAnswer["past"][number]} past
 * @param {Name} name
 * @param {(value: number) => string} form
 */
function outcome({ truth }, name, form) {
  const missed = truth?.inside && !truth.inside[name];
  return el("td", { class: missed ? "failed" : null }, valueOr(truth?.[name], form, "too few labels"));
}

/** @param {number | null} share */
function hitRate(share) {
  return el(
    "td",
    null,
    valueOr(share, (value) => percent(value, 0), "no estimate has its labels yet"),
  );
}
