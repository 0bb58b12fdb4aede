/** What figures and states are called: numbers, times, verdicts, alerts and calibrators in plain words. */

const NB = "\u00a0";
const SECONDS = { s: 1, m: 60, h: 3600, d: 86400, w: 604800 };
const COUNT = new Intl.NumberFormat("en");
const COMPACT = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const DAY = { timeZone: "UTC", day: "numeric", month: "short" };
const CLOCK = { timeZone: "UTC", hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
const FORMATS = {
  day: new Intl.DateTimeFormat("en-GB", DAY),
  clock: new Intl.DateTimeFormat("en-GB", CLOCK),
  second: new Intl.DateTimeFormat("en-GB", { ...CLOCK, second: "2-digit" }),
  moment: new Intl.DateTimeFormat("en-GB", { ...DAY, ...CLOCK }),
  full: new Intl.DateTimeFormat("en-GB", { ...DAY, ...CLOCK, year: "numeric", second: "2-digit" }),
};

const LENGTHS = [
  ["d", 86400],
  ["h", 3600],
  ["min", 60],
];
const HIGH_SIGNS = "\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079\u207b";
const RAISED = Object.fromEntries([..."0123456789-"].map((sign, i) => [sign, HIGH_SIGNS[i]]));

const STATES = {
  calibrated: "Calibrated",
  miscalibrated: "Miscalibrated",
  too_few_labels: "Too few labels",
};
const ALERTS = {
  miscalibration: ["Miscalibrated", "Calibrated again"],
  score_drift: ["Scores drifted", "Scores back in range"],
  missing_labels: ["Labels are missing", "Labels arrive again"],
  stale: ["Clients do not serve what was promoted", "Clients serve what was promoted"],
};
const EVIDENCE = {
  e_value: (value) => `e-value ${power(value)}`,
  ece: (value) => `ECE ${score(value)}`,
  quantile_ece: (value) => `quantile ECE ${score(value)}`,
  quantile_ece_lower_bound: (value) => `at least ${score(value)}`,
  label_coverage: (value) => `${percent(value)} have a label`,
  usual_label_coverage: (value) => `usually ${percent(value)}`,
  ece_lower_bound: (value) => `at least ${score(value)}`,
  psi: (value) => `PSI ${score(value)}`,
  psi_null_95: (value) => `by chance up to ${score(value)}`,
  threshold: (value) => `threshold ${score(value)}`,
  labelled: (value) => `${count(value)} labels`,
  labels: (value) => `${count(value)} labels`,
};
const METHODS = {
  temperature: "Temperature",
  platt: "Platt",
  beta: "Beta",
  isotonic: "Isotonic",
  identity: "Identity",
  quadratic_logit: "Quadratic on the logit",
  scaling_binning: "Scaling-binning",
  vector: "Vector",
  structured_vector: "Structured vector",
  variance_scaling: "Variance scaling",
  pit_isotonic: "Isotonic on the PIT",
};

/** Say whether a value is a usable number. */
export function known(value) {
  return typeof value === "number" && Number.isFinite(value);
}

/** Write a score: three decimals, four when it is small. */
export function score(value) {
  const size = Math.abs(value);
  return value.toFixed(size > 0 && size < 0.00995 ? 4 : 3).replace("-", "\u2212");
}

/** Write any number found in evidence. */
export function figure(value) {
  if (Number.isInteger(value)) return COUNT.format(value).replace("-", "\u2212");
  return Math.abs(value) >= 10 ? COUNT.format(Number(value.toFixed(2))) : score(value);
}

/** Write a share as a percentage. */
export function percent(value, decimals = 1) {
  return `${(100 * value).toFixed(decimals)}${NB}%`;
}

/** Write a share with as many decimals as it has. */
export function sharePercent(value) {
  return `${Number((100 * value).toPrecision(3))}${NB}%`;
}

/** Write a count in full. */
export function count(value) {
  return COUNT.format(value);
}

/** Write a count in little room. */
export function compact(value) {
  return value < 10_000 ? COUNT.format(value) : COMPACT.format(value);
}

/** Write an e-value, or any number of unknown size; `log` is its natural logarithm, for those beyond all numbers. */
export function power(value, log = Math.log(value)) {
  const ten = log / Math.LN10;
  if (ten > 6 - 1e-9 || ten < -4) {
    const exponent = Math.floor(ten + 1e-9);
    const leading = (10 ** (ten - exponent)).toFixed(1);
    const raised = `10${[...String(exponent)].map((sign) => RAISED[sign]).join("")}`;
    return leading === "1.0" ? raised : `${leading}\u00d7${raised}`;
  }
  return value >= 100 ? COUNT.format(Math.round(value)) : String(Number(value.toPrecision(value >= 1 ? 3 : 2)));
}

/** Write a duration of the API, such as `46341s`, in its largest unit. */
export function duration(text) {
  const seconds = milliseconds(text) / 1000;
  if (!Number.isFinite(seconds)) return String(text);
  const [unit, size] = LENGTHS.find(([, length]) => seconds >= 2 * length) ?? ["s", 1];
  return `${Number((seconds / size).toFixed(seconds / size < 10 ? 1 : 0))}${NB}${unit}`;
}

/** Name a segment: `country,device:de,phone` is country: de, device: phone. */
export function segmentName(segment) {
  if (segment.startsWith("class=")) return `class ${segment.slice(6)}`;
  const at = segment.indexOf(":");
  const keys = segment.slice(0, at).split(",");
  // Commas and backslashes within values stand behind a backslash.
  const values = (segment.slice(at + 1).match(/(?:\\.|[^\\,])+|(?<=,)(?=,|$)|^(?=,)/g) ?? [""]).map((value) =>
    value.replace(/\\(.)/g, "$1"),
  );
  if (keys.length === 1) return `${keys[0]}: ${segment.slice(at + 1)}`;
  return keys.map((key, i) => `${key}: ${values[i] ?? ""}`).join(", ");
}

/** Return the error that an evaluation is judged by, with its bound, the noise it would have anyway, and its name. */
export function errorOf(evaluation) {
  const { quantile_ece: ece, quantile_ece_lower_bound: bound, quantile_ece_null_mean: floor } = evaluation ?? {};
  if (ece !== undefined) return { name: "Quantile ECE", ece, bound, floor };
  const { ece: error, ece_lower_bound: least, ece_null_mean: chance } = evaluation ?? {};
  return { name: "ECE", ece: error, bound: least, floor: chance };
}

/** Write a time in UTC; `form` is day, clock, second, moment or full. */
export function utc(time, form = "moment") {
  const date = new Date(time);
  return Number.isNaN(date.getTime()) ? "" : FORMATS[form].format(date);
}

/** Write the time between two moments in UTC, the date said once where it is one day. */
export function span(start, end) {
  const sameDay = utc(start, "day") === utc(end, "day");
  return `${utc(start)} \u2013 ${utc(end, sameDay ? "clock" : "moment")}${NB}UTC`;
}

/** Write how long ago something was. */
export function ago(time, now) {
  const seconds = Math.round((now - new Date(time).getTime()) / 1000);
  if (!Number.isFinite(seconds)) return "";
  if (seconds < 5) return "just now";
  const [unit, size] = Object.entries({ d: 86400, h: 3600, min: 60, s: 1 }).find(([, length]) => seconds >= length);
  return `${Math.floor(seconds / size)}${NB}${unit} ago`;
}

/** Return the milliseconds of a duration like `15m`, `24h` or `7d`. */
export function milliseconds(duration) {
  const [, size, unit] = /^(\d+(?:\.\d+)?)([smhdw])$/.exec(duration) ?? [];
  return unit ? 1000 * Number(size) * SECONDS[unit] : NaN;
}

/** Turn an identifier of the API into words. */
export function plain(identifier) {
  const text = String(identifier).replaceAll("_", " ").trim();
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** Name the state of a model. */
export function stateName(state) {
  return STATES[state] ?? (state ? plain(state) : "No verdict");
}

/** Return what an evaluation says on average and what happened: [mean confidence, observed share]. */
function saysAndIs(evaluation, task) {
  const bins = (evaluation.reliability ?? []).filter(
    (bin) => bin.count > 0 && known(bin.observed) && known(bin.mean_confidence),
  );
  const total = bins.reduce((sum, bin) => sum + bin.count, 0);
  const mean = (field) => bins.reduce((sum, bin) => sum + bin.count * bin[field], 0) / total;
  if (total) return [mean("mean_confidence"), mean("observed")];
  // The accuracy of a binary model is of its decisions, not how often class 1 happens.
  return [evaluation.mean_confidence, task === "binary" ? null : evaluation.accuracy];
}

/** Put the verdict of an evaluation in a sentence. */
export function verdict(evaluation, task) {
  if (!evaluation) return "No evaluation yet";
  if (evaluation.verdict === "too_few_labels") return tooFew(evaluation);
  const off = evaluation.verdict === "miscalibrated";
  const name = off ? leaning(evaluation.direction) : stateName(evaluation.verdict);
  if (evaluation.quantile_ece !== undefined) return regressionVerdict(evaluation, name, off);
  const [says, is] = saysAndIs(evaluation, task);
  if (!known(says) || !known(is)) return off && known(evaluation.ece) ? `${name}: ${offBy(evaluation.ece)}` : name;
  if (off && !shownByMeans(evaluation.direction, says, is)) return `${name}: ${tilted(evaluation, task)}`;
  const decimals = says > 0.985 || is > 0.985 || Math.abs(says - is) < 0.015 ? 1 : 0;
  const happens = task === "binary" ? "happens" : "is right";
  return `${name}: says ${percent(says, decimals)}, ${happens} ${percent(is, decimals)} of the time`;
}

/** Say on what a verdict rests. */
export function grounds(evaluation, { thresholds, false_alarm_rate: rate = 0.01 }) {
  const { name, ece, bound, floor } = errorOf(evaluation);
  const threshold = thresholds?.ece;
  if (!known(ece)) return "";
  const parts = [`${name} is ${score(ece)}`];
  if (known(bound))
    parts.push(`${bound > 0 ? `at least ${score(bound)}` : "not above zero"} with ${sureness(rate)} confidence`);
  if (known(threshold)) parts.push(`the threshold is ${score(threshold)}`);
  const noise = known(floor) ? ` A calibrated model would show about ${score(floor)} by chance.` : "";
  const doubt =
    evaluation.verdict === "calibrated" && known(threshold) && ece > threshold
      ? " That is above it, but not for certain."
      : "";
  return `${parts.join(", ").replace(/, (?=the)/, "; ")}.${doubt}${noise}`;
}

/** Say why a figure is missing. */
export function whyMissing(evaluation) {
  if (!evaluation || evaluation.labelled === 0) return "no labels in this window";
  if (evaluation.verdict === "too_few_labels") return "too few labels";
  return "not computed for this window";
}

/** Put an alert in words, without its time. */
export function alertWords(alert) {
  const [firing, resolved] = ALERTS[alert.kind] ?? [
    plain(alert.kind ?? "alert"),
    `${plain(alert.kind ?? "alert")} resolved`,
  ];
  const where = [
    alert.window && (alert.window === "sequential" ? "by the sequential test" : `over ${alert.window}`),
    alert.version && `version ${alert.version}`,
    alert.segment && segmentName(alert.segment),
  ];
  const [over, ...rest] = where.filter(Boolean);
  return [[alert.state === "resolved" ? resolved : firing, over].filter(Boolean).join(" "), ...rest].join(", ");
}

/** Put the evidence of an alert in one line. */
export function evidenceWords(evidence) {
  const found = evidence ?? {};
  const told = Object.entries(EVIDENCE)
    .filter(([name]) => known(found[name]))
    .map(([name, words]) => words(found[name]));
  if (told.length) return told.join(", ");
  return (
    found.summary ??
    facts(found)
      .slice(0, 4)
      .map(([name, value]) => `${name.toLowerCase()} ${value}`)
      .join(", ")
  );
}

/** Name a calibration method. */
export function methodName(method) {
  return METHODS[method] ?? plain(method ?? "unknown");
}

/** Say what the parameters of a calibrator do. */
export function parameterWords({ method, parameters: p = {} }) {
  if (method === "temperature" && known(p.temperature)) return temperatureWords(p.temperature);
  if (method === "platt" && known(p.slope))
    return `${slopeWords(p.slope)}: slope ${score(p.slope)}, intercept ${score(p.intercept)} on the logit`;
  if (method === "beta" && known(p.a)) return `Beta map: a ${score(p.a)}, b ${score(p.b)}, c ${score(p.c)}`;
  if (method === "isotonic" && Array.isArray(p.x) && p.x.length) {
    return `Rising map through ${count(p.x.length)} points, from ${score(p.y[0])} to ${score(p.y.at(-1))}`;
  }
  return facts(p)
    .slice(0, 4)
    .map(([name, value]) => `${name} ${value}`)
    .join(", ");
}

/** Say on what a calibrator was fitted. */
export function fittedWords(from) {
  if (!from) return "";
  const labels = [from.labels, from.labelled, from.rows, from.count, from.n].find(known);
  const parts = [known(labels) && `${count(labels)} labels`, from.start && from.end && span(from.start, from.end)];
  return (
    parts.filter(Boolean).join(", ") ||
    facts(from)
      .slice(0, 3)
      .map(([name, value]) => `${name} ${value}`)
      .join(", ")
  );
}

/** Say how the gate went. */
export function gateWords(gate) {
  if (!gate || !Object.keys(gate).length) return "Not gated";
  if (gate.passed === false) return ["Did not pass its gate", gate.reason].filter(Boolean).join(": ");
  return ["Passed its gate", gained(gate) ?? gate.reason].filter(Boolean).join(": ");
}

/** Flatten a record into pairs of words: [name, value]. */
export function facts(record, prefix = "") {
  return Object.entries(record ?? {}).flatMap(([name, value]) => {
    const label = prefix ? `${prefix} \u203a ${plain(name).toLowerCase()}` : plain(name);
    if (value === null || value === undefined || value === "") return [];
    if (Array.isArray(value)) return listFacts(label, value);
    return typeof value === "object" ? facts(value, label) : [[label, factText(value)]];
  });
}

function listFacts(label, list) {
  if (list.every((item) => typeof item !== "object")) {
    return [[label, list.length > 8 ? `${count(list.length)} values` : list.map(factText).join(", ")]];
  }
  return list.flatMap((item, i) => facts(item, `${label} ${item?.method ?? i + 1}`));
}

function factText(value) {
  if (typeof value === "number") return figure(value);
  if (typeof value === "boolean") return value ? "yes" : "no";
  return /^\d{4}-\d\d-\d\dT/.test(value) ? `${utc(value)}${NB}UTC` : String(value);
}

function gained(gate) {
  const comparisons = gate.comparisons ?? gate.evidence?.comparisons ?? {};
  const [against, found] = comparisons.incumbent
    ? ["the calibrator before it", comparisons.incumbent]
    : ["none", comparisons.identity];
  const regression = known(found?.gain_in_std);
  const gain = regression ? found.gain_in_std : found?.log_loss_gain;
  if (!known(gain)) return null;
  const low = regression ? found.gain_in_std_lower_bound : found.log_loss_gain_lower_bound;
  const surely = known(low) ? ` (at least ${score(low)})` : "";
  const better = regression
    ? `CRPS better by ${score(gain)} standard deviations`
    : `log loss better by ${score(gain)}`;
  return `${better}${surely} than with ${against}`;
}

function tooFew({ labelled, labels_needed: needed }) {
  if (!known(labelled)) return "Too few labels";
  const more = needed > 0 ? `, needs about ${count(Number(needed.toPrecision(2)))} more` : "";
  return `Too few labels: ${count(labelled)}${more}`;
}

function regressionVerdict({ direction, quantile_ece: ece, bias, coverage = [] }, name, off) {
  const [stated] = [...coverage].sort((a, b) => Math.abs(a.level - 0.9) - Math.abs(b.level - 0.9));
  const held = stated && `${percent(stated.observed, 0)} of labels lie in ${percent(stated.level, 0)} intervals`;
  if (!off) return held ? `${name}: ${held}` : name;
  const wrong = { overconfident: "too narrow", underconfident: "too wide" }[direction];
  const shift = known(bias) ? `predictions are too ${bias > 0 ? "high" : "low"}` : null;
  const words = wrong ? [wrong, held] : [shift, known(ece) && `quantiles ${offBy(ece)}`];
  return [name, words.filter(Boolean).join(", ")].filter(Boolean).join(": ");
}

function leaning(direction) {
  return { overconfident: "Overconfident", underconfident: "Underconfident" }[direction] ?? "Miscalibrated";
}

function sureness(rate) {
  return `${Number((100 * (1 - rate)).toFixed(3))}${NB}%`;
}

// Too sure on both sides of one half can cancel out in the mean.
function shownByMeans(direction, says, is) {
  const gap = says - is;
  return (
    Math.abs(gap) >= 0.01 &&
    (direction === "overconfident" ? gap > 0 : direction === "underconfident" ? gap < 0 : false)
  );
}

function tilted({ direction, ece }, task) {
  const shape = {
    overconfident: "too extreme",
    underconfident: task === "binary" ? "too close to one half" : "too timid",
  }[direction];
  return [shape ?? "too high here, too low there", known(ece) && offBy(ece)].filter(Boolean).join(", ");
}

function offBy(ece) {
  return `off by ${(100 * ece).toFixed(1)}${NB}points on average`;
}

function temperatureWords(temperature) {
  if (Math.abs(temperature - 1) < 0.005) return "Temperature 1.00: leaves probabilities as they are";
  return `Temperature ${temperature.toFixed(2)}: ${temperature > 1 ? "softens" : "sharpens"} every answer`;
}

function slopeWords(slope) {
  if (slope < 0) return "Turns the order around";
  return slope < 0.98 ? "Softens" : slope > 1.02 ? "Sharpens" : "Shifts";
}
