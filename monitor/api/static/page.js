/** The page: which view the address names, when it is renewed, and what the reader may do. */

import { KeyNeeded, Problem, Unreachable, keepKey, key, plausibleKey } from "./api.js";
import { el, show } from "./dom.js";
import { act } from "./views/actions.js";
import { loadModel, drawModel } from "./views/model.js";
import { loadModels, drawModels } from "./views/models.js";
import { follow, renew } from "./tip.js";
import { utc } from "./words.js";

const EVERY_MS = 5_000;
const opened = Date.now();
const main = document.getElementById("main");
const page = { turn: 0, timer: null, drawn: null, data: null, answeredAt: null, filter: "" };

/** Read the address: the list, or a model with its choices. */
function routeOf(hash) {
  const [, name, query] = /^#\/model\/([^?]+)(?:\?(.*))?$/.exec(hash) ?? [];
  return name
    ? { model: decoded(name), choices: Object.fromEntries(new URLSearchParams(query ?? "")) }
    : { model: null, choices: {} };
}

async function refresh() {
  const turn = ++page.turn;
  clearTimeout(page.timer);
  const route = routeOf(location.hash);
  main.setAttribute("aria-busy", String(page.drawn !== location.hash));
  try {
    const data = await (route.model === null ? loadModels() : loadModel(route.model, route.choices));
    if (turn === page.turn) succeed(route, data);
  } catch (error) {
    if (turn === page.turn) fail(error);
  }
  if (turn === page.turn) schedule();
}

function schedule() {
  clearTimeout(page.timer);
  if (!document.hidden && !document.getElementById("key")) page.timer = setTimeout(refresh, EVERY_MS);
}

function succeed(route, data) {
  Object.assign(page, { data: { route, data }, answeredAt: Date.now() });
  draw();
  banner(null);
  status("live", "Live", ` \u00b7 ${utc(page.answeredAt, "second")} UTC`);
}

function draw() {
  const { route, data } = page.data;
  const moved = page.drawn !== null && viewOf(page.drawn) !== viewOf(location.hash);
  const context = { now: Date.now(), opened, words: page.filter, keyed: key() !== null };
  const view = route.model === null ? drawModels(data, context) : drawModel(data, context);
  show(main, ...view.nodes);
  page.charts = view.charts ?? {};
  drawCharts();
  document.title = `${view.title} \u2013 calwatch`;
  document.getElementById("forget").hidden = key() === null;
  page.drawn = location.hash;
  main.setAttribute("aria-busy", "false");
  if (moved) arrive();
}

function drawCharts() {
  for (const canvas of main.querySelectorAll("[data-canvas]")) {
    const width = Math.floor(canvas.clientWidth);
    if (width) show(canvas, page.charts[canvas.dataset.canvas](width));
  }
  renew(document.getElementById("tip"));
}

function arrive() {
  window.scrollTo(0, 0);
  main.querySelector("h1")?.focus({ preventScroll: true });
}

function viewOf(hash) {
  return routeOf(hash).model;
}

function fail(error) {
  main.setAttribute("aria-busy", "false");
  if (error instanceof KeyNeeded) return askForKey();
  if (!(error instanceof Unreachable || error instanceof Problem)) console.error(error);
  const gone = error.status === 404;
  status(gone ? "live" : "down", gone ? "Live" : "Not connected");
  if (page.drawn === location.hash && !gone)
    return banner(
      `${error.message} Shown is the state of ${utc(page.answeredAt, "second")} UTC; asking again every five seconds.`,
    );
  banner(null);
  page.drawn = location.hash;
  show(
    main,
    el(
      "section",
      { class: "blank" },
      el(
        "h1",
        { tabindex: -1 },
        gone
          ? "No such model"
          : error instanceof Unreachable
            ? "The server does not answer"
            : "The server can\u2019t answer now",
      ),
      el("p", null, error.message),
      el("p", null, gone ? "It may have been deleted, or has had no event yet." : "Asking again every five seconds."),
      error.reasons?.length
        ? el(
            "ul",
            null,
            error.reasons.map((reason) => el("li", null, reason)),
          )
        : null,
      routeOf(location.hash).model !== null && el("p", null, el("a", { href: "#/" }, "All models")),
    ),
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
        "This server answers to keys only. ",
        el("code", null, "calwatch keys create"),
        " makes one; it stays in this tab and is forgotten with it.",
      ),
      el(
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
      ),
    ),
  );
  document.getElementById("key-field").focus();
}

function takeKey(field) {
  const value = field.value.trim();
  if (!plausibleKey(value)) {
    document.getElementById("key-error").textContent = "A key has no spaces and only plain characters.";
    return;
  }
  keepKey(value);
  refresh();
}

function banner(text) {
  const node = document.getElementById("banner");
  node.hidden = text === null;
  if (node.textContent !== (text ?? "")) node.textContent = text ?? "";
  document.body.classList.toggle("stale", text !== null);
}

function status(kind, text, at) {
  const node = document.getElementById("link");
  node.className = `link ${kind}`;
  show(node, el("span", null, text, at && el("span", { class: "at", "aria-hidden": "true" }, at)));
}

function choose(name, value) {
  const { model, choices } = routeOf(location.hash);
  const query = new URLSearchParams({ ...choices, [name]: value });
  for (const [field, chosen] of [...query]) if (!chosen) query.delete(field);
  history.replaceState(null, "", `#/model/${encodeURIComponent(model)}?${query}`);
  refresh();
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // a stray % in a link made by hand
  }
}

document.addEventListener("submit", (event) => {
  event.preventDefault();
  if (event.target.id === "key") takeKey(event.target.elements.key);
});
document.addEventListener("change", (event) => {
  if (event.target.closest("#choices")) choose(event.target.name, event.target.value);
});
document.addEventListener("input", (event) => {
  if (event.target.name !== "filter") return;
  page.filter = event.target.value;
  draw();
});
document.addEventListener("click", (event) => {
  const target = event.target.closest("[data-act]");
  if (target?.dataset.act === "choose") choose(target.dataset.name, target.dataset.value);
  else if (target) act(target, page.data.route.model, refresh);
});
document.getElementById("skip").addEventListener("click", (event) => {
  event.preventDefault(); // the part after # names a view here, not a place
  main.focus();
});
document.getElementById("forget").addEventListener("click", () => {
  keepKey(null);
  refresh();
});
document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(page.timer) : refresh()));
window.addEventListener("hashchange", refresh);
window.addEventListener("resize", () => page.data && drawCharts());
follow(document.getElementById("tip"));
show(main, el("p", { class: "blank waiting", role: "status" }, "Loading\u2026"));
refresh();
