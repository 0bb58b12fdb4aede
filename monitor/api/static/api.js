/** The HTTP API: one function that asks, and the three ways in which it fails. */

const TIMEOUT_MS = 20_000;
const KEPT_AS = "calwatch-key";
let memory = null;

/** The server could not be reached, or did not answer in time. */
export class Unreachable extends Error {}

/** The server wants a key, or another one. */
export class KeyNeeded extends Error {}

/** The server said no, and why (RFC 9457). */
export class Problem extends Error {
  constructor(status, body) {
    super(sentence(body?.detail || body?.title || `The server answered with status ${status}`));
    this.status = status;
    this.reasons = (Array.isArray(body?.errors) ? body.errors : []).map(reasonOf).filter(Boolean);
  }
}

/** Get JSON from a path relative to the page. */
export function get(path, query) {
  return ask("GET", path, query);
}

/** Post a JSON body. */
export function post(path, body) {
  return ask("POST", path, null, body);
}

/** Return the path of a model, whatever its name holds. */
export function modelPath(name, ...rest) {
  return ["v1", "models", name, ...rest].map((part) => encodeURIComponent(part)).join("/");
}

/** Return the API key of this tab, or null. */
export function key() {
  try {
    return sessionStorage.getItem(KEPT_AS) ?? memory;
  } catch {
    return memory; // storage is switched off: the key lasts as long as the page
  }
}

/** Keep a key for this tab; null forgets it. */
export function keepKey(value) {
  memory = value;
  try {
    if (value === null) sessionStorage.removeItem(KEPT_AS);
    else sessionStorage.setItem(KEPT_AS, value);
  } catch {
    // as above
  }
}

/** Say whether a text can be sent as a key at all. */
export function plausibleKey(value) {
  return /^[\x21-\x7e]+$/.test(value);
}

async function ask(method, path, query, body) {
  const response = await reach(`${path}${query ? `?${new URLSearchParams(query)}` : ""}`, {
    method,
    headers: headersFor(body),
    body: body === undefined ? undefined : JSON.stringify(body),
    cache: method === "GET" ? "no-cache" : "no-store",
    credentials: "same-origin",
    redirect: "error",
  });
  if (response.status === 401) throw new KeyNeeded("An API key is needed.");
  const answer = await bodyOf(response);
  if (!response.ok) throw new Problem(response.status, answer);
  if (answer === null) throw new Problem(response.status, { detail: "The answer is not JSON." });
  return answer;
}

async function reach(url, options) {
  try {
    return await fetch(url, { ...options, signal: AbortSignal.timeout(TIMEOUT_MS) });
  } catch (error) {
    throw new Unreachable(
      error.name === "TimeoutError" ? "The server takes too long to answer." : "The server does not answer.",
    );
  }
}

async function bodyOf(response) {
  let text;
  try {
    text = await response.text();
  } catch {
    throw new Unreachable("The connection broke off.");
  }
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function headersFor(body) {
  const headers = { Accept: "application/json" };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (key()) headers.Authorization = `Bearer ${key()}`;
  return headers;
}

function sentence(text) {
  return /[.!?]$/.test(text) ? text : `${text}.`;
}

function reasonOf({ field, reason } = {}) {
  return [field, reason].filter(Boolean).join(": ");
}
