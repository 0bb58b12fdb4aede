/** What the reader may do. Actions that change something ask first, and show their outcome. */

/** @import { Outcome } from "../dialog.js" */
/** @import { Difference, Moved, Refitted, Refused, ReplayAnswer } from "../types.js" */

import { get, modelPath, post, remove } from "../api.js";
import { confirmThen, showThen } from "../dialog.js";
import { byId } from "../dom.js";
import { plain } from "../format.js";
import { drawDifference } from "./difference.js";
import { drawReplayed } from "./replays.js";

/** @typedef {{ model: string, renew: () => void }} Context  The model that is shown, and what shows its new state. */
/** @typedef {(button: HTMLElement, context: Context) => void} Action */

/** Characters that the server takes. */
const LONGEST_REASON = 500;

/** Of settings in JSON. */
const LONGEST_POLICY = 4000;

/** @type {Record<string, Action>} */
const ACTIONS = { promote, reject, rollback, refit, compare, replay, cancelReplay, showReplay };

/**
 * Do what a pressed button names.
 * @param {HTMLElement} button
 * @param {string | null} model
 * @param {() => void} renew
 */
export function act(button, model, renew) {
  if (button.dataset.act === "copy") copy(button);
  else if (model !== null) ACTIONS[button.dataset.act ?? ""]?.(button, { model, renew });
}

/** @type {Action} */
function promote({ dataset: { number = "", warning } }, { model, renew }) {
  const use = `Clients of ${quoted(model)} use it as soon as they look again.`;
  confirmThen({
    title: `Promote calibrator ${number}?`,
    text: [use, warning, "Rolling back undoes it."].filter(Boolean).join(" "),
    action: "Promote",
    preview: async () => drawDifference(await differenceOf(model, number)),
    run: async () => {
      await post(modelPath(model, "calibrators", number, "promote"), {});
      renew();
      return { title: `Calibrator ${number} is in service`, text: "It is the champion now." };
    },
  });
}

/** @type {Action} */
function reject({ dataset: { number = "" } }, { model, renew }) {
  confirmThen({
    title: `Reject calibrator ${number}?`,
    text: `${quoted(model)} keeps what it serves now. The next automatic refit comes with the next alert.`,
    line: { label: "Reason, for the log (optional)", longest: LONGEST_REASON },
    action: "Reject",
    run: async (reason) => {
      await post(modelPath(model, "calibrators", number, "reject"), reason ? { reason } : {});
      renew();
      return { title: `Calibrator ${number} is rejected`, text: "It does not wait any more." };
    },
  });
}

/** @type {Action} */
function rollback({ dataset: { number } }, { model, renew }) {
  const path = modelPath(model, "calibrators", "rollback");
  confirmThen({
    title: "Roll back?",
    text: `${quoted(model)} returns to what it served before calibrator ${number}. Automatic refits then wait for approval.`,
    action: "Roll back",
    preview: async () => {
      /** @type {Moved} */
      const { difference } = await post(path, { dry_run: true });
      return difference ? drawDifference(difference) : [];
    },
    run: async () => {
      /** @type {Moved} */
      const { champion } = await post(path, {});
      renew();
      const none = "No calibrator is in service: scores are served as the model makes them.";
      return { title: "Rolled back", text: champion ? `Calibrator ${champion} is in service again.` : none };
    },
  });
}

/** @type {Action} */
function refit(_button, { model, renew }) {
  const path = modelPath(model, "calibrators");
  const tried = `Candidates are fitted on recent labels of ${quoted(model)} and tested on later ones.`;
  confirmThen({
    title: "Refit now?",
    text: `${tried} One that passes is registered; the model’s settings decide whether it goes into service at once.`,
    action: "Refit",
    trial: {
      action: "Try it only",
      run: async () => trialOutcome(await post(path, { method: "auto", dry_run: true })),
    },
    run: async () => {
      /** @type {Refitted | Refused} */
      const answer = await post(path, { method: "auto" });
      renew();
      return refitOutcome(answer);
    },
  });
}

/** @type {Action} */
function replay(_button, { model, renew }) {
  confirmThen({
    title: "Try other settings?",
    text: `They are run over the stored history of ${quoted(model)}, which takes a while. Nothing stored changes.`,
    line: { label: 'Settings, such as {"thresholds": {"ece": 0.03}}', longest: LONGEST_POLICY },
    action: "Replay",
    run: async (written) => {
      /** @type {{ id: number }} */
      const { id } = await post(modelPath(model, "replay"), JSON.parse(written || "{}"));
      renew();
      return { title: `Replay ${id} is running`, text: "The page shows how far it is, and then what came of it." };
    },
  });
}

/** @type {Action} */
function cancelReplay({ dataset: { number = "" } }, { model, renew }) {
  confirmThen({
    title: `Cancel replay ${number}?`,
    text: "What it found so far is not kept.",
    action: "Cancel the replay",
    run: async () => {
      await remove(modelPath(model, "replays", number));
      renew();
      return { title: `Replay ${number} is cancelled`, text: "Another one may run now." };
    },
  });
}

/** @type {Action} */
function showReplay({ dataset: { number = "" } }, { model }) {
  showThen({
    title: `Replay ${number}`,
    content: async () => {
      /** @type {ReplayAnswer} */
      const { result } = await get(modelPath(model, "replays", number));
      return result ? drawReplayed(result) : [];
    },
  });
}

/** @type {Action} */
function compare({ dataset: { number = "", against } }, { model }) {
  showThen({
    title: `Calibrator ${number}`,
    content: async () => drawDifference(await differenceOf(model, number, against)),
  });
}

/**
 * @param {string} model
 * @param {string} number
 * @param {string} [against]
 * @returns {Promise<Difference>}
 */
function differenceOf(model, number, against) {
  return get(modelPath(model, "calibrators", number, "difference"), against ? { against } : undefined);
}

/**
 * @param {Refused} answer
 * @returns {Outcome}
 */
function trialOutcome({ fitted, reason, held }) {
  if (!fitted) return { title: "It would be refused", text: reason };
  const approval = held ? ` It would wait for approval: ${held}.` : "";
  const method = plain(String(fitted.method)).toLowerCase();
  return { title: `A ${method} map would pass`, text: `${reason}.${approval} Nothing changed.` };
}

/**
 * @param {Refitted | Refused} answer
 * @returns {Outcome}
 */
function refitOutcome({ number, promoted, reason }) {
  if (!number) return { title: "Refused: nothing changed", text: reason || "No candidate passed." };
  return {
    title: promoted ? `Calibrator ${number} is in service` : `Calibrator ${number} is ready`,
    text: reason || (promoted ? "It passed its gate." : "It waits to be promoted."),
  };
}

/** @param {HTMLElement} button */
async function copy(button) {
  const text = byId("curl");
  try {
    await navigator.clipboard.writeText(text.textContent);
    button.textContent = "Copied";
  } catch {
    getSelection()?.selectAllChildren(text); // no clipboard here: selected, to copy by hand
  }
}

/**
 * Quote a name, isolated so that it cannot turn the sentence around it.
 * @param {string} name
 */
function quoted(name) {
  return `“\u2068${name}\u2069”`;
}
