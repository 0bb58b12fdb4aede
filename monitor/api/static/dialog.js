/** The confirm step: says what will happen, does it once, and says what came of it. */

import { el, show } from "./dom.js";

/**
 * Ask before doing; `run` returns the words of the outcome, `{title, text}`. `preview` returns nodes that show what would
 * change; `trial`, `{action, run}`, is a way to try it that changes nothing.
 */
export function confirmThen({ title, text, action, run, preview, trial }) {
  const dialog = document.getElementById("dialog");
  show(
    dialog,
    heading(title),
    el("p", null, text),
    preview && place("Looking at what would change\u2026"),
    actions(button("Cancel", "cancel"), trial && button(trial.action, "try"), button(action, "go", "primary")),
  );
  press(dialog, "cancel", () => dialog.close());
  press(dialog, "go", () => carryOut(dialog, title, run));
  if (trial) press(dialog, "try", () => carryOut(dialog, title, trial.run));
  dialog.showModal();
  if (preview) fill(dialog, preview);
}

/** Show something that is asked for first. */
export function showThen({ title, load }) {
  const dialog = document.getElementById("dialog");
  show(dialog, heading(title), place("Working\u2026"), actions(button("Close", "close", "primary")));
  press(dialog, "close", () => dialog.close());
  dialog.showModal();
  fill(dialog, load);
}

function place(words) {
  return el("div", { class: "preview", "data-press": "preview", "aria-live": "polite" }, el("p", { class: "busy" }, words));
}

async function fill(dialog, load) {
  const shown = dialog.querySelector("[data-press=preview]");
  let nodes;
  try {
    nodes = await load();
  } catch (error) {
    nodes = [el("p", null, error.message)];
  }
  // The dialog may show something else by now.
  if (shown.isConnected) show(shown, nodes);
}

async function carryOut(dialog, title, run) {
  show(dialog, heading(title), el("p", { class: "busy", role: "status" }, "Working\u2026"));
  dialog.oncancel = (event) => event.preventDefault(); // what came of it is to be seen
  let outcome;
  try {
    outcome = await run();
  } catch (error) {
    outcome = { title: "That did not work", text: error.message, reasons: error.reasons };
  }
  show(
    dialog,
    heading(outcome.title),
    el("p", { role: "status" }, outcome.text),
    reasonList(outcome.reasons),
    actions(button("Close", "close", "primary")),
  );
  press(dialog, "close", () => dialog.close());
  dialog.oncancel = null;
  dialog.querySelector("[data-press=close]").focus();
}

function heading(title) {
  return el("h2", { id: "dialog-title" }, title);
}

function actions(...buttons) {
  return el("div", { class: "actions" }, buttons);
}

function button(words, name, kind) {
  return el("button", { type: "button", class: kind, "data-press": name, "data-key": name }, words);
}

function press(dialog, name, act) {
  dialog.querySelector(`[data-press=${name}]`).onclick = act;
}

function reasonList(reasons) {
  return reasons?.length
    ? el(
        "ul",
        null,
        reasons.map((reason) => el("li", null, reason)),
      )
    : null;
}
