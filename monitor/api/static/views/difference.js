/** Two calibrators side by side: both maps in one picture, and what the second changes. */

import { chart, label, line, linear } from "../charts/axes.js";
import { el, svg } from "../dom.js";
import { compact, known, percent, score } from "../words.js";

const SIZE = 260;
const EDGE = 26;

/** Draw a difference as the API gives it. */
export function drawDifference(found) {
  return [
    el("p", { class: "maps-legend" }, key("before", found.before), key("after", found.after)),
    found.map.length ? maps(found) : null,
    el("p", null, changeWords(found)),
    found.decisions.length ? decisions(found.decisions) : null,
  ];
}

/** Name a version, or that there is none. */
export function versionName(number) {
  return known(number) ? `version ${number}` : "no calibrator";
}

function key(kind, number) {
  return el("span", { class: `map-key ${kind}` }, `${kind === "before" ? "Now" : "Then"}: ${versionName(number)}`);
}

function maps({ map, before, after }) {
  const x = linear([0, 1], [EDGE, SIZE - 6]);
  const y = linear([0, 1], [SIZE - EDGE, 6]);
  const path = (name) => map.map((point, i) => `${i ? "L" : "M"}${x(point.probability)} ${y(point[name])}`).join("");
  return chart(
    "maps",
    SIZE,
    SIZE,
    `What is served for each raw probability: ${versionName(before)} now, ${versionName(after)} then`,
    svg("rect", { class: "plate", x: x(0), y: y(1), width: x(1) - x(0), height: y(0) - y(1) }),
    line("ideal", x(0), y(0), x(1), y(1)),
    svg("path", { class: "curve before", d: path("before") }),
    svg("path", { class: "curve after", d: path("after") }),
    label("tick", x(0), SIZE - 8, "start", "0"),
    label("tick", x(1), SIZE - 8, "end", "raw 1"),
    label("tick", x(0) - 4, y(1) + 10, "end", "1"),
    label("tick", x(0) - 4, y(0), "end", "0"),
  );
}

function changeWords({ mean_change: mean, largest_change: largest, predictions }) {
  if (!known(mean)) return "There is no recent traffic to compare them on.";
  const most = known(largest) ? `, ${score(largest)} at the most` : "";
  return `What ${compact(predictions)} recent predictions are served would change by ${score(mean)} on average${most}.`;
}

function decisions(found) {
  const cells = ({ name, before, after }) => [name, ...[before, after].flatMap(selected)];
  return el(
    "div",
    { class: "scroll", tabindex: 0 },
    el(
      "table",
      { class: "impact" },
      el("caption", null, "What declared decisions select"),
      el(
        "thead",
        null,
        el(
          "tr",
          null,
          ["Decision", "Now", "Right", "Then", "Right"].map((words) => el("th", { scope: "col" }, words)),
        ),
      ),
      el(
        "tbody",
        null,
        found.map((decision) =>
          el(
            "tr",
            null,
            cells(decision).map((text) => el("td", null, text)),
          ),
        ),
      ),
    ),
  );
}

function selected(side) {
  const share = side?.share;
  const precision = side?.expected_precision;
  return [known(share) ? percent(share) : "\u2014", known(precision) ? percent(precision) : "\u2014"];
}
