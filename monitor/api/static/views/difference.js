/** Two calibrators side by side: both maps in one picture, and what the second changes. */

/** @import { Child } from "../dom.js" */
/** @import { DecisionImpact, Difference, SelectedBy } from "../types.js" */

import { mapComparison } from "../charts/map.js";
import { el } from "../dom.js";
import { compact, known, percent, score } from "../format.js";
import { table } from "../table.js";
import { calibratorName } from "../words.js";

/**
 * Draw a difference.
 * @param {Difference} difference
 * @returns {Child[]}
 */
export function drawDifference(difference) {
  const { before, after, map, decisions } = difference;
  return [
    el("p", { class: "maps-legend" }, entry("before", "Now", before), entry("after", "Then", after)),
    map.length > 0 && mapComparison(difference),
    el("p", null, changeWords(difference)),
    decisions.length > 0 &&
      table("What declared decisions select", ["Decision", "Now", "Right", "Then", "Right"], decisions.map(cellsOf), {
        look: "impact",
        captioned: true,
      }),
  ];
}

/**
 * @param {"before" | "after"} side
 * @param {string} word
 * @param {number | null} number
 */
function entry(side, word, number) {
  return el("span", { class: `map-key ${side}` }, `${word}: ${calibratorName(number)}`);
}

/** @param {Difference} difference */
function changeWords({ mean_change: mean, largest_change: largest, predictions }) {
  if (!known(mean)) return "There is no recent traffic to compare them on.";
  const most = known(largest) ? `, and by up to ${score(largest)}` : "";
  return `Served scores of ${compact(predictions)} recent predictions would change by ${score(mean)} on average${most}.`;
}

/** @param {DecisionImpact} decision */
function cellsOf({ name, before, after }) {
  return [name, ...selected(before), ...selected(after)];
}

/** @param {SelectedBy} side */
function selected({ share, expected_precision: precision }) {
  return [share, precision].map((value) => (known(value) ? percent(value) : "—"));
}
