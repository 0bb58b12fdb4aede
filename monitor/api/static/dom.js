/** DOM nodes: made from plain values, never from markup, and patched in place so that nothing flickers. */

const SVG = "http://www.w3.org/2000/svg";

/** @typedef {Node | string | number | false | null | undefined | Child[]} Child  Numbers and strings become text; absent ones are left out. */
/** @typedef {Record<string, string | number | boolean | null | undefined>} Attributes  True sets a bare attribute; false, null and undefined set none. */

/**
 * Make an HTML element.
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Attributes | null} [attributes]
 * @param {Child[]} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function el(tag, attributes, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/**
 * Make an SVG element.
 * @template {keyof SVGElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Attributes | null} [attributes]
 * @param {Child[]} children
 * @returns {SVGElementTagNameMap[Tag]}
 */
export function svg(tag, attributes, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

/**
 * Return an element of the page's frame, which is always there.
 * @param {string} id
 * @returns {HTMLElement}
 */
export function byId(id) {
  const node = document.getElementById(id);
  if (!node) throw new Error(`the page has no element #${id}`);
  return node;
}

/**
 * Return the children that are present, with a separator between them.
 * @param {Child[]} children
 * @param {string} separator
 * @returns {Child[]}
 */
export function joined(children, separator) {
  return children.filter(present).flatMap((child, i) => (i ? [separator, child] : [child]));
}

/**
 * Replace the children of an element; nodes that stay keep focus, selection and open details.
 * @param {Element} live
 * @param {Child[]} children
 */
export function show(live, ...children) {
  const fresh = shallowCopy(live);
  fresh.append(...nodesOf(children));
  patchChildren(live, fresh);
}

/**
 * @param {Child} child
 * @returns {child is Exclude<Child, false | null | undefined>}
 */
function present(child) {
  return child !== null && child !== undefined && child !== false;
}

/**
 * @param {Child[]} children
 * @returns {(Node | string)[]}
 */
function nodesOf(children) {
  return children.filter(present).flatMap((child) => {
    if (Array.isArray(child)) return nodesOf(child);
    return [child instanceof Node ? child : String(child)];
  });
}

/**
 * @template {Element} Made
 * @param {Made} node
 * @param {Attributes | null | undefined} attributes
 * @param {Child[]} children
 */
function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value !== null && value !== undefined && value !== false)
      node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...nodesOf(children));
  return node;
}

/** @param {Element} node */
function shallowCopy(node) {
  return /** @type {Element} */ (node.cloneNode(false));
}

/**
 * Make `live` look like `fresh`.
 * @param {ChildNode} live
 * @param {ChildNode} fresh
 */
function patch(live, fresh) {
  if (live.nodeName !== fresh.nodeName) {
    live.replaceWith(fresh);
  } else if (live instanceof Text && fresh instanceof Text) {
    if (live.data !== fresh.data) live.data = fresh.data;
  } else if (live instanceof Element && fresh instanceof Element) {
    patchAttributes(live, fresh);
    if (!fresh.hasAttribute("data-canvas")) patchChildren(live, fresh);
    patchControl(live, fresh);
  }
}

/**
 * @param {Element} live
 * @param {Element} fresh
 */
function patchAttributes(live, fresh) {
  for (const { name } of Array.from(live.attributes)) {
    // Details opened by the reader stay open.
    if (!fresh.hasAttribute(name) && !(name === "open" && live.nodeName === "DETAILS")) live.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) {
    if (live.getAttribute(name) !== value) live.setAttribute(name, value);
  }
}

/**
 * @param {Element} live
 * @param {Element} fresh
 */
function patchChildren(live, fresh) {
  const keyed = new Map([...live.children].map((child) => [keyOf(child), child]));
  let at = live.firstChild;
  for (const child of Array.from(fresh.childNodes)) {
    const key = keyOf(child);
    const match = key ? keyed.get(key) : at && !keyOf(at) ? at : null;
    if (at && match === at) at = at.nextSibling;
    else live.insertBefore(match ?? child, at);
    if (match) patch(match, child);
  }
  while (at) {
    const gone = at;
    at = at.nextSibling;
    gone.remove();
  }
}

/** @param {Node} node */
function keyOf(node) {
  return node instanceof Element ? node.getAttribute("data-key") : null;
}

/**
 * @param {Element} live
 * @param {Element} fresh
 */
function patchControl(live, fresh) {
  // A control that was used no longer follows its attributes.
  if (live instanceof HTMLSelectElement && fresh instanceof HTMLSelectElement) {
    if (live.value !== fresh.value) live.value = fresh.value;
  } else if (live instanceof HTMLInputElement && fresh instanceof HTMLInputElement && live.type === "radio") {
    live.checked = fresh.checked;
  }
}
