/** Stored evaluations of a model: fetched once, then only what is new. */

import { get, modelPath } from "../api.js";
import { errorOf, milliseconds } from "../words.js";

export const SPANS = ["24h", "7d", "30d", "90d"];
const MINUTE = 60_000;
const AFRESH_MS = 60_000;
let kept = { what: null };

/** Return the span of time that suits a window. */
export function spanFor(window) {
  const length = milliseconds(window);
  return length <= milliseconds("1h") ? "24h" : length <= milliseconds("24h") ? "7d" : "30d";
}

/** Return the evaluations of a span that ends at `until`, as points in order of time. */
export async function loadHistory(model, { window, span, segment }, until) {
  const what = JSON.stringify([model, window, span, segment]);
  const start = until - milliseconds(span);
  // Labels that came late change what is stored: ask for all of it now and then.
  const usable = kept.what === what && Date.now() - kept.fetchedAt < AFRESH_MS;
  const old = usable ? kept : { what, fetchedAt: Date.now(), points: [] };
  const from = Math.max(start, old.points.at(-1)?.time ?? start);
  const fresh = await fetched(model, { window, ...(segment && { segment }) }, from, until + MINUTE);
  const points = [...old.points.filter(({ time }) => time >= start && time < from), ...fresh];
  kept = { ...old, points };
  return { points, start: points.length > 1 ? points[0].time : start, end: until };
}

async function fetched(model, query, start, end) {
  const range = { start: new Date(start).toISOString(), end: new Date(end).toISOString() };
  const { evaluations } = await get(modelPath(model, "history"), { ...query, ...range });
  return (evaluations ?? []).map(pointOf).sort((a, b) => a.time - b.time);
}

function pointOf(evaluation) {
  const { end, verdict, labelled } = evaluation;
  const { ece, bound, floor } = errorOf(evaluation);
  return { time: Date.parse(end), ece, bound, floor, verdict, labelled };
}
