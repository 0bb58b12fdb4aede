/** Events of a model that did not count: how many for each reason, and the last of them. */

/** @import { Part } from "../parts.js" */
/** @import { Rejected, Rejections } from "../types.js" */

import { el } from "../dom.js";
import { count, plain } from "../format.js";
import { firstOf, moment, section, trouble } from "../parts.js";

const TITLE = "Events that did not count";
const SHOWN = 6;

/**
 * Draw the section of events that did not count; nothing where all did.
 * @param {Part<Rejections>} rejections
 */
export function drawRejections({ value, error }) {
  if (error) return section("rejections", TITLE, trouble(error));
  if (!value?.counts.length) return null;
  const tallies = value.counts.map((tally) => `${count(tally.count)} × ${plain(tally.code).toLowerCase()}`).join(", ");
  return section(
    "rejections",
    TITLE,
    el("p", { class: "hint" }, `Since the model was made: ${tallies}.`),
    value.rejections.length > 0 &&
      firstOf(value.rejections, SHOWN, "older", (some) => el("ol", { class: "alert-list" }, some.map(rowOf))),
  );
}

/** @param {Rejected} rejection */
function rowOf({ at, event_id: eventId, reason, code }) {
  return el(
    "li",
    { class: "past" },
    moment(at),
    el(
      "div",
      null,
      el("strong", null, el("bdi", null, eventId ?? "An event without a usable id")),
      el("span", null, reason),
    ),
    el("span", { class: "badge" }, plain(code)),
  );
}
