/** Trials that run now, and each step in the life of a model's calibrators with its reason. */

/** @import { Part } from "../parts.js" */
/** @import { Audit, Entry, StepDetail, Trial } from "../types.js" */

import { el, joined } from "../dom.js";
import { capital, count, known, NB, plain, score, utc } from "../format.js";
import { firstOf, moment } from "../parts.js";
import { calibratorName } from "../words.js";

const SHOWN = 6;

const ROLES = {
  watch: "Watched since its promotion",
  proposal: "Awaiting approval",
  shadow: "Shadow trial",
  canary: "Canary",
};

/** @type {Record<string, (detail: StepDetail) => string>} */
const STEPS = {
  register: ({ number }) => `${named(number)} registered`,
  refuse: () => "Refit refused",
  propose: ({ number }) => `${named(number)} awaits approval`,
  proposal_better: ({ number }) => `${named(number)}, awaiting approval, is better than what is served`,
  proposal_worse: ({ number }) => `${named(number)}, awaiting approval, is worse than what is served`,
  promote: ({ number }) => `${named(number)} promoted`,
  reject: ({ number, reason }) => `${named(number)} rejected${reason ? `: ${reason}` : ""}`,
  rollback: ({ number, restored }) => `${named(number)} rolled back to ${calibratorName(restored)}`,
  shadow: ({ number }) => `${named(number)} entered its shadow trial`,
  shadow_better: ({ number }) => `${named(number)} is better in its shadow trial`,
  shadow_worse: ({ number }) => `${named(number)} is worse in its shadow trial: dismissed`,
  canary: ({ number }) => `${named(number)} serves as a canary`,
  canary_waits: ({ number }) => `Canary of ${calibratorName(number)} waits for labels`,
  canary_stop: ({ number }) => `Canary of ${calibratorName(number)} stopped`,
  canary_end: ({ number }) => `Canary of ${calibratorName(number)} ended`,
  watch_worse: ({ number }) => `${named(number)} is worse than what it replaced`,
  tests_begin: () => "Sequential tests began anew",
  delete: () => "The model of this name was deleted",
};

/**
 * Draw the trials that run now.
 * @param {Trial[]} trials
 */
export function drawTrials(trials) {
  if (!trials.length) return null;
  return el(
    "ul",
    { class: "trials" },
    trials.map((trial) =>
      el(
        "li",
        { class: trial.verdict, "data-key": trial.role },
        el("strong", null, `${ROLES[trial.role] ?? plain(trial.role)}: ${calibratorName(trial.number)}`),
        el("span", null, joined(trialFacts(trial), " · ")),
      ),
    ),
  );
}

/** @param {Trial} trial */
function trialFacts(trial) {
  const { against, since, labels, brier, brier_other: brierOther, crps, crps_other: crpsOther, verdict } = trial;
  const result = verdict === "undecided" ? "undecided: compared with" : `${verdict} than`;
  return [
    `${result} ${calibratorName(against)}`,
    known(brier) && known(brierOther) && `Brier ${score(brier)} against ${score(brierOther)}`,
    known(crps) && known(crpsOther) && `CRPS ${score(crps)} against ${score(crpsOther)}`,
    `${count(labels)} labels since ${utc(since)}${NB}UTC`,
    verdict === "undecided" && remaining(trial),
  ];
}

/** @param {Trial} trial */
function remaining({ labels_needed: needed }) {
  if (!known(needed)) return "too early to say how many labels it takes";
  return `about ${count(Number(needed.toPrecision(2)))} more labels until it is known`;
}

/**
 * Draw the audit log, newest first; nothing without steps.
 * @param {Part<Audit>} audit
 */
export function drawSteps({ value }) {
  const steps = (value?.audit ?? []).toReversed();
  if (!steps.length) return null;
  return el(
    "details",
    { class: "steps" },
    el("summary", null, "What happened, and why"),
    firstOf(steps, SHOWN, "earlier", (some) => el("ol", { class: "alert-list" }, some.map(stepRow))),
  );
}

/**
 * Tell whether the page has words for a step.
 * @param {string} action
 */
export function isWorded(action) {
  return Object.hasOwn(STEPS, action);
}

/** @param {Entry} step */
function stepRow({ at, actor, action, detail }) {
  return el(
    "li",
    null,
    moment(at),
    el(
      "div",
      null,
      el("strong", null, STEPS[action]?.(detail) ?? plain(action)),
      detail.reason && el("span", null, detail.reason),
    ),
    el("span", { class: "badge" }, el("bdi", null, actor)),
  );
}

/** @param {number | undefined} number */
function named(number) {
  return capital(calibratorName(number));
}
