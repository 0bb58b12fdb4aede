/** The reliability diagram: what was said against what happened, with intervals, and how often it was said. */

import { chart, errorBar, label, line, linear, round, spot } from "./axes.js";
import { svg } from "../dom.js";
import { count, known, percent, plain } from "../words.js";

const LEFT = 62;
const RIGHT = 18;
const TOP = 10;
const STRIP = 52;
const BETWEEN = 12;
const BOTTOM = 40;
const TICKS = [0, 0.2, 0.4, 0.6, 0.8, 1];

/** Draw the diagram of the bins of an evaluation; `observedName` names the vertical axis. */
export function reliabilityDiagram(bins, observedName, width) {
  const side = Math.max(160, Math.min(width, 560) - LEFT - RIGHT);
  const plotHeight = Math.round(side * 0.86);
  const x = linear([0, 1], [LEFT, LEFT + side]);
  const y = linear([0, 1], [TOP + plotHeight, TOP]);
  const strip = { top: TOP + plotHeight + BETWEEN, bottom: TOP + plotHeight + BETWEEN + STRIP };
  return chart(
    "reliability",
    LEFT + side + RIGHT,
    strip.bottom + BOTTOM,
    "Reliability diagram. Arrow keys move between the bins.",
    frame(x, y),
    diagonal(x, y),
    points(bins.filter(drawable), x, y, observedName),
    histogram(bins, x, strip),
    captions(x, y, strip, observedName),
  );
}

/** Say whether the interval of a bin leaves out what was said. */
export function isOff(bin) {
  return known(bin.observed_low) && (bin.mean_confidence < bin.observed_low || bin.mean_confidence > bin.observed_high);
}

function drawable(bin) {
  return bin.count > 0 && known(bin.mean_confidence) && known(bin.observed);
}

function frame(x, y) {
  return TICKS.flatMap((tick) => [
    line("grid", x(0), y(tick), x(1), y(tick)),
    line("grid", x(tick), y(0), x(tick), y(1)),
    label("tick", x(0) - 8, y(tick) + 4, "end", percent(tick, 0)),
  ]);
}

function diagonal(x, y) {
  return [
    svg("path", { class: "too-sure", d: `M${x(0)} ${y(0)}H${x(1)}V${y(1)}Z` }),
    line("ideal", x(0), y(0), x(1), y(1)),
    label("region", x(0.03), y(0.95), "start", "underconfident"),
    label("region", x(0.97), y(0.03), "end", "overconfident"),
  ];
}

function points(bins, x, y, observedName) {
  const most = Math.max(1, ...bins.map((bin) => bin.count));
  const line_ = svg("path", {
    class: "curve",
    d: bins.map((bin, i) => `${i ? "L" : "M"}${x(bin.mean_confidence)} ${y(bin.observed)}`).join(""),
  });
  return [line_, bins.map((bin, i) => point(bin, x, y, most, observedName, i === 0))];
}

function point(bin, x, y, most, observedName, first) {
  const [at, height] = [x(bin.mean_confidence), y(bin.observed)];
  const radius = round(Math.max(3.5, 10 * Math.sqrt(bin.count / most)));
  const bar = known(bin.observed_low) && errorBar(at, y(bin.observed_low), y(bin.observed_high));
  const shape = svg("circle", { class: "dot", cx: at, cy: height, r: radius });
  const reach = svg("circle", { class: "reach", cx: at, cy: height, r: Math.max(14, radius) });
  return spot(isOff(bin) ? "bin off" : "bin", tipOf(bin, observedName), first, reach, bar, shape);
}

function histogram(bins, x, { top, bottom }) {
  const most = Math.max(1, ...bins.map((bin) => bin.count ?? 0));
  const bars = bins
    .filter((bin) => bin.count > 0)
    .map((bin) => {
      const height = Math.max(1.5, round(((bottom - top) * bin.count) / most));
      // A bin of one value, as of what people say, is as wide as can be seen.
      const width = bin.upper > bin.lower ? Math.max(1, round(x(bin.upper) - x(bin.lower) - 1.5)) : 4;
      const from = bin.upper > bin.lower ? x(bin.lower) + 0.75 : x(bin.lower) - width / 2;
      return svg("rect", {
        class: "bar",
        x: round(from),
        y: round(bottom - height),
        width,
        height,
        rx: 1,
      });
    });
  return [line("axis", x(0), bottom, x(1), bottom), bars];
}

function captions(x, y, { top, bottom }, observedName) {
  const middle = (y(0) + y(1)) / 2;
  return [
    TICKS.map((tick) => label("tick", x(tick), bottom + 16, "middle", percent(tick, 0))),
    label("caption", x(0.5), bottom + 34, "middle", "says"),
    svg(
      "text",
      { class: "caption", "text-anchor": "middle", transform: `translate(12 ${round(middle)}) rotate(-90)` },
      observedName,
    ),
    label("tick", x(0) - 8, top + 22, "end", "labels"),
  ];
}

function tipOf(bin, observedName) {
  const bounded = known(bin.observed_low);
  const interval = bounded ? ` (${percent(bin.observed_low)} to ${percent(bin.observed_high)})` : "";
  const side = bin.mean_confidence > bin.observed_high ? "below" : "above";
  return [
    `Says ${percent(bin.mean_confidence)}`,
    `${plain(observedName)} ${percent(bin.observed)}${interval}`,
    `${count(bin.count)} labels`,
    ...(isOff(bin) ? [`Interval ${side} the diagonal`] : []),
  ].join("\n");
}
