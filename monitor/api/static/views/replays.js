/** Replays of other settings over stored history: those of the last week, and how far they are. */

/** @import { Child } from "../dom.js" */
/** @import { Part } from "../parts.js" */
/** @import { Replayed, ReplayList, ReplayState } from "../types.js" */

import { el } from "../dom.js";
import { count, plain } from "../format.js";
import { firstOf, moment, section, trouble } from "../parts.js";

const TITLE = "What other settings would have done";
const SHOWN = 3;
const LONGEST = 60;

/**
 * Draw the section of replays.
 * @param {Part<ReplayList>} replays
 */
export function drawReplays({ value, error }) {
  const list = value?.replays ?? [];
  return section(
    "replays",
    TITLE,
    error ? trouble(error) : null,
    el(
      "p",
      { class: "hint" },
      "A replay runs other thresholds, tests and recalibration over stored history. Nothing stored changes.",
    ),
    list.length > 0 && firstOf(list, SHOWN, "older", (some) => el("ol", { class: "alert-list" }, some.map(rowOf))),
    el("p", null, el("button", { type: "button", "data-act": "replay" }, "Try other settings")),
  );
}

/** @param {ReplayState} replay */
function rowOf({ id, state, created_at: at, progress, policy, reason }) {
  const settings = Object.keys(policy).length > 0 ? JSON.stringify(policy) : "The settings in force";
  return el(
    "li",
    { class: "past", "data-key": `replay-${id}` },
    moment(at),
    el(
      "div",
      null,
      el("strong", { title: settings }, settings.length > LONGEST ? `${settings.slice(0, LONGEST)}…` : settings),
      state === "running" && bar(progress),
      reason && el("span", null, reason),
    ),
    el("div", null, el("span", { class: "badge" }, plain(state)), " ", pressable(id, state)),
  );
}

/** @param {ReplayState["progress"]} progress */
function bar({ done, total }) {
  const words = total ? `${count(done)} of ${count(total)} steps` : "Reading the history…";
  return el("span", null, total > 0 && el("progress", { max: total, value: done, "aria-label": words }), ` ${words}`);
}

/**
 * @param {number} id
 * @param {ReplayState["state"]} state
 */
function pressable(id, state) {
  if (state === "running")
    return el("button", { type: "button", "data-act": "cancelReplay", "data-number": id }, "Cancel");
  return state === "done" && el("button", { type: "button", "data-act": "showReplay", "data-number": id }, "Show");
}

/**
 * Draw what came of a replay.
 * @param {Replayed} result
 * @returns {Child[]}
 */
export function drawReplayed({ alerts, promotions, rollbacks, evaluations, left_out: leftOut }) {
  const found = alerts.filter(({ state }) => state === "firing");
  const counts = [
    [found.length, "alert"],
    [promotions.length, "promotion"],
    [rollbacks.length, "rollback"],
  ].map(([number, word]) => `${count(Number(number))} ${word}${number === 1 ? "" : "s"}`);
  return [
    el("p", null, `${counts.join(", ")} in ${count(evaluations)} evaluations.`),
    leftOut > 0 && el("p", null, `${count(leftOut)} predictions without a raw score were left out.`),
    el(
      "ol",
      { class: "alert-list" },
      [
        ...found.map(({ at, kind, evidence }) => ({ at, what: plain(kind), why: evidence.summary })),
        ...promotions.map(({ at, reason }) => ({ at, what: "Promotion", why: reason })),
        ...rollbacks.map(({ at, reason }) => ({ at, what: "Rollback", why: reason })),
      ]
        .toSorted((one, other) => other.at.localeCompare(one.at))
        .slice(0, 50)
        .map(({ at, what, why }) =>
          el(
            "li",
            { class: "past" },
            moment(at),
            el("div", null, el("strong", null, what), why && el("span", null, why)),
          ),
        ),
    ),
  ];
}
