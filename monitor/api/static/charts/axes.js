/** Scales, ticks and marks that the charts share. */

import { svg } from "../dom.js";
import { utc } from "../words.js";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const TIME_STEPS = [
  5 * MINUTE,
  15 * MINUTE,
  30 * MINUTE,
  HOUR,
  2 * HOUR,
  3 * HOUR,
  6 * HOUR,
  12 * HOUR,
  DAY,
  2 * DAY,
  4 * DAY,
  7 * DAY,
  14 * DAY,
  30 * DAY,
  90 * DAY,
];

/** Return the function that maps a domain onto a range. */
export function linear([from, to], [start, end]) {
  const slope = (end - start) / (to - from || 1);
  return (value) => round(start + (value - from) * slope);
}

/** Round to what a screen can show. */
export function round(value) {
  return Math.round(value * 10) / 10;
}

/** Return round steps from zero to just above a value. */
export function steps(top, wanted = 4) {
  const rough = top / wanted;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 2.5, 5, 10].find((factor) => factor * power >= rough * 0.999);
  return Array.from({ length: Math.ceil(top / step - 1e-9) + 1 }, (_, i) => Number((i * step).toPrecision(6)));
}

/** Return the times at which a time axis has its ticks, at most `wanted`. */
export function timeTicks(start, end, wanted) {
  const step = TIME_STEPS.find((size) => (end - start) / size <= wanted) ?? 365 * DAY;
  const first = Math.ceil(start / step) * step;
  return Array.from({ length: Math.max(0, Math.floor((end - first) / step) + 1) }, (_, i) => first + i * step);
}

/** Name a tick of a time axis: the day at midnight, else the time. */
export function timeLabel(time) {
  return time % DAY === 0 ? utc(time, "day") : utc(time, "clock");
}

/** Draw a line. */
export function line(kind, x1, y1, x2, y2) {
  return svg("line", { class: kind, x1, y1, x2, y2 });
}

/** Write a text at a place; `anchor` is start, middle or end. */
export function label(kind, x, y, anchor, text) {
  return svg("text", { class: kind, x, y, "text-anchor": anchor }, text);
}

/** Draw the interval of a point. */
export function errorBar(x, low, high) {
  return svg("path", {
    class: "error-bar",
    d: `M${round(x - 4)} ${low}H${round(x + 4)}M${x} ${low}V${high}M${round(x - 4)} ${high}H${round(x + 4)}`,
  });
}

/** Make a group that can be pointed at and reached by keyboard, with what it then says. */
export function spot(kind, tip, reachable, ...children) {
  return svg(
    "g",
    {
      class: `spot ${kind}`,
      role: "img",
      tabindex: reachable ? 0 : -1,
      "data-tip": tip,
      "aria-label": tip.replaceAll("\n", ", "),
    },
    ...children,
  );
}

/** Make the root of a chart. */
export function chart(kind, width, height, name, ...children) {
  return svg(
    "svg",
    { class: `chart ${kind}`, viewBox: `0 0 ${width} ${height}`, width, height, role: "group", "aria-label": name },
    ...children,
  );
}
