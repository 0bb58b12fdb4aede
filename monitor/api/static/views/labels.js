/** How labels come: how long they take, which predictions have theirs, and what those to come should show. */

import { chart, label, line, linear, round, spot, timeLabel, timeTicks } from "../charts/axes.js";
import { el, svg } from "../dom.js";
import { moment, section, trouble, valueOr } from "../parts.js";
import { compact, count, duration, known, percent, score, span, utc } from "../words.js";

const LEFT = 40;
const RIGHT = 8;
const TOP = 10;
const BOTTOM = 24;
const HEIGHT = 170;
const FEWEST = 12;

/** Draw the section of a model's labels; nothing before the first prediction. */
export function drawLabels(labels, estimate) {
  if (labels.error) return section("labels", "Labels", trouble(labels.error));
  const found = labels.value;
  if (!found?.cohorts?.length) return null;
  const provisional = found.cohorts.some(({ matured }) => !matured);
  return section(
    "labels",
    "Labels",
    el("p", { class: "hint" }, delayWords(found)),
    el(
      "div",
      { class: "halves" },
      el(
        "div",
        null,
        el("h3", null, "Share of predictions with a label"),
        el("div", { class: "canvas", "data-canvas": "cohorts" }),
        el(
          "ul",
          { class: "legend" },
          el("li", null, el("span", { class: "swatch bar", "aria-hidden": "true" }), "final"),
          provisional &&
            el(
              "li",
              null,
              el("span", { class: "swatch provisional", "aria-hidden": "true" }),
              "provisional: labels still arrive",
            ),
        ),
      ),
      expectation(estimate),
    ),
    found.warning && el("p", { class: "warning" }, earlyLate(found.early_late)),
  );
}

/** Draw the coverage of each cohort. */
export function cohortChart(cohorts, width) {
  const shown = cohorts.slice(-Math.max(FEWEST, Math.floor((width - LEFT) / 6)));
  const end = Date.parse(shown.at(-1).end);
  const length = end - Date.parse(shown.at(-1).start);
  const start = Math.min(Date.parse(shown[0].start), end - FEWEST * length);
  const x = linear([start, end], [LEFT, width - RIGHT]);
  const y = linear([0, 1], [HEIGHT - BOTTOM, TOP]);
  return chart(
    "cohorts",
    width,
    HEIGHT,
    "Share of predictions with a label, by cohort. Arrow keys move between the cohorts.",
    [0, 0.5, 1].map((tick) => [
      line("grid", LEFT, y(tick), width - RIGHT, y(tick)),
      label("tick", LEFT - 8, y(tick) + 4, "end", percent(tick, 0)),
    ]),
    shown.map((cohort, i) => cohortBar(cohort, x, y, i === 0)),
    timeTicks(start, end, Math.max(2, Math.floor(width / 76))).map((time) => [
      line("tick-mark", x(time), y(0), x(time), y(0) + 4),
      label("tick", Math.min(x(time), width - RIGHT - 14), HEIGHT - 6, "middle", timeLabel(time)),
    ]),
  );
}

function cohortBar(cohort, x, y, first) {
  const [from, to] = [x(Date.parse(cohort.start)), x(Date.parse(cohort.end))];
  const share = cohort.label_coverage ?? 0;
  const width = Math.max(1, round(to - from - (to - from > 4 ? 1.5 : 0.5)));
  const tip = [
    span(cohort.start, cohort.end),
    `${percent(share)} of ${count(cohort.predictions)} have a label`,
    cohort.matured ? "Final" : "Provisional: labels still arrive",
    ...(cohort.late ? [`${count(cohort.late)} came later than declared`] : []),
  ].join("\n");
  return spot(
    cohort.matured ? "cohort" : "cohort provisional",
    tip,
    first,
    svg("rect", { class: "reach", x: from, y: y(1), width: Math.max(1, round(to - from)), height: y(0) - y(1) }),
    svg("rect", { class: "fill", x: from, y: y(share), width, height: Math.max(1, round(y(0) - y(share))), rx: 1 }),
  );
}

function delayWords(found) {
  const { label_delay: delay, learned, delays, matured_until: until, share_never: never, labels_seen: seen } = found;
  const quantile = (share) => delays?.find((each) => each.share === share)?.estimated;
  const [half, most] = [quantile(0.5), quantile(0.9)];
  const parts = [];
  if (half && most && seen)
    parts.push(`Half of the labels come within ${duration(half)}, nine in ten within ${duration(most)}.`);
  if (known(never) && never > 0.005) parts.push(`About ${percent(never, 0)} of predictions never get one.`);
  if (delay) parts.push(`A cohort is final after ${duration(delay)}${learned ? ", as learned" : ", as declared"}`);
  const sure = until ? `, which is so for predictions before ${utc(until)}\u00a0UTC.` : ".";
  return `${parts.join(" ")}${delay ? sure : ""}`;
}

function earlyLate({ within, early, late }) {
  return (
    `Early labels are not like late ones. Outcome less confidence is ${signed(early)} on average among labels that ` +
    `come within ${duration(within)}, and ${signed(late)} among later ones: figures of young cohorts lean towards ` +
    "the early ones."
  );
}

function signed(value) {
  return `${value > 0 ? "+" : ""}${score(value)}`;
}

const FIGURES = [
  ["accuracy", "Accuracy", percent],
  ["ece", "ECE", score],
  ["brier", "Brier", score],
];

function expectation({ value, error }) {
  if (error) return el("div", null, el("h3", null, "What labels should show"), trouble(error));
  const past = (value?.past ?? []).filter(({ truth }) => truth?.inside).at(-1);
  const now = value?.estimate;
  if (!now && !past) return null;
  return el(
    "div",
    { class: "expected" },
    el("h3", null, "What labels should show"),
    el(
      "div",
      { class: "scroll", tabindex: 0 },
      el(
        "table",
        null,
        el("caption", { class: "unseen" }, "Estimates before labels came, and the truth after"),
        el(
          "thead",
          null,
          el(
            "tr",
            null,
            ["", now && "Expected now", past && "Last expected", past && "and came", past && "Right so far"]
              .filter((column) => column !== null && column !== undefined)
              .map((column) => el("th", { scope: "col" }, column)),
          ),
        ),
        el(
          "tbody",
          null,
          FIGURES.map(([name, title, form]) => expectedRow(name, title, form, now, past, value.record)),
        ),
      ),
    ),
    now &&
      el(
        "p",
        { class: "hint" },
        `Now: ${compact(now.predictions)} predictions up to `,
        moment(now.end),
        `, with 95\u00a0% intervals. ${now.assumption}`,
      ),
    past &&
      el("p", { class: "hint" }, `Right so far: how often the truth lay in the interval, of ${value.record.judged}.`),
  );
}

function expectedRow(name, title, form, now, past, record) {
  const range = (estimate) => `${bare(form(estimate[`${name}_low`]))}\u2013${form(estimate[`${name}_high`])}`;
  const missed = past && !past.truth.inside[name];
  return el(
    "tr",
    null,
    el("th", { scope: "row" }, title),
    now && el("td", null, form(now[name]), el("span", { class: "detail" }, ` ${range(now)}`)),
    past && el("td", null, form(past[name]), el("span", { class: "detail" }, ` ${range(past)}`)),
    past && el("td", { class: missed ? "failed" : null }, valueOr(past.truth[name], form, "too few labels")),
    past && el("td", null, valueOr(record[name], (share) => percent(share, 0), "not judged yet")),
  );
}

function bare(text) {
  return text.replace("\u00a0%", "");
}
