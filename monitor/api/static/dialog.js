/** The confirm step: says what will happen, does it once, and says what came of it. */

import { el, show } from "./dom.js";

/** Ask before doing; `run` returns the words of the outcome, `{title, text}`. */
export function confirmThen({ title, text, action, run }) {
  const dialog = document.getElementById("dialog");
  show(
    dialog,
    heading(title),
    el("p", null, text),
    actions(button("Cancel", "cancel"), button(action, "go", "primary")),
  );
  press(dialog, "cancel", () => dialog.close());
  press(dialog, "go", () => carryOut(dialog, title, run));
  dialog.showModal();
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
