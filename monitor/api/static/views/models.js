/** The list of models, each with its state. */

/** @import { Models, Summary } from "../types.js" */
/** @import { View } from "./model.js" */

import { getModels } from "../api.js";
import { el, joined } from "../dom.js";
import { compact, plain, score } from "../format.js";
import { backlog, section, sign, since, toneOf, valueOr } from "../parts.js";
import { calibratorName, errorOf, hasEnoughLabels, shownState, verdictWords, whyMissing } from "../words.js";

const FILTER_FROM = 9;
const TROUBLE_FIRST = { bad: 0, doubt: 1, good: 2, unsure: 3 };

/**
 * @typedef {object} Context
 * @property {number} now
 * @property {number} opened  when the page was
 * @property {string} words  what the reader looks for among the names
 * @property {boolean} keyed  the server needs an API key
 */

/**
 * Load what the list shows.
 * @returns {Promise<Models>}
 */
export function loadModels() {
  return getModels();
}

/**
 * Draw the list.
 * @param {Models} system
 * @param {Context} context
 * @returns {View}
 */
export function drawModels(system, { now, opened, words, keyed }) {
  const { models } = system;
  if (!models.length) return { title: "No models yet", nodes: [firstEvent(opened, keyed)], charts: {} };
  const wanted = models.filter(({ model }) => model.toLowerCase().includes(words.toLowerCase()));
  const firing = models.reduce((sum, { alerts }) => sum + alerts, 0);
  return {
    title: firing ? `${firing} firing` : "Models",
    charts: {},
    nodes: [
      el(
        "header",
        { class: "list-head", "data-key": "head" },
        el("div", null, el("h1", { tabindex: -1 }, "Models"), summary(models, firing)),
        models.length >= FILTER_FROM && filter(),
      ),
      wanted.length
        ? el(
            "ul",
            { class: "models", "data-key": "models" },
            wanted.toSorted(byUrgency).map((model) => row(model, now)),
          )
        : el("p", { class: "blank" }, "No model has that in its name."),
      backlog(system),
    ],
  };
}

/**
 * @param {Summary} a
 * @param {Summary} b
 */
function byUrgency(a, b) {
  return (
    b.alerts - a.alerts ||
    TROUBLE_FIRST[toneOf(stateOf(a))] - TROUBLE_FIRST[toneOf(stateOf(b))] ||
    (a.model < b.model ? -1 : 1)
  );
}

/**
 * @param {Summary[]} models
 * @param {number} firing
 */
function summary(models, firing) {
  /** @param {import("../parts.js").Tone} tone */
  const of = (tone) => models.filter((model) => toneOf(stateOf(model)) === tone).length;
  /** @type {[number, string][]} */
  const counts = [
    [of("bad"), "miscalibrated"],
    [of("doubt"), "suspect"],
    [of("good"), "calibrated"],
    [of("unsure"), "without a verdict"],
    [firing, `${firing === 1 ? "alert" : "alerts"} firing`],
  ];
  const words = counts.filter(([number]) => number).map(([number, name]) => `${number} ${name}`);
  return el("p", { class: "lead" }, words.join(" · "));
}

function filter() {
  return el(
    "label",
    { class: "filter" },
    el("span", { class: "unseen" }, "Find a model"),
    el("input", {
      type: "search",
      name: "filter",
      placeholder: "Find a model",
      autocomplete: "off",
      spellcheck: "false",
    }),
  );
}

/**
 * @param {Summary} model
 * @param {number} now
 */
function row(model, now) {
  return el(
    "li",
    { class: `model ${toneOf(stateOf(model))}`, "data-key": model.model },
    sign(stateOf(model)),
    el(
      "div",
      { class: "model-name" },
      el("a", { href: `#/model/${encodeURIComponent(model.model)}` }, el("bdi", null, model.model)),
      el("p", null, sentence(model)),
    ),
    el(
      "div",
      { class: "badges" },
      model.alerts > 0 && el("span", { class: "badge firing" }, `${model.alerts} firing`),
      model.proposal !== null &&
        el("span", { class: "badge challenger" }, `${calibratorName(model.proposal)} waits for you`),
    ),
    figures(model, now),
    el(
      "p",
      { class: "model-kind" },
      joined([model.task && plain(model.task), `recalibration ${model.recalibration}`], " · "),
    ),
  );
}

/**
 * @param {Summary} model
 * @param {number} now
 */
function figures({ evaluation, labelled, champion, last_event_at: last }, now) {
  const { name, ece } = errorOf(evaluation);
  const judged = hasEnoughLabels(evaluation);
  return el(
    "dl",
    { class: "model-figures" },
    pair(name, valueOr(judged && ece, score, whyMissing(evaluation)), evaluation?.window),
    pair("Labelled", valueOr(labelled, compact, "not counted")),
    pair("Calibrator", champion ? String(champion) : "none"),
    pair("Last event", last ? since(last, now) : "never"),
  );
}

/**
 * Return the state that a model is shown in.
 * @param {Summary} model
 */
function stateOf({ evaluation, state }) {
  return shownState({ ...evaluation, verdict: state });
}

/**
 * Put the state of a model in a sentence.
 * @param {Summary} model
 */
function sentence({ evaluation, state, task }) {
  return verdictWords({ ...evaluation, verdict: state }, task);
}

/**
 * @param {string} name
 * @param {string | HTMLElement} value
 * @param {string} [detail]
 */
function pair(name, value, detail) {
  return el(
    "div",
    null,
    el("dt", null, name, detail && el("span", { class: "detail" }, ` ${detail}`)),
    el("dd", null, value),
  );
}

/**
 * @param {number} opened
 * @param {boolean} keyed
 */
function firstEvent(opened, keyed) {
  return section(
    "first",
    "No models yet",
    el("p", null, "A model appears with its first event. Send a prediction and its label:"),
    el(
      "div",
      { class: "code" },
      el("pre", { tabindex: 0 }, el("code", { id: "curl" }, curl(opened, keyed))),
      el("button", { type: "button", "data-act": "copy" }, "Copy"),
    ),
    el(
      "p",
      { class: "hint" },
      "This page refreshes every five seconds. ",
      el("a", { href: "docs" }, "The API’s documentation"),
      " lists what else an event can carry.",
    ),
  );
}

/**
 * @param {number} at
 * @param {boolean} keyed
 */
function curl(at, keyed) {
  const time = `${new Date(at).toISOString().slice(0, 19)}Z`;
  const events = `  {"type": "prediction", "event_id": "1", "model": "my-model",
   "timestamp": "${time}", "probability": 0.91},
  {"type": "label", "event_id": "1", "model": "my-model", "label": 1}`;
  const authorization = keyed ? ['-H "Authorization: Bearer $CALWATCH_KEY"'] : [];
  return [
    `curl ${new URL("v1/events", document.baseURI)}`,
    ...authorization,
    "-H 'Content-Type: application/json'",
    `-d '{"events": [\n${events}\n]}'`,
  ].join(" \\\n  ");
}
