/** Requests beside the main ones: asked for less often, and never in the way of the page. */

import { get, modelPath } from "../api.js";

const GOOD_FOR_MS = 20_000;
const PATIENCE_MS = 1_500;
const MOST = 24;
const kept = new Map();

/** Return `{value}`, `{error}` or, while there is no answer yet, `{}`; what is kept is shown until newer comes. */
export async function aside(name, call, query, since) {
  const what = JSON.stringify([name, call, query, since]);
  const entry = kept.get(what) ?? { shown: {}, asked: -Infinity, busy: null };
  kept.delete(what);
  kept.set(what, entry); // the newest last
  if (!entry.busy && Date.now() - entry.asked > GOOD_FOR_MS) entry.busy = ask(entry, modelPath(name, call), query);
  if (entry.busy && entry.shown.value === undefined) await Promise.race([entry.busy, patience()]);
  for (const old of [...kept.keys()].slice(0, -MOST)) kept.delete(old);
  return entry.shown;
}

async function ask(entry, path, query) {
  entry.asked = Date.now();
  try {
    entry.shown = { value: await get(path, query) };
  } catch (error) {
    entry.shown = { error };
  }
  entry.busy = null;
}

function patience() {
  return new Promise((done) => setTimeout(done, PATIENCE_MS));
}
