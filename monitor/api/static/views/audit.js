/** What two calibrators on trial show so far, and every step of the calibrators' life with its reason. */

import { versionName } from "./difference.js";
import { el, joined } from "../dom.js";
import { moment } from "../parts.js";
import { count, known, score, plain, utc } from "../words.js";

const SHOWN = 6;

const ROLES = {
  watch: "Watched since its promotion",
  proposal: "Waiting for a person",
  shadow: "In the shadow",
  canary: "Canary",
};

const VERDICTS = { worse: "surely worse", better: "surely better", undecided: "undecided" };

const STEPS = {
  register: ({ number }) => `Version ${number} registered`,
  refuse: () => "Refit refused",
  propose: ({ number }) => `Version ${number} waits for a person`,
  proposal_better: ({ number }) => `Version ${number}, which waits, is surely better than the champion`,
  proposal_worse: ({ number }) => `Version ${number}, which waits, is surely worse than the champion`,
  promote: ({ number }) => `Version ${number} promoted`,
  rollback: ({ number, restored }) => `Version ${number} rolled back to ${versionName(restored)}`,
  shadow: ({ number }) => `Version ${number} goes into the shadow`,
  canary: ({ number }) => `Version ${number} serves as a canary`,
  canary_end: ({ number }) => `Version ${number} serves no canary any more`,
  canary_stop: ({ number }) => `Canary of version ${number} stopped`,
  canary_waits: ({ number }) => `Canary of version ${number} waits for labels`,
  shadow_better: ({ number }) => `Version ${number} is surely better in the shadow`,
  shadow_worse: ({ number }) => `Version ${number} dismissed from the shadow`,
  watch_worse: ({ number }) => `Version ${number} is surely worse than what it replaced`,
};

/** Draw the trials that run now. */
export function drawTrials(trials) {
  if (!trials?.length) return null;
  return el(
    "ul",
    { class: "trials" },
    trials.map((trial) =>
      el(
        "li",
        { class: trial.verdict, "data-key": trial.role },
        el("strong", null, `${ROLES[trial.role] ?? plain(trial.role)}: ${versionName(trial.number)}`),
        el("span", null, joined(trialFacts(trial), " \u00b7 ")),
      ),
    ),
  );
}

function trialFacts({ against, since, labels, brier, brier_other: other, verdict }) {
  return [
    `${VERDICTS[verdict] ?? plain(verdict)} against ${versionName(against)}`,
    known(brier) && known(other) && `Brier ${score(brier)} against ${score(other)}`,
    `${count(labels)} labels since ${utc(since)}\u00a0UTC`,
  ];
}

/** Draw the audit log, newest first. */
export function drawSteps({ value, error } = {}) {
  const steps = [...(value?.audit ?? [])].reverse();
  if (error || !steps.length) return null;
  return el(
    "details",
    { class: "steps" },
    el("summary", null, "What happened, and why"),
    list(steps.slice(0, SHOWN)),
    steps.length > SHOWN &&
      el("details", null, el("summary", null, `${steps.length - SHOWN} earlier`), list(steps.slice(SHOWN))),
  );
}

function list(steps) {
  return el(
    "ol",
    { class: "alert-list" },
    steps.map(({ at, actor, action, detail }) =>
      el(
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
      ),
    ),
  );
}
