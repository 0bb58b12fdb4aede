/** Small parts that both views are made of. */

import { el, svg } from "./dom.js";
import { ago, known, stateName, utc } from "./words.js";

const SHAPES = {
  good: "M3.5 8.5l3 3 6-7",
  bad: "M8 3.5v5.5M8 12v.5",
  unsure: "M4 8h.1M8 8h.1M12 8h.1",
};

/** Return which way a state leans: good, bad or unsure. */
export function toneOf(state) {
  return { calibrated: "good", miscalibrated: "bad" }[state] ?? "unsure";
}

/** Draw the sign of a state: a shape of its own as well as a colour. */
export function sign(state) {
  const tone = toneOf(state);
  return svg(
    "svg",
    { class: `sign ${tone}`, viewBox: "0 0 16 16", width: 18, height: 18, role: "img", "aria-label": stateName(state) },
    svg("circle", { cx: 8, cy: 8, r: 8 }),
    svg("path", { d: SHAPES[tone] }),
  );
}

/** Write a figure, or a dash that says why there is none. */
export function valueOr(value, form, why) {
  if (known(value)) return form(value);
  return el(
    "span",
    { class: "none", title: why },
    el("span", { "aria-hidden": "true" }, "\u2014"),
    el("span", { class: "unseen" }, why),
  );
}

/** Write a moment in UTC. */
export function moment(time, form = "moment") {
  return el("time", { datetime: time, title: `${utc(time, "full")} UTC` }, `${utc(time, form)}\u00a0UTC`);
}

/** Write how long ago something was, with the moment behind it. */
export function since(time, now) {
  return time ? el("time", { datetime: time, title: `${utc(time, "full")} UTC` }, ago(time, now)) : null;
}

/** Say that a part of the page could not be had. */
export function trouble(error) {
  return el("p", { class: "trouble" }, error.message, ...(error.reasons ?? []).map((reason) => ` ${reason}.`));
}

/** Make a section with a heading. */
export function section(name, title, ...children) {
  return el(
    "section",
    { class: `part ${name}`, "aria-labelledby": `title-${name}`, "data-key": name },
    el("header", { class: "part-head" }, el("h2", { id: `title-${name}` }, title)),
    children,
  );
}
