/** Where a model is off: its segments, worst first, each with an interval of its error. */

import { label, line, linear, round } from "../charts/axes.js";
import { el, svg } from "../dom.js";
import { section, trouble, valueOr } from "../parts.js";
import { count, known, power, score, segmentName, sharePercent, span } from "../words.js";

const SHOWN = 8;
const WIDTH = 150;
const HEIGHT = 22;
const EDGE = 4;

/** Draw the section of a model's segments; nothing where none are declared. */
export function drawSegments({ value, error }, settings, chosen) {
  if (!settings.segments?.length) return null;
  if (error) return section("segments", "Segments", trouble(error));
  const rows = value?.segments ?? [];
  if (!rows.length) return null;
  const top = Math.max(value.threshold * 1.5, ...rows.slice(0, SHOWN).map(farEnd)) * 1.02;
  const body = (some) => table(some, value, top, settings, chosen);
  return section(
    "segments",
    "Segments",
    el("p", { class: "hint" }, saying(rows, value)),
    body(rows.slice(0, SHOWN)),
    el("p", { class: "hint" }, barWords(settings, value)),
    rows.length > SHOWN &&
      el("details", null, el("summary", null, `${rows.length - SHOWN} more`), body(rows.slice(SHOWN, SHOWN + 100))),
  );
}

function saying(rows, { false_discovery_rate: rate, start, end, threshold }) {
  const flagged = rows.filter((row) => row.flagged).length;
  const over = `${span(start, end)}.`;
  if (!flagged) return `None of ${rows.length} is flagged: differences like these are within what chance does. ${over}`;
  return [
    `${flagged} of ${rows.length} ${flagged === 1 ? "is" : "are"} flagged:`,
    `there is evidence of an ECE beyond ${score(threshold)}.`,
    `On average at most ${sharePercent(rate)} of flags are wrong, however many segments there are.`,
    over,
  ].join(" ");
}

function barWords({ task }, { threshold }) {
  const what =
    task === "regression"
      ? "Bars reach from the lower bound of the quantile ECE to its value"
      : "Bars are 95\u00a0% intervals of the root-mean-square error, the noise of labels taken out";
  return `${what}; the dashed line is at ${score(threshold)}.`;
}

function farEnd(row) {
  return Math.max(row.debiased_l2_high ?? 0, valueOf(row) ?? 0);
}

function valueOf(row) {
  return row.ece ?? row.quantile_ece;
}

function table(rows, { threshold }, top, settings, chosen) {
  const regression = settings.task === "regression";
  const measures = regression ? ["Quantile ECE", "Surely"] : ["ECE", "95\u00a0% interval"];
  const columns = ["Segment", ...measures, "Leans", "Labels", "e-value"];
  return el(
    "div",
    { class: "scroll", tabindex: 0 },
    el(
      "table",
      { class: "ranked" },
      el("caption", { class: "unseen" }, "Segments, worst first"),
      el(
        "thead",
        null,
        el(
          "tr",
          null,
          columns.map((column) => el("th", { scope: "col" }, column)),
        ),
      ),
      el(
        "tbody",
        null,
        rows.map((row) => line_(row, top, threshold, chosen)),
      ),
    ),
  );
}

function line_(row, top, threshold, chosen) {
  const [low, high] = intervalOf(row);
  return el(
    "tr",
    { class: row.flagged ? "flagged" : null, "data-key": `segment-${row.segment}` },
    el(
      "td",
      null,
      el(
        "button",
        {
          type: "button",
          class: "link-like",
          "data-act": "choose",
          "data-name": "segment",
          "data-value": row.segment === chosen.segment ? "" : row.segment,
          "aria-pressed": String(row.segment === chosen.segment),
        },
        el("bdi", null, segmentName(row.segment)),
      ),
      row.flagged && el("span", { class: "badge firing" }, "flagged"),
    ),
    el("td", null, valueOr(valueOf(row), score, "no labels")),
    el(
      "td",
      { class: "interval" },
      known(low) ? intervalBar(row, low, high, top, threshold) : valueOr(null, score, "too few labels"),
    ),
    el("td", null, leans(row)),
    el("td", null, count(row.labelled)),
    el("td", null, valueOr(row.e_value_log, (value) => power(Math.exp(value), value), "no labels")),
  );
}

function intervalOf(row) {
  if (known(row.quantile_ece)) return [row.quantile_ece_lower_bound, row.quantile_ece];
  return [row.debiased_l2_low, row.debiased_l2_high];
}

function leans({ direction }) {
  return { overconfident: "overconfident", underconfident: "underconfident" }[direction] ?? "\u2014";
}

function intervalBar(row, low, high, top, threshold) {
  const x = linear([0, top], [EDGE, WIDTH - EDGE]);
  const held = (value) => x(Math.min(value, top));
  return svg(
    "svg",
    {
      class: row.flagged ? "interval-bar off" : "interval-bar",
      viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
      width: WIDTH,
      height: HEIGHT,
      role: "img",
      "aria-label": `${score(low)} to ${score(high)}`,
    },
    svg("title", null, `${score(low)} to ${score(high)}`),
    svg("rect", { class: "track", x: EDGE, y: HEIGHT / 2 - 2, width: WIDTH - 2 * EDGE, height: 4, rx: 2 }),
    svg("rect", {
      class: "surely",
      x: held(low),
      y: HEIGHT / 2 - 3,
      width: round(Math.max(2, held(high) - held(low))),
      height: 6,
      rx: 2,
    }),
    line("limit", x(threshold), 3, x(threshold), HEIGHT - 3),
    known(row.debiased_l2) && svg("circle", { class: "at", cx: held(row.debiased_l2), cy: HEIGHT / 2, r: 4 }),
  );
}
