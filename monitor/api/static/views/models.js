/** The list of models, each with its state. */

import { get } from "../api.js";
import { el, joined } from "../dom.js";
import { section, sign, since, toneOf, valueOr } from "../parts.js";
import { compact, count, errorOf, known, plain, score, verdict, whyMissing } from "../words.js";

const FILTER_FROM = 9;
const TROUBLE_FIRST = { bad: 0, good: 1, unsure: 2 };

/** Return the address of the page of a model. */
function modelHref(name) {
  return `#/model/${encodeURIComponent(name)}`;
}

/** Ask for what the list shows. */
export async function loadModels() {
  const answer = await get("v1/models");
  return { ...answer, models: answer.models ?? [] };
}

/** Draw the list; `words` is what the reader looks for among the names. */
export function drawModels({ models, ...system }, { now, opened, words, keyed }) {
  if (!models.length) return { title: "No models yet", nodes: [firstEvent(opened, keyed)] };
  const wanted = models.filter(({ model }) => model.toLowerCase().includes(words.toLowerCase()));
  const firing = models.reduce((sum, { alerts }) => sum + (alerts || 0), 0);
  return {
    title: firing ? `${firing} firing` : "Models",
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
            wanted.sort(byUrgency).map((model) => row(model, now)),
          )
        : el("p", { class: "blank" }, "No model has that in its name."),
      backlog(system),
    ],
  };
}

/** Say how many events wait to be rolled up. */
export function backlog({ backlog_events: events, rollup_lag_seconds: lag }) {
  if (!known(events)) return null;
  const late = known(lag) && events > 0 ? `, the oldest for ${Math.ceil(lag)}\u00a0s` : "";
  return el(
    "p",
    { class: "backlog", "data-key": "backlog" },
    events ? `${count(events)} events wait to be rolled up${late}.` : "Every event that arrived is rolled up.",
  );
}

function byUrgency(a, b) {
  return (
    (b.alerts ?? 0) - (a.alerts ?? 0) ||
    TROUBLE_FIRST[toneOf(a.state)] - TROUBLE_FIRST[toneOf(b.state)] ||
    (a.model < b.model ? -1 : 1)
  );
}

function summary(models, firing) {
  const of = (tone) => models.filter(({ state }) => toneOf(state) === tone).length;
  const counts = [
    [of("bad"), "miscalibrated"],
    [of("good"), "calibrated"],
    [of("unsure"), "without a verdict"],
  ];
  const words = counts.filter(([number]) => number).map(([number, name]) => `${number} ${name}`);
  if (firing) words.push(`${firing} ${firing === 1 ? "alert" : "alerts"} firing`);
  return el("p", { class: "lead" }, words.join(" \u00b7 "));
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

function row(model, now) {
  const { evaluation } = model;
  const judged = evaluation?.verdict !== "too_few_labels";
  return el(
    "li",
    { class: `model ${toneOf(model.state)}`, "data-key": model.model },
    sign(model.state),
    el(
      "div",
      { class: "model-name" },
      el("a", { href: modelHref(model.model) }, el("bdi", null, model.model)),
      el("p", null, sentence(model)),
    ),
    model.alerts ? el("span", { class: "badge firing" }, `${model.alerts} firing`) : null,
    el(
      "dl",
      { class: "model-figures" },
      pair(
        errorOf(evaluation).name,
        valueOr(judged && errorOf(evaluation).ece, score, whyMissing(evaluation)),
        evaluation?.window,
      ),
      pair("Labelled", valueOr(model.labelled, compact, "not counted")),
      pair("Calibrator", model.champion ? `v${model.champion}` : "none"),
      pair("Last event", since(model.last_event_at, now) ?? "never"),
    ),
    el(
      "p",
      { class: "model-kind" },
      joined(
        [model.task && plain(model.task), model.recalibration && `recalibration ${model.recalibration}`],
        " \u00b7 ",
      ),
    ),
  );
}

// An alarm may be about what the shown window does not show: a longer time, or one class.
function sentence({ evaluation, state, task }) {
  const words = verdict(evaluation ?? { verdict: state }, task);
  if (!evaluation || toneOf(state) !== "bad" || evaluation.verdict === state) return words;
  return `An alarm fires. Over ${evaluation.window} ${words.charAt(0).toLowerCase()}${words.slice(1)}`;
}

function pair(name, value, detail) {
  return el(
    "div",
    null,
    el("dt", null, name, detail && el("span", { class: "detail" }, ` ${detail}`)),
    el("dd", null, value),
  );
}

function firstEvent(opened, keyed) {
  return section(
    "first",
    "No models yet",
    el("p", null, "A model appears by itself with its first event. Send a prediction and what became of it:"),
    el(
      "div",
      { class: "code" },
      el("pre", { tabindex: 0 }, el("code", { id: "curl" }, curl(opened, keyed))),
      el("button", { type: "button", "data-act": "copy" }, "Copy"),
    ),
    el(
      "p",
      { class: "hint" },
      "This page looks again every five seconds. ",
      el("a", { href: "docs" }, "The API\u2019s documentation"),
      " says what else an event can carry.",
    ),
  );
}

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
