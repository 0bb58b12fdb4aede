/** Versions of a model's calibrator, with the evidence for each. */

/** @import { Part } from "../parts.js" */
/** @import { Audit, Calibrator, CalibratorMap, Calibrators, Facts, ModelAnswer } from "../types.js" */

import { mapPicture } from "../charts/map.js";
import { el, joined } from "../dom.js";
import { facts, firstFacts } from "../facts.js";
import { count, known, plain, score, span } from "../format.js";
import { moment, section, trouble } from "../parts.js";
import { drawSteps, drawTrials } from "./audit.js";
import { mapOf } from "./maps.js";

const SHOWN = 4;
const IDLE = "No calibrator in service: scores are served as the model makes them.";

/** @type {Partial<Record<ModelAnswer["recalibration"], string>>} */
const NEXT = {
  auto: " An alert fits one, which is promoted if it passes its gate.",
  propose: " An alert fits one, which waits for you to promote it.",
  shadow: " An alert fits one and scores it on live labels; it waits for you to promote it.",
};

/** @typedef {"champion" | "challenger" | null} Role */

/**
 * Draw the section of a model's calibrators.
 * @param {Part<Calibrators>} calibrators
 * @param {ModelAnswer} settings
 * @param {Part<Audit>} audit
 */
export function drawCalibrators({ value, error }, settings, audit) {
  if (!value) return section("calibrators", "Calibrators", trouble(error));
  const { champion, challenger } = value;
  const newestFirst = value.calibrators.toSorted((a, b) => b.number - a.number);
  // The champion is among the first, however old it is.
  const first = newestFirst.filter(({ number }, i) => i < SHOWN || number === champion);
  const rest = newestFirst.filter((version) => !first.includes(version));
  /** @param {Calibrator} version */
  const draw = (version) =>
    versionRow(version, version.number === champion ? "champion" : version.number === challenger ? "challenger" : null);
  return section(
    "calibrators",
    "Calibrators",
    mainActions(champion),
    champion === null &&
      el("p", { class: "quiet-words" }, IDLE, newestFirst.length ? null : NEXT[settings.recalibration]),
    drawTrials(value.trials),
    first.length > 0 && el("ol", { class: "versions" }, first.map(draw)),
    rest.length > 0 &&
      el(
        "details",
        null,
        el("summary", null, `${rest.length} earlier`),
        el("ol", { class: "versions" }, rest.map(draw)),
      ),
    drawSteps(audit),
  );
}

/** @param {number | null} champion */
function mainActions(champion) {
  const back = { type: "button", "data-act": "rollback", "data-number": champion, "data-key": "rollback" };
  return el(
    "div",
    { class: "part-actions" },
    champion !== null && el("button", back, "Roll back"),
    el("button", { type: "button", "data-act": "refit", "data-key": "refit" }, "Refit now"),
  );
}

/**
 * @param {Calibrator} version
 * @param {Role} role
 */
function versionRow(version, role) {
  const { number, gate, created_at: created, fitted_from: source } = version;
  const map = mapOf(version);
  const fitted = fittedWords(source);
  return el(
    "li",
    { class: role === "champion" ? "version serving" : "version", "data-key": `v${number}` },
    map ? mapPicture(map) : el("div", { class: "no-map", "aria-hidden": "true" }),
    el(
      "div",
      { class: "version-words" },
      heading(version, role),
      el("p", null, map ? mapWords(map) : firstFacts(version.parameters, 4)),
      el(
        "p",
        { class: "evidence" },
        joined(
          [
            el("span", { class: gate?.passed === false ? "failed" : null }, gateWords(gate)),
            fitted ? `fitted on ${fitted}` : null,
          ],
          " · ",
        ),
      ),
      el("p", { class: "evidence" }, "created ", moment(created)),
      allEvidence(version),
    ),
    versionActions(version, role),
  );
}

/**
 * @param {Calibrator} version
 * @param {Role} role
 */
function heading({ number, method }, role) {
  return el(
    "h3",
    null,
    `Calibrator ${number} `,
    el("span", { class: "method" }, plain(method)),
    role && el("span", { class: `badge ${role}` }, role),
  );
}

/**
 * @param {Calibrator} version
 * @param {Role} role
 */
function versionActions({ number, gate }, role) {
  const serves = role === "champion";
  const promote = {
    type: "button",
    "data-act": "promote",
    "data-number": number,
    "data-warning": warningOf(gate),
    "aria-label": `Promote calibrator ${number}`,
  };
  const reject = {
    type: "button",
    "data-act": "reject",
    "data-number": number,
    "aria-label": `Reject calibrator ${number}`,
  };
  const compare = {
    type: "button",
    "data-act": "compare",
    "data-number": number,
    "data-against": serves ? "identity" : null,
    "aria-label": `Compare calibrator ${number} with ${serves ? "no calibrator" : "what is served now"}`,
  };
  return el(
    "div",
    { class: "version-actions" },
    !serves && el("button", promote, "Promote"),
    role && !serves && el("button", reject, "Reject"),
    el("button", compare, "Compare"),
  );
}

/** @param {Facts | null} gate */
function warningOf(gate) {
  if (!gate || !Object.keys(gate).length) return "No gate has tested it.";
  return gate.passed === false ? "It did not pass its gate." : null;
}

/**
 * Say what a map makes of a low and of a high score, by the first curve.
 * @param {CalibratorMap} map
 */
function mapWords({ curves, x_label: across, y_label: up }) {
  const [curve] = curves;
  if (!curve) return "";
  /** @param {number} wanted */
  const pair = (wanted) => {
    const i = curve.x.findIndex((value) => value >= wanted - 1e-9);
    return `${score(curve.x[i] ?? wanted)} becomes ${score(curve.y[i] ?? wanted)}`;
  };
  const scope = curve.name === null ? "" : ` of ${curve.name}`;
  return `${plain(across.replaceAll(" ", "_"))}${scope} to ${up}: ${pair(0.1)}, ${pair(0.9)}`;
}

/**
 * Say on what a calibrator was fitted.
 * @param {Facts} source
 */
function fittedWords({ labels, start, end, ...rest }) {
  const parts = [
    known(labels) && `${count(labels)} labels`,
    typeof start === "string" && typeof end === "string" && span(start, end),
  ];
  return parts.filter(Boolean).join(", ") || firstFacts(rest, 3);
}

/**
 * Say how the gate went.
 * @param {Facts | null} gate
 */
function gateWords(gate) {
  if (!gate || !Object.keys(gate).length) return "Not gated";
  if (gate.passed === false) return ["Did not pass its gate", gate.reason].filter(Boolean).join(": ");
  return ["Passed its gate", gainWords(gate) ?? gate.reason].filter(Boolean).join(": ");
}

/** @param {Facts} gate */
function gainWords({ comparisons }) {
  const { incumbent, identity } = /** @type {Record<string, Record<string, unknown> | undefined>} */ (
    comparisons ?? {}
  );
  const {
    gain_in_std: std,
    gain_in_std_lower_bound: stdLow,
    log_loss_gain: loss,
    log_loss_gain_lower_bound: lossLow,
  } = incumbent ?? identity ?? {};
  const [gain, low] = known(std) ? [std, stdLow] : [loss, lossLow];
  if (!known(gain)) return null;
  const unit = known(std) ? " standard deviations" : "";
  const least = known(low) ? ` (at least ${score(low)})` : "";
  const against = incumbent ? "the calibrator before it" : "no calibrator";
  return `${known(std) ? "CRPS" : "log loss"} better by ${score(gain)}${unit}${least} than with ${against}`;
}

/** @param {Calibrator} version */
function allEvidence({ gate, fitted_from: source, parameters, sha256 }) {
  const pairs = [
    ...facts(gate, "Gate"),
    ...facts(source, "Fitted from"),
    ...facts(parameters, "Parameters"),
    /** @type {const} */ (["SHA-256", sha256]),
  ];
  return el(
    "details",
    null,
    el("summary", null, "All evidence"),
    el(
      "dl",
      { class: "facts" },
      pairs.map(([name, value]) => el("div", null, el("dt", null, name), el("dd", null, value))),
    ),
  );
}
