/** The page: which view the address names, when it is renewed, and what the reader does. */

/** @import { Models } from "./types.js" */
/** @import { Charts, ModelData } from "./views/model.js" */

import { keepKey, key, KeyNeeded, messageOf, plausibleKey, Problem, reasonsOf, Unreachable } from "./api.js";
import { byId, el, show } from "./dom.js";
import { utc } from "./format.js";
import { reasonList } from "./parts.js";
import { closest, follow, renew } from "./tip.js";
import { act } from "./views/actions.js";
import { drawModel, loadModel } from "./views/model.js";
import { drawModels, loadModels } from "./views/models.js";

const EVERY_MS = 5_000;
const opened = Date.now();
const main = byId("main");

/** @typedef {{ models: Models } | { model: ModelData }} Data  What is shown: the list, or one model. */

const page = {
  turn: 0,
  timer: 0,
  answeredAt: 0,
  filter: "",
  /** @type {string | null} the address that is shown */
  drawn: null,
  /** @type {Data | null} */
  data: null,
  /** @type {Charts} */
  charts: {},
};

/**
 * Read an address: the list, or a model with its choices.
 * @param {string} hash
 * @returns {{ model: string | null, choices: Record<string, string> }}
 */
function routeOf(hash) {
  const [, name, query] = /^#\/model\/([^?]+)(?:\?(.*))?$/u.exec(hash) ?? [];
  if (!name) return { model: null, choices: {} };
  return { model: decoded(name), choices: Object.fromEntries(new URLSearchParams(query ?? "")) };
}

/** @param {string} text */
function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // a stray % in a link made by hand
  }
}

async function refresh() {
  const turn = ++page.turn;
  clearTimeout(page.timer);
  main.setAttribute("aria-busy", String(page.drawn !== location.hash));
  try {
    const data = await load();
    if (turn === page.turn) succeed(data);
  } catch (error) {
    if (turn === page.turn) fail(error);
  }
  if (turn === page.turn) schedule();
}

/** @returns {Promise<Data>} */
async function load() {
  const { model, choices } = routeOf(location.hash);
  return model === null ? { models: await loadModels() } : { model: await loadModel(model, choices) };
}

function schedule() {
  clearTimeout(page.timer);
  if (!document.hidden && !document.getElementById("key")) page.timer = setTimeout(refresh, EVERY_MS);
}

/** @param {Data} data */
function succeed(data) {
  page.data = data;
  page.answeredAt = Date.now();
  draw(data);
  banner(null);
  status("live", "Live", ` · ${utc(page.answeredAt, "second")} UTC`);
}

/** @param {Data} data */
function draw(data) {
  const moved = page.drawn !== null && routeOf(page.drawn).model !== routeOf(location.hash).model;
  const context = { now: Date.now(), opened, words: page.filter, keyed: key() !== null };
  const view = "models" in data ? drawModels(data.models, context) : drawModel(data.model, context);
  show(main, ...view.nodes);
  page.charts = view.charts;
  drawCharts();
  document.title = `${view.title} – calwatch`;
  byId("forget").hidden = key() === null;
  page.drawn = location.hash;
  main.setAttribute("aria-busy", "false");
  if (moved) arrive();
}

function drawCharts() {
  for (const canvas of main.querySelectorAll("[data-canvas]")) {
    const width = Math.floor(canvas.clientWidth);
    if (width) show(canvas, page.charts[canvas.getAttribute("data-canvas") ?? ""]?.(width));
  }
  renew(byId("tip"));
}

function arrive() {
  window.scrollTo(0, 0);
  main.querySelector("h1")?.focus({ preventScroll: true });
}

/** @param {unknown} error */
function fail(error) {
  main.setAttribute("aria-busy", "false");
  if (error instanceof KeyNeeded) return askForKey();
  if (!(error instanceof Unreachable || error instanceof Problem)) console.error(error);
  const gone = error instanceof Problem && error.status === 404;
  const hash = location.hash;
  status(gone ? "live" : "down", gone ? "Live" : "Not connected");
  if (page.drawn === hash && !gone) {
    const at = `${utc(page.answeredAt, "second")} UTC`;
    return banner(`${messageOf(error)} Shown is the state of ${at}; asking again every five seconds.`);
  }
  banner(null);
  page.drawn = hash;
  return show(main, failure(error, gone, routeOf(hash).model !== null));
}

/**
 * @param {unknown} error
 * @param {boolean} gone
 * @param {boolean} away  from the list of models
 */
function failure(error, gone, away) {
  const silent = error instanceof Unreachable;
  const title = gone ? "No such model" : silent ? "The server does not answer" : "The server can’t answer now";
  return el(
    "section",
    { class: "blank" },
    el("h1", { tabindex: -1 }, title),
    el("p", null, messageOf(error)),
    el("p", null, gone ? "It was deleted, or has had no event yet." : "Asking again every five seconds."),
    reasonList(reasonsOf(error)),
    away && el("p", null, el("a", { href: "#/" }, "All models")),
  );
}

function askForKey() {
  const refused = key() !== null;
  keepKey(null);
  status("down", "Key needed");
  banner(null);
  page.drawn = null;
  show(
    main,
    el(
      "section",
      { class: "blank" },
      el("h1", { tabindex: -1 }, "An API key, please"),
      el(
        "p",
        { id: "key-hint" },
        "This server needs an API key. ",
        el("code", null, "calwatch keys create"),
        " makes one; it stays in this tab and is forgotten with it.",
      ),
      keyForm(refused),
    ),
  );
  byId("key-field").focus();
}

/** @param {boolean} refused */
function keyForm(refused) {
  return el(
    "form",
    { id: "key", class: "key" },
    el("label", { for: "key-field" }, "API key"),
    el("input", {
      id: "key-field",
      name: "key",
      type: "password",
      autocomplete: "off",
      spellcheck: "false",
      required: true,
      "aria-describedby": "key-hint key-error",
    }),
    el("button", { type: "submit", class: "primary" }, "Use key"),
    el("p", { id: "key-error", class: "trouble", role: "alert" }, refused ? "The server refused that key." : ""),
  );
}

/** @param {string} text */
function takeKey(text) {
  const value = text.trim();
  if (!plausibleKey(value)) {
    byId("key-error").textContent = "A key has no spaces and only plain characters.";
    return;
  }
  keepKey(value);
  refresh();
}

/**
 * Show or hide the banner.
 * @param {string | null} text
 */
function banner(text) {
  const node = byId("banner");
  node.hidden = text === null;
  if (node.textContent !== (text ?? "")) node.textContent = text ?? "";
  document.body.classList.toggle("stale", text !== null);
}

/**
 * @param {"live" | "down"} look
 * @param {string} text
 * @param {string} [at]
 */
function status(look, text, at) {
  const node = byId("link");
  node.className = `link ${look}`;
  show(node, el("span", null, text, at && el("span", { class: "at", "aria-hidden": "true" }, at)));
}

/**
 * Set a choice in the address of the model that is shown.
 * @param {string} name
 * @param {string} value
 */
function choose(name, value) {
  const { model, choices } = routeOf(location.hash);
  const query = new URLSearchParams({ ...choices, [name]: value });
  for (const [field, chosen] of Array.from(query)) if (!chosen) query.delete(field);
  history.replaceState(null, "", `#/model/${encodeURIComponent(model ?? "")}?${query}`);
  refresh();
}

/** @param {HTMLElement} button */
function press(button) {
  const { act: action, name = "", value = "" } = button.dataset;
  if (action === "choose") choose(name, value);
  else act(button, page.data && "model" in page.data ? page.data.model.name : null, refresh);
}

document.addEventListener("submit", (event) => {
  event.preventDefault();
  const field = document.getElementById("key-field");
  if (closest(event.target, "#key") && field instanceof HTMLInputElement) takeKey(field.value);
});
document.addEventListener("change", ({ target }) => {
  const control = target instanceof HTMLInputElement || target instanceof HTMLSelectElement;
  if (control && closest(target, "#choices")) choose(target.name, target.value);
});
document.addEventListener("input", ({ target }) => {
  if (!(target instanceof HTMLInputElement) || target.name !== "filter") return;
  page.filter = target.value;
  if (page.data) draw(page.data);
});
document.addEventListener("click", (event) => {
  const button = closest(event.target, "[data-act]");
  if (button instanceof HTMLElement) press(button);
});
byId("skip").addEventListener("click", (event) => {
  event.preventDefault(); // the part after # names a view here, not a place
  main.focus();
});
byId("forget").addEventListener("click", () => {
  keepKey(null);
  refresh();
});
document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(page.timer) : refresh()));
window.addEventListener("hashchange", refresh);
window.addEventListener("resize", () => page.data && drawCharts());
follow(byId("tip"));
show(main, el("p", { class: "blank waiting", role: "status" }, "Loading…"));
refresh();
