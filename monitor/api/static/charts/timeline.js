/** Calibration error over time: its lower bound, its chance level, and what happened meanwhile. */

/** @import { Figure } from "../types.js" */
/** @import { Scale } from "./axes.js" */

import { svg } from "../dom.js";
import { known, score, utc } from "../format.js";
import { stateName } from "../words.js";
import { chart, label, line, linear, pathThrough, round, spot, steps, timeLabel, timeTicks } from "./axes.js";

const LEFT = 46;
const RIGHT = 12;
const TOP = 30;
const BOTTOM = 26;
const GAP_STEPS = 5;
const WIDE_ENOUGH = 96;

const SHAPES = {
  firing: "M0 -6 6 5H-6Z",
  resolved: "M0 -6 6 5H-6Z",
  promotion: "M0 -6 6 0 0 6-6 0Z",
};

/**
 * @typedef {object} Point  An evaluation.
 * @property {number} time
 * @property {Figure} ece
 * @property {Figure} bound
 * @property {Figure} chance
 * @property {string | undefined} verdict
 * @property {boolean} enough  whether it has labels enough for its figures to mean something
 * @property {number | undefined} labelled
 */
/** @typedef {Point & { ece: number }} JudgedPoint */
/** @typedef {{ time: number, mark: keyof typeof SHAPES, words: string }} TimelineEvent */
/** @typedef {{ points: Point[], start: number, end: number }} Series */
/** @typedef {{ x: Scale, y: Scale, start: number, end: number, width: number, height: number, name: string }} Frame */

/**
 * Draw evaluations and events.
 * @param {Series & { name: string, events: TimelineEvent[], threshold: number | undefined }} shown
 * @param {number} width
 * @param {number} height
 */
export function timeline({ name, points, events, threshold, start, end }, width, height) {
  const sparse = thinned(points, Math.max(60, Math.floor(width / 3)));
  const highest = Math.max(0, ...sparse.filter(isJudged).map(({ ece }) => ece * 1.06));
  const ticks = steps(Math.max(0.02, (threshold ?? 0) * 1.25, highest));
  const x = linear([start, end], [LEFT, width - RIGHT]);
  const y = linear([0, ticks.at(-1) ?? 1], [height - BOTTOM, TOP]);
  const frame = { x, y, start, end, width, height, name };
  const within = events.filter(({ time }) => time >= start && time <= end);
  return chart(
    "timeline",
    width,
    height,
    `${name} over time. Arrow keys move along it.`,
    grid(frame, ticks),
    voids(sparse, frame),
    runsOf(sparse).map((run) => curves(run, frame)),
    within.map(({ time, mark }) => line(`stem ${mark}`, x(time), 23, x(time), y(0))),
    known(threshold) && limit(threshold, frame, clearSide(sparse, threshold)),
    sparse.map((point, i) => reading(point, between(sparse, i, frame), i === sparse.length - 1, frame)),
    within.map((event) => symbol(event, x(event.time))),
  );
}

/**
 * Return the worst point of each group: a peak must not vanish on a small screen.
 * @param {Point[]} points
 * @param {number} most
 */
function thinned(points, most) {
  const size = Math.ceil(points.length / most);
  if (size <= 1) return points;
  const groups = Array.from({ length: Math.ceil(points.length / size) }, (_, i) =>
    points.slice(i * size, (i + 1) * size),
  );
  return groups.map((group) => group.reduce((worst, point) => ((point.ece ?? -1) > (worst.ece ?? -1) ? point : worst)));
}

/**
 * Return the stretches of judged points that lie close together.
 * @param {Point[]} points
 */
function runsOf(points) {
  const gap = GAP_STEPS * medianStep(points);
  /** @type {JudgedPoint[][]} */
  const runs = [[]];
  for (const [i, point] of points.entries()) {
    const before = points[i - 1];
    if (before && point.time - before.time > gap) runs.push([]);
    if (isJudged(point)) runs.at(-1)?.push(point);
    else runs.push([]);
  }
  return runs.filter((run) => run.length);
}

/** @param {Point[]} points */
function medianStep(points) {
  const sizes = points.slice(1).map(({ time }, i) => time - (points[i]?.time ?? time));
  return sizes.toSorted((a, b) => a - b)[Math.floor(sizes.length / 2)] ?? Infinity;
}

/**
 * @param {Point} point
 * @returns {point is JudgedPoint}
 */
function isJudged(point) {
  return known(point.ece) && point.enough;
}

/**
 * @param {Frame} frame
 * @param {number[]} ticks
 */
function grid({ x, y, start, end, width, height }, ticks) {
  const times = timeTicks(start, end, Math.max(2, Math.floor(width / 76)));
  return [
    ticks.map((tick) => [
      line("grid", LEFT, y(tick), width - RIGHT, y(tick)),
      label("tick", LEFT - 8, y(tick) + 4, "end", String(tick)),
    ]),
    times.map((time) => [
      line("tick-mark", x(time), height - BOTTOM, x(time), height - BOTTOM + 4),
      label("tick", Math.min(Math.max(x(time), LEFT + 8), width - RIGHT - 12), height - 6, "middle", timeLabel(time)),
    ]),
  ];
}

/**
 * Return where the share of the axis of a point begins and ends.
 * @param {Point[]} points
 * @param {number} i
 * @param {Frame} frame
 * @returns {[from: number, to: number]}
 */
function between(points, i, { x, start, end }) {
  const [before, at, after] = [points[i - 1], points[i], points[i + 1]];
  const time = at?.time ?? start;
  return [x(before ? (before.time + time) / 2 : start), x(after ? (after.time + time) / 2 : end)];
}

/**
 * @param {Point[]} points
 * @param {Frame} frame
 */
function voids(points, frame) {
  /** @type {[from: number, to: number][]} */
  const spans = [];
  for (const [i, point] of points.entries()) {
    if (isJudged(point)) continue;
    const [from, to] = between(points, i, frame);
    const last = spans.at(-1);
    if (last && Math.abs(last[1] - from) < 0.6) last[1] = to;
    else spans.push([from, to]);
  }
  const floor = frame.y(0);
  return spans.map(([from, to]) => [
    svg("rect", { class: "void", x: from, y: TOP, width: Math.max(0.5, round(to - from)), height: floor - TOP }),
    to - from > WIDE_ENOUGH && label("region", round((from + to) / 2), floor - 10, "middle", "too few labels"),
  ]);
}

/**
 * @param {JudgedPoint[]} run
 * @param {Frame} frame
 */
function curves(run, { x, y }) {
  const [only] = run;
  if (only && run.length === 1) return svg("circle", { class: "lone", cx: x(only.time), cy: y(only.ece), r: 2.5 });
  /** @param {"ece" | "bound" | "chance"} field */
  const through = (field) => pathThrough(run.flatMap((point) => place(x(point.time), y, point[field])));
  const bound = through("bound");
  const chance = through("chance");
  const back = run.filter((point) => known(point.bound)).map((point) => `L${x(point.time)} ${y(point.ece)}`);
  return [
    bound.includes("L") && svg("path", { class: "between", d: `${bound}${back.toReversed().join("")}Z` }),
    bound.includes("L") && svg("path", { class: "bound", d: bound }),
    chance.includes("L") && svg("path", { class: "floor", d: chance }),
    svg("path", { class: "score", d: through("ece") }),
  ];
}

/**
 * @param {number} at
 * @param {Scale} y
 * @param {Figure} value
 * @returns {[x: number, y: number][]}
 */
function place(at, y, value) {
  return known(value) ? [[at, y(Math.max(0, value))]] : [];
}

/**
 * @param {number} threshold
 * @param {Frame} frame
 * @param {"start" | "end"} side
 */
function limit(threshold, { y, width }, side) {
  const at = y(threshold);
  const from = side === "end" ? width - RIGHT - 2 : LEFT + 4;
  return [
    line("threshold", LEFT, at, width - RIGHT, at),
    label("threshold-name", from, at - 6, side, `threshold ${threshold}`),
  ];
}

/**
 * Return the side on which the curve stays away from the threshold's name.
 * @param {Point[]} points
 * @param {number} threshold
 */
function clearSide(points, threshold) {
  const third = Math.ceil(points.length / 3);
  /** @param {Point[]} some */
  const nearest = (some) =>
    Math.min(Infinity, ...some.flatMap(({ ece }) => (known(ece) ? [Math.abs(ece - threshold)] : [])));
  return nearest(points.slice(-third)) >= nearest(points.slice(0, third)) ? "end" : "start";
}

/**
 * @param {Point} point
 * @param {[from: number, to: number]} span
 * @param {boolean} last
 * @param {Frame} frame
 */
function reading(point, [from, to], last, { x, y, name }) {
  const at = x(point.time);
  return spot(
    "reading",
    tipOf(point, name),
    last,
    svg("rect", { class: "reach", x: from, y: TOP, width: Math.max(1, round(to - from)), height: y(0) - TOP }),
    line("cursor", at, TOP, at, y(0)),
    isJudged(point) && svg("circle", { class: "cursor-dot", cx: at, cy: y(point.ece), r: 4 }),
  );
}

/**
 * @param {Point} point
 * @param {string} name
 */
function tipOf({ time, ece, bound, chance, verdict }, name) {
  return [
    `${utc(time)} UTC`,
    known(ece) && `${name} ${score(ece)}`,
    known(bound) && `At least ${score(Math.max(0, bound))}`,
    known(chance) && `By chance ${score(chance)}`,
    stateName(verdict),
  ]
    .filter(Boolean)
    .join("\n");
}

/**
 * @param {TimelineEvent} event
 * @param {number} x
 */
function symbol({ time, mark, words }, x) {
  return spot(
    `mark ${mark}`,
    `${words}\n${utc(time)} UTC`,
    true,
    svg("circle", { class: "reach", cx: x, cy: 14, r: 13 }),
    svg("path", { class: "symbol", d: SHAPES[mark], transform: `translate(${x} 14)` }),
  );
}
