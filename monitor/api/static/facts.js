/** Records of the API whose fields vary, flattened into pairs of a name and a value. */

import { capital, count, NB, plain, quantity, utc } from "./format.js";

const LONGEST_LIST = 8;
const TIME = /^\d{4}-\d\d-\d\dT/u;

/**
 * Flatten a record into pairs of words.
 * @param {unknown} record
 * @param {string} [prefix]
 * @returns {[name: string, value: string][]}
 */
export function facts(record, prefix = "") {
  return Object.entries(record ?? {}).flatMap(([name, value]) => {
    const label = prefix ? `${prefix} › ${inside(plain(name))}` : plain(name);
    if (value === null || value === undefined || value === "") return [];
    if (Array.isArray(value)) return listFacts(label, value);
    return typeof value === "object" ? facts(value, label) : [[label, textOf(value)]];
  });
}

/**
 * Return the first facts of a record in one line.
 * @param {unknown} record
 * @param {number} most
 */
export function firstFacts(record, most) {
  const pairs = facts(record).slice(0, most);
  return capital(pairs.map(([name, value]) => `${inside(name)} ${value}`).join(", "));
}

/** @param {string} name */
function inside(name) {
  return /^[A-Z]{2}/u.test(name) ? name : name.charAt(0).toLowerCase() + name.slice(1);
}

/**
 * @param {string} label
 * @param {unknown[]} list
 * @returns {[string, string][]}
 */
function listFacts(label, list) {
  if (list.every((item) => typeof item !== "object" || item === null))
    return [[label, list.length > LONGEST_LIST ? `${count(list.length)} values` : list.map(textOf).join(", ")]];
  return list.flatMap((item, i) => facts(item, `${label} ${methodOf(item) ?? i + 1}`));
}

/** @param {unknown} item */
function methodOf(item) {
  return item instanceof Object && "method" in item ? item.method : null;
}

/** @param {unknown} value */
function textOf(value) {
  if (typeof value === "number") return quantity(value);
  if (typeof value === "boolean") return value ? "yes" : "no";
  const text = String(value);
  return TIME.test(text) ? `${utc(text)}${NB}UTC` : text;
}
