/** Maps of calibrators: loaded a few at a time and kept, since a version never changes. */

/** @import { Calibrator, CalibratorMap } from "../types.js" */

import { get, modelPath, Problem } from "../api.js";
import { patience } from "./aside.js";

const AT_A_TIME = 5;
const MOST = 20;

/** @type {Map<string, CalibratorMap | null>} */
const kept = new Map();

/**
 * Return the map of a version, or null where there is none (yet).
 * @param {Calibrator} version
 */
export function mapOf({ sha256 }) {
  return kept.get(sha256) ?? null;
}

/**
 * Load the maps of the newest versions that are not kept yet.
 * @param {string} model
 * @param {Calibrator[]} versions
 * @param {number | null} champion  is loaded first
 */
export async function loadMaps(model, versions, champion) {
  const wanted = versions
    .toSorted((a, b) => Number(b.number === champion) - Number(a.number === champion) || b.number - a.number)
    .slice(0, MOST)
    .filter(({ sha256 }) => !kept.has(sha256));
  await Promise.race([Promise.all(wanted.slice(0, AT_A_TIME).map((version) => loadMap(model, version))), patience()]);
}

/**
 * @param {string} model
 * @param {Calibrator} version
 */
async function loadMap(model, { number, sha256 }) {
  try {
    kept.set(sha256, await get(modelPath(model, "calibrators", number, "map")));
  } catch (error) {
    if (error instanceof Problem) kept.set(sha256, null); // asked once: the server has no map of this one
  }
}
