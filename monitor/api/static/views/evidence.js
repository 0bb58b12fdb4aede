/** What the sequential tests say: each version's e-value against the one that raises an alarm. */

import { chart, label, line, linear, round } from "../charts/axes.js";
import { el, joined, svg } from "../dom.js";
import { moment, section, trouble } from "../parts.js";
import { count, known, power, sharePercent } from "../words.js";

const SHOWN = 3;
const HEIGHT = 56;
const BAR = 22;
const EDGE = 18;

/** Draw the section of a model's evidence, or nothing where there is none. */
export function drawEvidence({ value, error }, settings, chosen) {
  if (error) return section("tests", "Evidence", trouble(error));
  const rows = shownOf(value?.evidence ?? [], chosen.version);
  if (!rows.length) return null;
  return section(
    "tests",
    "Evidence",
    el("p", { class: "hint" }, claim(rows[0], settings)),
    el("ol", { class: "tests-list" }, rows.map(versionRow)),
  );
}

/** Draw the scale of each version; the names are those of its canvases. */
export function evidenceCharts({ value }, chosen) {
  const rows = shownOf(value?.evidence ?? [], chosen.version);
  return Object.fromEntries(rows.map((row) => [`evidence-${row.version}`, (width) => scale(row, width)]));
}

function shownOf(rows, version) {
  return rows
    .filter((row) => row.labels > 0 && known(row.log_e) && (!version || row.version === version))
    .sort((a, b) => Date.parse(b.until) - Date.parse(a.until) || (a.version < b.version ? 1 : -1))
    .slice(0, SHOWN);
}

function claim({ threshold, false_alarm_rate: rate }, { task, alert_policy: policy }) {
  const measure = task === "regression" ? "quantile ECE" : "ECE";
  const then =
    policy === "window" ? "This model\u2019s alarms go by windows, not by this test." : "That raises the alarm.";
  return [
    `Bets against the claim that the model\u2019s ${measure} stays at or under ${threshold}.`,
    "Each label moves the e-value once, and it holds however often one looks:",
    `if the claim is true, it ever reaches ${power(1 / rate)} with a probability of at most ${sharePercent(rate)}.`,
    then,
  ].join(" ");
}

function versionRow(row) {
  const fires = reached(row);
  const value = power(Math.exp(row.log_e), row.log_e);
  return el(
    "li",
    { class: fires ? "firing" : null, "data-key": `evidence-${row.version}` },
    el(
      "div",
      null,
      el(
        "p",
        { class: "tests-name" },
        row.version ? el("bdi", null, `version ${row.version}`) : "all predictions",
        fires && el("span", { class: "badge firing" }, "alarm"),
      ),
      el("p", { class: "tests-value" }, `e-value ${value}`),
      el(
        "p",
        { class: "evidence" },
        joined(
          [`${count(row.labels)} labels`, el("span", null, "of predictions since ", moment(row.since)), saysOf(row)],
          " \u00b7 ",
        ),
      ),
    ),
    el("div", { class: "canvas", "data-canvas": `evidence-${row.version}` }),
  );
}

function saysOf(row) {
  const leaning = { overconfident: "too sure", underconfident: "not sure enough" }[row.direction];
  if (reached(row)) return leaning ?? "beyond it";
  if (row.log_e > Math.log(3)) return "some evidence against the claim";
  return "no evidence against the claim";
}

function reached({ log_e: value, false_alarm_rate: rate }) {
  return value >= -Math.log(rate) - 1e-9;
}

function scale(row, width) {
  const alarm = -Math.log10(row.false_alarm_rate);
  const at = row.log_e / Math.LN10;
  // Evidence far beyond the alarm, and far from any, is drawn at the edge with its number.
  const [low, high] = [-2, Math.max(alarm + 1, Math.min(Math.ceil(at), 3 * alarm))];
  const x = linear([low, high], [EDGE, width - EDGE]);
  const place = x(Math.min(Math.max(at, low), high));
  const step = Math.max(1, Math.ceil((high - low) / Math.max(3, width / 62)));
  const powers = Array.from({ length: Math.floor(high - low) + 1 }, (_, i) => low + i);
  const ticks = powers.filter((each) => each % step === 0);
  return chart(
    "scale",
    width,
    HEIGHT,
    `e-value ${power(Math.exp(row.log_e), row.log_e)} on a logarithmic scale; the alarm is at ${power(10 ** alarm)}`,
    svg("rect", { class: "track", x: EDGE, y: BAR - 4, width: width - 2 * EDGE, height: 8, rx: 4 }),
    svg("rect", {
      class: reached(row) ? "reached" : "surely",
      x: Math.min(x(0), place),
      y: BAR - 4,
      width: round(Math.max(1, Math.abs(place - x(0)))),
      height: 8,
    }),
    ticks.map((tick) => [
      line("tick-mark", x(tick), BAR + 6, x(tick), BAR + 10),
      label("tick", x(tick), HEIGHT - 10, "middle", power(10 ** tick)),
    ]),
    line("limit", x(alarm), BAR - 12, x(alarm), BAR + 10),
    label("threshold-name", x(alarm) - 5, BAR - 10, "end", "alarm"),
    svg("circle", { class: reached(row) ? "at off" : "at", cx: place, cy: BAR, r: 6.5 }),
  );
}
