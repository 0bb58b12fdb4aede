/** Secondary requests: asked less often than the main ones, and never in their way. */

/** @import { Query } from "../api.js" */
/** @import { Part } from "../parts.js" */
/** @import { ModelCalls } from "../types.js" */

import { getOf } from "../api.js";

const FRESH_MS = 20_000;
const PATIENCE_MS = 1_500;
const MOST = 24;

/** @typedef {{ shown: Part<any>, asked: number, busy: Promise<void> | null }} Entry */
/** @type {Map<string, Entry>} */
const entries = new Map();

/**
 * Return the newest answer to a call on a model; nothing yet where the first takes long.
 * @template {keyof ModelCalls} Call
 * @param {string} model
 * @param {Call} call
 * @param {Query} query
 * @param {unknown} state  of the model: another one makes old answers unusable
 * @returns {Promise<Part<ModelCalls[Call]>>}
 */
export async function aside(model, call, query, state) {
  const name = JSON.stringify([model, call, query, state]);
  const entry = entries.get(name) ?? { shown: {}, asked: -Infinity, busy: null };
  entries.delete(name);
  entries.set(name, entry); // the newest last
  if (!entry.busy && Date.now() - entry.asked > FRESH_MS) entry.busy = renewed(entry, getOf(model, call, query));
  if (entry.busy && entry.shown.value === undefined) await Promise.race([entry.busy, patience()]);
  for (const old of [...entries.keys()].slice(0, -MOST)) entries.delete(old);
  return entry.shown;
}

/**
 * @param {Entry} entry
 * @param {Promise<unknown>} answer
 */
async function renewed(entry, answer) {
  entry.asked = Date.now();
  try {
    entry.shown = { value: await answer };
  } catch (error) {
    entry.shown = { error };
  }
  entry.busy = null;
}

/** Return a promise that is kept when the page has waited long enough. */
export function patience() {
  return new Promise((done) => {
    setTimeout(done, PATIENCE_MS);
  });
}
