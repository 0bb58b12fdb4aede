/** How well the probability of each class is calibrated. */

import { el } from "../dom.js";
import { section, valueOr } from "../parts.js";
import { count, known, percent, score, stateName } from "../words.js";

const SHOWN = 8;

/** Draw the section of a model's classes; nothing where there are none. */
export function drawClasses(evaluation) {
  const rows = [...(evaluation?.classes ?? [])].filter(({ labelled }) => labelled > 0).sort(byWeight);
  if (!rows.length) return null;
  return section(
    "classes",
    "Classes",
    el(
      "p",
      { class: "hint" },
      "The probability of each class against how often labels are that class.",
      known(evaluation.sce) && ` On average over classes the error is ${score(evaluation.sce)}.`,
    ),
    table(rows.slice(0, SHOWN)),
    rows.length > SHOWN &&
      el("details", null, el("summary", null, `${rows.length - SHOWN} more`), table(rows.slice(SHOWN))),
  );
}

// Those with a threshold of their own first, then the worst.
function byWeight(a, b) {
  return known(b.threshold) - known(a.threshold) || (b.ece ?? -1) - (a.ece ?? -1);
}

function table(rows) {
  const guarded = rows.some(({ threshold }) => known(threshold));
  const limits = guarded ? ["Threshold", "Verdict"] : [];
  const columns = ["Class", "Says", "Happens", "ECE", "At least", ...limits, "Labels"];
  return el(
    "div",
    { class: "scroll", tabindex: 0 },
    el(
      "table",
      { class: "ranked" },
      el("caption", { class: "unseen" }, "Calibration of each class"),
      el(
        "thead",
        null,
        el(
          "tr",
          null,
          columns.map((column) => el("th", { scope: "col" }, column)),
        ),
      ),
      el(
        "tbody",
        null,
        rows.map((row) => line(row, guarded)),
      ),
    ),
  );
}

function line(row, guarded) {
  const cells = [
    el("bdi", null, row.class),
    valueOr(row.mean_probability, percent, "no labels"),
    valueOr(row.observed, percent, "no labels"),
    valueOr(row.ece, score, "too few labels"),
    valueOr(row.ece_lower_bound, score, "the window before has too few labels"),
    ...(guarded ? [valueOr(row.threshold, String, "none of its own"), verdictOf(row)] : []),
    count(row.positives),
  ];
  return el(
    "tr",
    { class: row.verdict === "miscalibrated" ? "flagged" : null, "data-key": `class-${row.class}` },
    cells.map((cell) => el("td", null, cell)),
  );
}

function verdictOf({ verdict }) {
  return verdict ? stateName(verdict) : "\u2014";
}
