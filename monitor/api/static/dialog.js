/** Dialogs: one that asks before it acts, and one that shows. */

/** @import { Child } from "./dom.js" */

import { messageOf, reasonsOf } from "./api.js";
import { byId, el, show } from "./dom.js";
import { reasonList } from "./parts.js";

/** @typedef {{ title: string, text: string, reasons?: string[] }} Outcome  What came of an action. */
/** @typedef {{ action: string, run: () => Promise<Outcome> }} Trial  A way to try an action that changes nothing. */
/** @typedef {{ label: string, longest: number }} Line  A line that the reader may write. */

/**
 * @typedef {object} Question
 * @property {string} title
 * @property {string} text
 * @property {string} action  the word on the button that acts
 * @property {(written: string) => Promise<Outcome>} run  with the line that was written; empty without one
 * @property {Line} [line]
 * @property {() => Promise<Child[]>} [preview]  shows what would change
 * @property {Trial} [trial]
 */

/**
 * Ask before acting, act at most once, and show the outcome.
 * @param {Question} question
 */
export function confirmThen({ title, text, action, run, line, preview, trial }) {
  const dialog = opened(
    heading(title),
    el("p", null, text),
    line && lineField(line),
    preview && place("Loading the changes…"),
    actions(button("Cancel", "cancel"), trial && button(trial.action, "try"), button(action, "go", "primary")),
  );
  press(dialog, "cancel", () => dialog.close());
  press(dialog, "go", () => {
    const written = line ? lineOf(dialog) : "";
    carryOut(dialog, title, () => run(written));
  });
  if (trial) press(dialog, "try", () => carryOut(dialog, title, trial.run));
  if (preview) load(dialog, preview);
}

/**
 * Show something that takes a moment to load.
 * @param {{ title: string, content: () => Promise<Child[]> }} shown
 */
export function showThen({ title, content }) {
  const dialog = opened(heading(title), place("Loading…"), actions(button("Close", "close", "primary")));
  press(dialog, "close", () => dialog.close());
  load(dialog, content);
}

/** @param {Child[]} children */
function opened(...children) {
  const dialog = /** @type {HTMLDialogElement} */ (byId("dialog"));
  show(dialog, ...children);
  dialog.showModal();
  return dialog;
}

/** @param {string} words */
function place(words) {
  return el(
    "div",
    { class: "preview", "data-press": "preview", "aria-live": "polite" },
    el("p", { class: "busy" }, words),
  );
}

/**
 * @param {HTMLDialogElement} dialog
 * @param {() => Promise<Child[]>} content
 */
async function load(dialog, content) {
  const target = within(dialog, "preview");
  /** @type {Child[]} */
  let nodes;
  try {
    nodes = await content();
  } catch (error) {
    nodes = [el("p", null, messageOf(error))];
  }
  // By now the dialog may show something else.
  if (target.isConnected) show(target, ...nodes);
}

/**
 * @param {HTMLDialogElement} dialog
 * @param {string} title
 * @param {() => Promise<Outcome>} run
 */
async function carryOut(dialog, title, run) {
  show(dialog, heading(title), el("p", { class: "busy", role: "status" }, "Working…"));
  dialog.oncancel = stay; // the outcome must be seen
  /** @type {Outcome} */
  let outcome;
  try {
    outcome = await run();
  } catch (error) {
    outcome = { title: "That did not work", text: messageOf(error), reasons: reasonsOf(error) };
  }
  show(
    dialog,
    heading(outcome.title),
    el("p", { role: "status" }, outcome.text),
    reasonList(outcome.reasons ?? []),
    actions(button("Close", "close", "primary")),
  );
  press(dialog, "close", () => dialog.close());
  dialog.oncancel = null;
  within(dialog, "close").focus();
}

/** @param {Line} line */
function lineField({ label, longest }) {
  const input = { type: "text", maxlength: longest, autocomplete: "off", "data-press": "line", "data-key": "line" };
  return el("label", { class: "line" }, el("span", null, label), el("input", input));
}

/** @param {HTMLDialogElement} dialog */
function lineOf(dialog) {
  return /** @type {HTMLInputElement} */ (within(dialog, "line")).value.trim();
}

/** @param {Event} event */
function stay(event) {
  event.preventDefault();
}

/** @param {string} title */
function heading(title) {
  return el("h2", { id: "dialog-title" }, title);
}

/** @param {Child[]} buttons */
function actions(...buttons) {
  return el("div", { class: "actions" }, buttons);
}

/**
 * @param {string} words
 * @param {string} name
 * @param {string} [look]
 */
function button(words, name, look) {
  return el("button", { type: "button", class: look, "data-press": name, "data-key": name }, words);
}

/**
 * @param {HTMLDialogElement} dialog
 * @param {string} name
 * @returns {HTMLElement}
 */
function within(dialog, name) {
  const node = dialog.querySelector(`[data-press=${name}]`);
  if (!(node instanceof HTMLElement)) throw new Error(`the dialog has no ${name}`);
  return node;
}

/**
 * @param {HTMLDialogElement} dialog
 * @param {string} name
 * @param {() => void} act
 */
function press(dialog, name, act) {
  within(dialog, name).onclick = act;
}
