/** What a reader may do. What changes something asks first, and says what came of it. */

import { get, modelPath, post } from "../api.js";
import { confirmThen, showThen } from "../dialog.js";
import { drawDifference } from "./difference.js";
import { methodName } from "../words.js";

/** Do what a pressed button names; `renew` shows the page as it is after. */
export function act(button, model, renew) {
  ACTIONS[button.dataset.act]?.(button, model, renew);
}

const ACTIONS = { promote, rollback, refit, compare, copy };

function promote({ dataset: { number, warning } }, model, renew) {
  const use = `Clients of ${quoted(model)} use it from their next look.`;
  confirmThen({
    title: `Promote version ${number}?`,
    text: [use, warning, "Rolling back puts back what it replaces."].filter(Boolean).join(" "),
    action: "Promote",
    preview: async () => drawDifference(await get(modelPath(model, "calibrators", number, "difference"))),
    run: async () => {
      await post(modelPath(model, "calibrators", number, "promote"), {});
      renew();
      return { title: `Version ${number} serves now`, text: "It is the champion." };
    },
  });
}

function rollback({ dataset: { number } }, model, renew) {
  const back = `What served ${quoted(model)} before version ${number} is put back.`;
  confirmThen({
    title: "Roll back?",
    text: `${back} Automatic refits then wait for a person.`,
    action: "Roll back",
    preview: async () =>
      drawDifference((await post(modelPath(model, "calibrators", "rollback"), { dry_run: true })).difference),
    run: async () => {
      const { champion } = await post(modelPath(model, "calibrators", "rollback"), {});
      renew();
      const none = "No calibrator serves: predictions go out as the model makes them.";
      return { title: "Rolled back", text: champion ? `Version ${champion} serves again.` : none };
    },
  });
}

function refit(_button, model, renew) {
  const tried = `Candidates are fitted on recent labels of ${quoted(model)} and tested on later ones.`;
  confirmThen({
    title: "Refit now?",
    text: `${tried} One that passes becomes a new version; the model\u2019s settings say whether it serves at once.`,
    action: "Refit",
    trial: {
      action: "Try it only",
      run: async () => trialOutcome(await post(modelPath(model, "calibrators"), { method: "auto", dry_run: true })),
    },
    run: async () => {
      const answer = await post(modelPath(model, "calibrators"), { method: "auto" });
      renew();
      return refitOutcome(answer);
    },
  });
}

function compare({ dataset: { number, against } }, model) {
  showThen({
    title: `Version ${number}`,
    load: async () =>
      drawDifference(await get(modelPath(model, "calibrators", number, "difference"), against && { against })),
  });
}

function trialOutcome({ fitted, reason, held }) {
  if (!fitted) return { title: "It would be refused", text: reason };
  const person = held ? ` A person would have to decide: ${held}.` : "";
  return { title: `A ${methodName(fitted.method).toLowerCase()} map would pass`, text: `${reason}.${person} Nothing changed.` };
}

async function copy(button) {
  const text = document.getElementById("curl");
  try {
    await navigator.clipboard.writeText(text.textContent);
    button.textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(text); // no clipboard here: selected, to copy by hand
  }
}

function refitOutcome({ number, promoted, reason }) {
  if (!number) return { title: "Refused: nothing changed", text: reason || "No candidate passed." };
  return {
    title: promoted ? `Version ${number} serves now` : `Version ${number} is ready`,
    text: reason || (promoted ? "It passed its gate." : "It waits to be promoted."),
  };
}

// Isolated, so that a name can't turn the sentence around it.
function quoted(name) {
  return `\u201c\u2068${name}\u2069\u201d`;
}
