/** The versions of a model's calibrator, with the evidence for each. */

import { el, joined } from "../dom.js";
import { mapPlot } from "../charts/map.js";
import { moment, section, trouble } from "../parts.js";
import { drawSteps, drawTrials } from "./audit.js";
import { facts, fittedWords, gateWords, methodName, parameterWords } from "../words.js";

const SHOWN = 4;

/** Draw the section of a model's calibrators. */
export function drawCalibrators({ value, error }, settings, audit) {
  if (error) return section("calibrators", "Calibrators", trouble(error));
  const { champion = null, challenger = null } = value;
  const newestFirst = [...(value.calibrators ?? [])].sort((a, b) => b.number - a.number);
  // The champion stands among the first, however old it is.
  const first = newestFirst.filter(({ number }, i) => i < SHOWN || number === champion);
  const rest = newestFirst.filter((document) => !first.includes(document));
  const list = (some) =>
    el(
      "ol",
      { class: "versions" },
      some.map((document) => version(document, champion, challenger)),
    );
  return section(
    "calibrators",
    "Calibrators",
    el(
      "div",
      { class: "part-actions" },
      champion !== null &&
        el(
          "button",
          { type: "button", "data-act": "rollback", "data-number": champion, "data-key": "rollback" },
          "Roll back",
        ),
      el("button", { type: "button", "data-act": "refit", "data-key": "refit" }, "Refit now"),
    ),
    champion === null && el("p", { class: "quiet-words" }, noChampion(newestFirst, settings)),
    drawTrials(value.trials),
    first.length ? list(first) : null,
    rest.length ? el("details", null, el("summary", null, `${rest.length} earlier`), list(rest)) : null,
    drawSteps(audit),
  );
}

function noChampion(documents, { recalibration }) {
  const now = "No calibrator serves: predictions go out as the model makes them.";
  if (documents.length) return now;
  const then = {
    auto: " A breach fits one and promotes it if it passes its gate.",
    propose: " A breach fits one and waits for you to promote it.",
    shadow: " A breach fits one and scores it on live labels; it waits for you to promote it.",
  };
  return `${now}${then[recalibration] ?? ""}`;
}

function version(document, champion, challenger) {
  const { number, method, gate } = document;
  const role = number === champion ? "champion" : number === challenger ? "challenger" : null;
  return el(
    "li",
    { class: role === "champion" ? "version serving" : "version", "data-key": `v${number}` },
    mapPlot(document) ?? el("div", { class: "no-map", "aria-hidden": "true" }),
    el(
      "div",
      { class: "version-words" },
      el(
        "h3",
        null,
        `Version ${number} `,
        el("span", { class: "method" }, methodName(method)),
        role && el("span", { class: `badge ${role}` }, role),
      ),
      el("p", null, parameterWords(document)),
      el(
        "p",
        { class: "evidence" },
        joined(
          [el("span", { class: gate?.passed === false ? "failed" : null }, gateWords(gate)), fitted(document)],
          " \u00b7 ",
        ),
      ),
      el("p", { class: "evidence" }, "created ", moment(document.created_at)),
      evidence(document),
    ),
    el(
      "div",
      { class: "version-actions" },
      role !== "champion" &&
        el(
          "button",
          {
            type: "button",
            "data-act": "promote",
            "data-number": number,
            "data-warning": warningOf(gate),
            "aria-label": `Promote version ${number}`,
          },
          "Promote",
        ),
      el(
        "button",
        {
          type: "button",
          "data-act": "compare",
          "data-number": number,
          "data-against": role === "champion" ? "identity" : null,
          "aria-label": `Compare version ${number} with ${role === "champion" ? "no calibrator" : "what serves now"}`,
        },
        "Compare",
      ),
    ),
  );
}

function warningOf(gate) {
  if (!gate || !Object.keys(gate).length) return "No gate has tested it.";
  return gate.passed === false ? "It did not pass its gate." : null;
}

function fitted({ fitted_from: from }) {
  const words = fittedWords(from);
  return words && `fitted on ${words}`;
}

function evidence(document) {
  const groups = [
    ["Gate", document.gate],
    ["Fitted from", document.fitted_from],
    ["Parameters", document.parameters],
  ];
  const pairs = groups.flatMap(([name, record]) => facts(record, name));
  return el(
    "details",
    null,
    el("summary", null, "All evidence"),
    el(
      "dl",
      { class: "facts" },
      [...pairs, ["SHA-256", document.sha256 ?? ""]].map(([name, value]) =>
        el("div", null, el("dt", null, name), el("dd", null, value)),
      ),
    ),
  );
}
