/** Alerts of a model, newest first. */

/** @import { Part } from "../parts.js" */
/** @import { AlertAnswer, Alerts } from "../types.js" */

import { el } from "../dom.js";
import { firstOf, moment, section, trouble } from "../parts.js";
import { alertSummary, alertWords } from "../words.js";

const SHOWN = 8;
/** @type {(keyof AlertAnswer)[]} */
const SERIES = ["kind", "window", "version", "segment"];

/**
 * Draw the section of a model's alerts.
 * @param {Part<Alerts>} alerts
 * @param {string} model
 */
export function drawAlerts({ value, error }, model) {
  if (error) return section("alerts", "Alerts", trouble(error));
  const alerts = (value?.alerts ?? []).toSorted((a, b) => Date.parse(b.at) - Date.parse(a.at));
  if (!alerts.length) return section("alerts", "Alerts", el("p", { class: "quiet-words" }, "None so far."));
  return section(
    "alerts",
    "Alerts",
    firstOf(alerts, SHOWN, "older", (some) =>
      el(
        "ol",
        { class: "alert-list" },
        some.map((alert) => rowOf(alert, isCurrent(alert, alerts), model)),
      ),
    ),
  );
}

/**
 * Tell whether an alert is the newest of its series.
 * @param {AlertAnswer} alert
 * @param {AlertAnswer[]} alerts  newest first
 */
function isCurrent(alert, alerts) {
  return alert === alerts.find((other) => SERIES.every((field) => other[field] === alert[field]));
}

/**
 * @param {AlertAnswer} alert
 * @param {boolean} current
 * @param {string} model
 */
function rowOf(alert, current, model) {
  const { at, state } = alert;
  return el(
    "li",
    { class: current ? state : "past" },
    moment(at),
    el("div", null, el("strong", null, alertWords(alert)), el("span", null, alertSummary(alert, model))),
    el("span", { class: "badge" }, current || state === "resolved" ? state : "fired"),
  );
}
