/** What predictive distributions were worth: where labels fell in them, and how often stated intervals held. */

import { chart, errorBar, label, line, linear, round, spot } from "./axes.js";
import { svg } from "../dom.js";
import { count, percent } from "../words.js";

const LEFT = 46;
const RIGHT = 12;
const TOP = 10;
const BOTTOM = 40;
const HEIGHT = 250;

/** Say whether there are labels to draw. */
export function hasPit(evaluation) {
  return (evaluation?.pit ?? []).some((size) => size > 0);
}

/** Draw the PIT histogram with the band in which a bar of a calibrated model lies 95 times in 100. */
export function pitHistogram(pit, width) {
  const total = pit.reduce((sum, size) => sum + size, 0);
  const [low, high] = band(total, pit.length);
  const top = Math.max(high, ...pit) * 1.08;
  const x = linear([0, 1], [LEFT, width - RIGHT]);
  const y = linear([0, top], [HEIGHT - BOTTOM, TOP]);
  const uniform = total / pit.length;
  return chart(
    "pit",
    width,
    HEIGHT,
    "Where labels fell in what was predicted. Arrow keys move between the bars.",
    svg("rect", { class: "uniform", x: x(0), y: y(high), width: round(x(1) - x(0)), height: round(y(low) - y(high)) }),
    pit.map((size, i) => pitBar({ size, i, parts: pit.length, low, high, total }, x, y)),
    line("ideal", x(0), y(uniform), x(1), y(uniform)),
    line("axis", x(0), y(0), x(1), y(0)),
    [0, 0.25, 0.5, 0.75, 1].map((tick) => label("tick", x(tick), HEIGHT - BOTTOM + 16, "middle", percent(tick, 0))),
    label("caption", x(0.5), HEIGHT - 6, "middle", "label falls at this quantile"),
    label("tick", LEFT - 8, y(uniform) + 4, "end", percent(1 / pit.length, 0)),
  );
}

/** Return the range in which the count of one of `parts` bars lies 95 times in 100 if all are as likely. */
export function band(total, parts) {
  const spread = 1.96 * Math.sqrt((total / parts) * (1 - 1 / parts));
  return [Math.max(0, total / parts - spread), total / parts + spread];
}

function pitBar({ size, i, parts, low, high, total }, x, y) {
  const [from, to] = [x(i / parts), x((i + 1) / parts)];
  const off = size < low || size > high;
  const tip = [
    `Between the ${percent(i / parts, 0)} and ${percent((i + 1) / parts, 0)} quantile`,
    `${count(size)} labels, ${percent(size / total)}`,
    off ? `${size > high ? "More" : "Fewer"} than chance does` : "As many as chance does",
  ].join("\n");
  return spot(
    off ? "pit-bar off" : "pit-bar",
    tip,
    i === 0,
    svg("rect", { class: "reach", x: from, y: TOP, width: round(to - from), height: HEIGHT - BOTTOM - TOP }),
    svg("rect", {
      class: "fill",
      x: round(from + 0.75),
      y: y(size),
      width: round(to - from - 1.5),
      height: round(y(0) - y(size)),
      rx: 1,
    }),
  );
}

/** Draw how often labels lay in stated intervals, each against the level stated. */
export function coverageChart(levels, width) {
  const side = Math.max(150, Math.min(width, 320) - LEFT - RIGHT);
  const x = linear([0, 1], [LEFT, LEFT + side]);
  const y = linear([0, 1], [TOP + side * 0.78, TOP]);
  const ticks = [0, 0.25, 0.5, 0.75, 1];
  return chart(
    "coverage",
    LEFT + side + RIGHT,
    round(TOP + side * 0.78 + BOTTOM),
    "How often stated intervals held. Arrow keys move between the levels.",
    ticks.map((tick) => [
      line("grid", x(0), y(tick), x(1), y(tick)),
      label("tick", LEFT - 8, y(tick) + 4, "end", percent(tick, 0)),
      label("tick", x(tick), y(0) + 16, "middle", percent(tick, 0)),
    ]),
    line("ideal", x(0), y(0), x(1), y(1)),
    levels.map((level, i) => levelSpot(level, x, y, i === 0)),
    label("caption", x(0.5), round(y(0) + 34), "middle", "stated"),
  );
}

/** Say whether the interval of a level leaves out what was stated. */
export function missesLevel({ level, low, high }) {
  return level < low || level > high;
}

function levelSpot(level, x, y, first) {
  const at = x(level.level);
  const tip = [
    `${percent(level.level, 0)} stated`,
    `${percent(level.observed)} held (${percent(level.low)} to ${percent(level.high)})`,
  ].join("\n");
  return spot(
    missesLevel(level) ? "level off" : "level",
    tip,
    first,
    svg("circle", { class: "reach", cx: at, cy: y(level.observed), r: 12 }),
    errorBar(at, y(level.low), y(level.high)),
    svg("circle", { class: "dot", cx: at, cy: y(level.observed), r: 4.5 }),
  );
}
