/** What a model's alarms did, newest first. */

import { el } from "../dom.js";
import { moment, section, trouble } from "../parts.js";
import { alertWords, evidenceWords } from "../words.js";

const SHOWN = 8;

/** Draw the section of a model's alerts. */
export function drawAlerts({ value, error }) {
  if (error) return section("alerts", "Alerts", trouble(error));
  const alerts = [...(value.alerts ?? [])].sort((a, b) => Date.parse(b.at) - Date.parse(a.at));
  if (!alerts.length) return section("alerts", "Alerts", el("p", { class: "quiet-words" }, "None so far."));
  const list = (some) =>
    el(
      "ol",
      { class: "alert-list" },
      some.map((alert) => alertRow(alert, alerts)),
    );
  const older = alerts.slice(SHOWN);
  return section(
    "alerts",
    "Alerts",
    list(alerts.slice(0, SHOWN)),
    older.length ? el("details", null, el("summary", null, `${older.length} older`), list(older)) : null,
  );
}

function alertRow(alert, all) {
  const last = all.find((other) =>
    ["kind", "window", "version", "segment"].every((field) => other[field] === alert[field]),
  );
  return el(
    "li",
    { class: alert === last ? alert.state : "past" },
    moment(alert.at),
    el("div", null, el("strong", null, alertWords(alert)), el("span", null, evidenceWords(alert.evidence))),
    el("span", { class: "badge" }, alert === last || alert.state !== "firing" ? (alert.state ?? "") : "fired"),
  );
}
