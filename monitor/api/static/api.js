/** The HTTP API: how the page asks, and the ways in which that fails. */

/** @import { Models, ModelCalls } from "./types.js" */

const TIMEOUT_MS = 20_000;
const STORAGE_KEY = "calwatch-key";
/** @type {string | null} */
let memory = null;

/** @typedef {Record<string, string>} Query */

/** The server could not be reached, or did not answer in time. */
export class Unreachable extends Error {}

/** The server needs an API key, or another one. */
export class KeyNeeded extends Error {}

/** The server refused, with its reasons (RFC 9457). */
export class Problem extends Error {
  /**
   * @param {number} status
   * @param {Partial<import("./types.js").Problem> | null} answer
   */
  constructor(status, answer) {
    super(sentence(answer?.detail || answer?.title || `The server answered with status ${status}`));
    this.status = status;
    /** @type {string[]} */
    this.reasons = (Array.isArray(answer?.errors) ? answer.errors : []).map(reasonOf).filter(Boolean);
  }
}

/**
 * Get all models.
 * @returns {Promise<Models>}
 */
export function getModels() {
  return ask("GET", "v1/models");
}

/**
 * Get the answer to a call on a model.
 * @template {keyof ModelCalls & string} Call
 * @param {string} model
 * @param {Call} call  empty for the model itself
 * @param {Query} [query]
 * @returns {Promise<ModelCalls[Call]>}
 */
export function getOf(model, call, query) {
  return get(modelPath(model, ...(call ? [call] : [])), query);
}

/**
 * Get JSON from a path relative to the page.
 * @template Answer
 * @param {string} path
 * @param {Query} [query]
 * @returns {Promise<Answer>}
 */
export function get(path, query) {
  return ask("GET", path, query);
}

/**
 * Post a JSON body.
 * @template Answer
 * @param {string} path
 * @param {object} body
 * @returns {Promise<Answer>}
 */
export function post(path, body) {
  return ask("POST", path, undefined, body);
}

/**
 * Delete what is at a path.
 * @template Answer
 * @param {string} path
 * @returns {Promise<Answer>}
 */
export function remove(path) {
  return ask("DELETE", path);
}

/**
 * Return the path of a model, or of something below it; any name is safe.
 * @param {string} model
 * @param {(string | number)[]} rest
 */
export function modelPath(model, ...rest) {
  return ["v1", "models", model, ...rest].map((part) => encodeURIComponent(part)).join("/");
}

/**
 * Return the reasons that an error carries.
 * @param {unknown} error
 */
export function reasonsOf(error) {
  return error instanceof Problem ? error.reasons : [];
}

/**
 * Return the message of anything thrown.
 * @param {unknown} error
 */
export function messageOf(error) {
  return error instanceof Error ? error.message : String(error);
}

/** Return the API key of this tab, or null. */
export function key() {
  try {
    return sessionStorage.getItem(STORAGE_KEY) ?? memory;
  } catch {
    return memory; // storage is switched off: the key lasts as long as the page
  }
}

/**
 * Keep a key for this tab; null forgets it.
 * @param {string | null} value
 */
export function keepKey(value) {
  memory = value;
  try {
    if (value === null) sessionStorage.removeItem(STORAGE_KEY);
    else sessionStorage.setItem(STORAGE_KEY, value);
  } catch {
    // as above
  }
}

/**
 * Tell whether a text can be sent as a key.
 * @param {string} value
 */
export function plausibleKey(value) {
  return /^[!-~]+$/u.test(value);
}

/**
 * @param {"GET" | "POST" | "DELETE"} method
 * @param {string} path
 * @param {Query} [query]
 * @param {object} [body]
 */
async function ask(method, path, query, body) {
  const response = await reach(`${path}${query ? `?${new URLSearchParams(query)}` : ""}`, {
    method,
    headers: headersFor(body),
    body: body === undefined ? null : JSON.stringify(body),
    cache: method === "GET" ? "no-cache" : "no-store",
    credentials: "same-origin",
    redirect: "error",
  });
  if (response.status === 401) throw new KeyNeeded("An API key is needed.");
  const answer = await jsonOf(response);
  if (!response.ok) throw new Problem(response.status, answer);
  if (answer === null) throw new Problem(response.status, { detail: "The answer is not JSON." });
  return answer;
}

/**
 * @param {string} url
 * @param {RequestInit} options
 */
async function reach(url, options) {
  try {
    return await fetch(url, { ...options, signal: AbortSignal.timeout(TIMEOUT_MS) });
  } catch (error) {
    const late = error instanceof DOMException && error.name === "TimeoutError";
    throw new Unreachable(late ? "The server takes too long to answer." : "The server does not answer.", {
      cause: error,
    });
  }
}

/** @param {Response} response */
async function jsonOf(response) {
  let text;
  try {
    text = await response.text();
  } catch (error) {
    throw new Unreachable("The connection broke off.", { cause: error });
  }
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** @param {object | undefined} body */
function headersFor(body) {
  /** @type {Record<string, string>} */
  const headers = { Accept: "application/json" };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (key()) headers.Authorization = `Bearer ${key()}`;
  return headers;
}

/** @param {string} text */
function sentence(text) {
  return /[.!?]$/u.test(text) ? text : `${text}.`;
}

/** @param {{ field?: string, reason?: string } | undefined} error */
function reasonOf({ field, reason } = {}) {
  return [field, reason].filter(Boolean).join(": ");
}
