/** The figures of a window, each explained by the API's own description. */

/** @import { AnyEvaluation, OpenApi, Schema } from "../types.js" */

import { get } from "../api.js";
import { el } from "../dom.js";
import { capital, compact, known, percent, plain, quantity, score } from "../format.js";
import { valueOr } from "../parts.js";
import { errorOf, whyMissing } from "../words.js";

/** @typedef {[name: string, field: keyof AnyEvaluation, form: (value: number) => string, note?: string | false]} Entry */
/** @typedef {Partial<Record<string, string>>} Descriptions  By field. */

/** @type {Descriptions} */
const descriptions = {};
let asked = false;

/** Ask once for the descriptions; the page is drawn without them until they come. */
export async function loadDescriptions() {
  if (asked) return;
  asked = true;
  try {
    Object.assign(descriptions, descriptionsIn(await get("openapi.json")));
  } catch {
    asked = false; // asked again with the next refresh
  }
}

/**
 * Return the descriptions of the fields of an evaluation, of any task.
 * @param {OpenApi} api
 * @returns {Descriptions}
 */
function descriptionsIn({ paths, components }) {
  const answer = paths["/v1/models/{model}/calibration"]?.get?.responses[200].content["application/json"].schema ?? {};
  const schemas = (answer.anyOf ?? [answer]).map(({ $ref: reference }) => components.schemas[nameIn(reference)]);
  const properties = schemas.flatMap((schema) => Object.entries(schema?.properties ?? {}));
  return Object.fromEntries(properties.flatMap(([field, property]) => described(field, property)));
}

/** @param {string | undefined} reference */
function nameIn(reference) {
  return reference?.split("/").at(-1) ?? "";
}

/**
 * @param {string} field
 * @param {Schema} property
 */
function described(field, { description }) {
  const words = description?.replaceAll("`", "").replace(/\.$/u, "");
  return words ? [[field, `${capital(words)}.`]] : [];
}

/**
 * Draw the figures of an evaluation: the key figures, and on demand all others that the API describes.
 * @param {AnyEvaluation} evaluation
 */
export function drawFigures(evaluation) {
  const entries = entriesOf(evaluation);
  const shown = new Set(entries.map(([, field]) => field));
  return el(
    "div",
    { class: "window-figures", "data-key": "figures" },
    keyFigures(evaluation, entries),
    others(evaluation, shown),
  );
}

/**
 * @param {AnyEvaluation} evaluation
 * @param {Entry[]} entries
 */
function keyFigures(evaluation, entries) {
  const why = whyMissing(evaluation);
  return el(
    "dl",
    { class: "figures" },
    entries.map(([name, field, form, note]) =>
      el(
        "div",
        null,
        term(name, descriptions[field]),
        el("dd", null, valueOr(evaluation[field], form, why)),
        note && el("dd", { class: "note" }, note),
      ),
    ),
  );
}

/**
 * @param {AnyEvaluation} evaluation
 * @param {Set<string>} shown
 */
function others(evaluation, shown) {
  const rows = Object.entries(evaluation).flatMap(([field, value]) => {
    const description = descriptions[field];
    return description && known(value) && !shown.has(field)
      ? [
          el(
            "div",
            null,
            el("dt", null, plain(field)),
            el("dd", null, quantity(value)),
            el("dd", { class: "note" }, description),
          ),
        ]
      : [];
  });
  if (!rows.length) return null;
  return el("details", null, el("summary", null, "More figures"), el("dl", { class: "facts" }, rows));
}

/**
 * @param {string} name
 * @param {string | undefined} description
 */
function term(name, description) {
  if (!description) return el("dt", null, name);
  return el("dt", { tabindex: 0, "data-tip": `${name}\n${description}`, "aria-description": description }, name);
}

/**
 * @param {AnyEvaluation} evaluation
 * @returns {Entry[]}
 */
function entriesOf(evaluation) {
  const { predictions } = evaluation;
  return [
    ...(evaluation.quantile_ece === undefined ? scoreEntries(evaluation) : distributionEntries(evaluation)),
    ["Labels", "labelled", compact, known(predictions) && `of ${compact(predictions)}`],
    ["Coverage", "label_coverage", percent, "have a label"],
  ];
}

/**
 * @param {AnyEvaluation} evaluation
 * @returns {Entry[]}
 */
function scoreEntries(evaluation) {
  return [
    ["ECE", "ece", score, byChance(evaluation)],
    ["At least", "ece_lower_bound", notNegative, "lower bound"],
    ["Brier", "brier", score],
    ["Log loss", "log_loss", score],
    ["Accuracy", "accuracy", percent],
    ["Confidence", "mean_confidence", percent, "mean"],
  ];
}

/**
 * @param {AnyEvaluation} evaluation
 * @returns {Entry[]}
 */
function distributionEntries(evaluation) {
  const { bias } = evaluation;
  return [
    ["Quantile ECE", "quantile_ece", score, byChance(evaluation)],
    ["At least", "quantile_ece_lower_bound", notNegative, "lower bound"],
    ["CRPS", "crps", quantity, "in the label’s unit"],
    ["Bias", "bias", quantity, known(bias) && (bias > 0 ? "too high" : "too low")],
    ["Mean error", "mean_absolute_error", quantity, "absolute"],
    ["Mean z²", "mean_squared_z", quantity, "1 if calibrated"],
  ];
}

/** @param {AnyEvaluation} evaluation */
function byChance(evaluation) {
  const { chance } = errorOf(evaluation);
  return known(chance) && `by chance ${score(chance)}`;
}

/** @param {number} value */
function notNegative(value) {
  return score(Math.max(0, value));
}
