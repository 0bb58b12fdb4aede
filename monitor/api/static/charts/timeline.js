/** ECE over time: the score, what it surely is, the noise it would have anyway, and what happened meanwhile. */

import { chart, label, line, linear, round, spot, steps, timeLabel, timeTicks } from "./axes.js";
import { svg } from "../dom.js";
import { known, score, stateName, utc } from "../words.js";

const LEFT = 46;
const RIGHT = 12;
const TOP = 30;
const BOTTOM = 26;
const GAP_STEPS = 5;

/** Draw evaluations `{time, ece, bound, floor, verdict}` and events `{time, kind, words}` between two times. */
export function timeline({ name = "ECE", points, events, threshold, start, end }, width, height = 340) {
  const sparse = thin(points, Math.max(60, Math.floor(width / 3)));
  const top = Math.max(
    0.02,
    (threshold ?? 0) * 1.25,
    ...sparse.map((point) => (judged(point) ? point.ece * 1.06 : 0)),
  );
  const ticks = steps(top);
  const x = linear([start, end], [LEFT, width - RIGHT]);
  const y = linear([0, ticks.at(-1)], [height - BOTTOM, TOP]);
  const box = { x, y, start, end, width, height, name };
  const shown = events.filter((event) => event.time >= start && event.time <= end);
  const runs = runsOf(sparse);
  return chart(
    "timeline",
    width,
    height,
    `${name} over time. Arrow keys move along it.`,
    frame(box, ticks),
    voids(sparse, box),
    runs.map((run) => curves(run, box)),
    stems(shown, box),
    known(threshold) && limit(threshold, box, clearSide(sparse, threshold)),
    readings(sparse, box),
    shown.map((event) => mark(event, box)),
  );
}

function thin(points, most) {
  const size = Math.ceil(points.length / most);
  if (size <= 1) return points;
  const groups = Array.from({ length: Math.ceil(points.length / size) }, (_, i) =>
    points.slice(i * size, (i + 1) * size),
  );
  // The worst of each group: a peak may not vanish because the screen is small.
  return groups.map((group) => group.reduce((worst, point) => ((point.ece ?? -1) > (worst.ece ?? -1) ? point : worst)));
}

function runsOf(points) {
  const gap = GAP_STEPS * typicalStep(points);
  const runs = [[]];
  points.forEach((point, i) => {
    if (i && point.time - points[i - 1].time > gap) runs.push([]);
    if (judged(point)) runs.at(-1).push(point);
    else runs.push([]);
  });
  return runs.filter((run) => run.length);
}

function typicalStep(points) {
  const sizes = points
    .slice(1)
    .map((point, i) => point.time - points[i].time)
    .sort((a, b) => a - b);
  return sizes[Math.floor(sizes.length / 2)] ?? Infinity;
}

function judged(point) {
  return known(point.ece) && point.verdict !== "too_few_labels";
}

function frame({ x, y, start, end, width, height }, ticks) {
  const times = timeTicks(start, end, Math.max(2, Math.floor(width / 76)));
  return [
    ticks.map((tick) => [
      line("grid", LEFT, y(tick), width - RIGHT, y(tick)),
      label("tick", LEFT - 8, y(tick) + 4, "end", String(tick)),
    ]),
    times.map((time) => [
      line("tick-mark", x(time), height - BOTTOM, x(time), height - BOTTOM + 4),
      label("tick", inside(x(time), width), height - 6, "middle", timeLabel(time)),
    ]),
  ];
}

function inside(x, width) {
  return Math.min(Math.max(x, LEFT + 8), width - RIGHT - 12);
}

function voids(points, { x, y, start, end }) {
  const spans = [];
  points.forEach((point, i) => {
    if (judged(point)) return;
    const from = x(i ? (points[i - 1].time + point.time) / 2 : start);
    const to = x(i < points.length - 1 ? (points[i + 1].time + point.time) / 2 : end);
    if (spans.length && Math.abs(spans.at(-1)[1] - from) < 0.6) spans.at(-1)[1] = to;
    else spans.push([from, to]);
  });
  return spans.map(([from, to]) => [
    svg("rect", { class: "void", x: from, y: TOP, width: Math.max(0.5, round(to - from)), height: y(0) - TOP }),
    to - from > 96 && label("region", round((from + to) / 2), y(0) - 10, "middle", "too few labels"),
  ]);
}

function curves(run, { x, y }) {
  const path = (field, points = run) =>
    points.map((point, i) => `${i ? "L" : "M"}${x(point.time)} ${y(Math.max(0, point[field]))}`).join("");
  const bounded = run.filter((point) => known(point.bound));
  const floored = run.filter((point) => known(point.floor));
  const back = [...bounded]
    .reverse()
    .map((point) => `L${x(point.time)} ${y(point.ece)}`)
    .join("");
  if (run.length === 1) return svg("circle", { class: "lone", cx: x(run[0].time), cy: y(run[0].ece), r: 2.5 });
  return [
    bounded.length > 1 && svg("path", { class: "between", d: `${path("bound", bounded)}${back}Z` }),
    bounded.length > 1 && svg("path", { class: "bound", d: path("bound", bounded) }),
    floored.length > 1 && svg("path", { class: "floor", d: path("floor", floored) }),
    svg("path", { class: "score", d: path("ece") }),
  ];
}

function limit(threshold, { y, width }, side) {
  const at = y(threshold);
  const from = side === "end" ? width - RIGHT - 2 : LEFT + 4;
  return [
    line("threshold", LEFT, at, width - RIGHT, at),
    label("threshold-name", from, at - 6, side, `threshold ${threshold}`),
  ];
}

// Where the curve stays away from the threshold's name.
function clearSide(points, threshold) {
  const third = Math.ceil(points.length / 3);
  const nearest = (some) =>
    Math.min(Infinity, ...some.filter(({ ece }) => known(ece)).map(({ ece }) => Math.abs(ece - threshold)));
  return nearest(points.slice(-third)) >= nearest(points.slice(0, third)) ? "end" : "start";
}

function readings(points, { x, y, start, end, name }) {
  return points.map((point, i) => {
    const from = x(i ? (points[i - 1].time + point.time) / 2 : Math.max(start, point.time - 1));
    const to = x(i < points.length - 1 ? (points[i + 1].time + point.time) / 2 : end);
    const area = svg("rect", {
      class: "reach",
      x: from,
      y: TOP,
      width: Math.max(1, round(to - from)),
      height: y(0) - TOP,
    });
    const dot = judged(point) && svg("circle", { class: "cursor-dot", cx: x(point.time), cy: y(point.ece), r: 4 });
    return spot(
      "reading",
      tipOf(point, name),
      i === points.length - 1,
      area,
      line("cursor", x(point.time), TOP, x(point.time), y(0)),
      dot,
    );
  });
}

function tipOf(point, name) {
  const parts = [`${utc(point.time)} UTC`];
  if (known(point.ece)) parts.push(`${name} ${score(point.ece)}`);
  if (known(point.bound)) parts.push(`At least ${score(Math.max(0, point.bound))}`);
  if (known(point.floor)) parts.push(`By chance ${score(point.floor)}`);
  return [...parts, stateName(point.verdict)].join("\n");
}

const MARKS = {
  firing: "M0 -6 6 5H-6Z",
  resolved: "M0 -6 6 5H-6Z",
  promotion: "M0 -6 6 0 0 6-6 0Z",
};

function stems(events, { x, y }) {
  return events.map(({ time, kind }) => line(`stem ${kind}`, x(time), 23, x(time), y(0)));
}

function mark({ time, kind, words }, { x }) {
  const at = x(time);
  const symbol = svg("path", { class: "symbol", d: MARKS[kind] ?? MARKS.promotion, transform: `translate(${at} 14)` });
  const reach = svg("circle", { class: "reach", cx: at, cy: 14, r: 13 });
  return spot(`mark ${kind}`, `${words}\n${utc(time)} UTC`, true, reach, symbol);
}
