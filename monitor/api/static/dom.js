/** Nodes: made from plain values, never from markup, and patched in place so that nothing flickers. */

const SVG = "http://www.w3.org/2000/svg";

/** Make an HTML element; strings among the children become text. */
export function el(tag, attributes, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** Make an SVG element. */
export function svg(tag, attributes, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

/** Return children with a separator between each two. */
export function joined(children, separator) {
  return children.filter(present).flatMap((child, i) => (i ? [separator, child] : [child]));
}

/** Make `live` look like `fresh`; focus, selection and open details stay as they are. */
function patch(live, fresh) {
  if (live.nodeName !== fresh.nodeName) {
    live.replaceWith(fresh);
  } else if (live.nodeType === Node.TEXT_NODE) {
    if (live.data !== fresh.data) live.data = fresh.data;
  } else {
    patchAttributes(live, fresh);
    if (!fresh.hasAttribute("data-canvas")) patchChildren(live, fresh);
    patchControl(live, fresh);
  }
}

/** Make the children of `live` look like `children`. */
export function show(live, ...children) {
  const fresh = live.cloneNode(false);
  fresh.append(...children.flat(Infinity).filter(present));
  patchChildren(live, fresh);
}

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (present(value)) node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.flat(Infinity).filter(present));
  return node;
}

function present(value) {
  return value !== null && value !== undefined && value !== false;
}

function patchAttributes(live, fresh) {
  for (const { name } of [...live.attributes]) {
    // What a person opened stays open.
    if (!fresh.hasAttribute(name) && !(name === "open" && live.nodeName === "DETAILS")) live.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) {
    if (live.getAttribute(name) !== value) live.setAttribute(name, value);
  }
}

function patchChildren(live, fresh) {
  const keyed = new Map([...live.children].map((child) => [keyOf(child), child]));
  let at = live.firstChild;
  for (const child of [...fresh.childNodes]) {
    const key = keyOf(child);
    const match = key ? keyed.get(key) : at && !keyOf(at) ? at : null;
    if (match === at && match) at = at.nextSibling;
    else live.insertBefore(match ?? child, at);
    if (match) patch(match, child);
  }
  while (at) {
    const gone = at;
    at = at.nextSibling;
    gone.remove();
  }
}

function keyOf(node) {
  return node.nodeType === Node.ELEMENT_NODE ? node.getAttribute("data-key") : null;
}

function patchControl(live, fresh) {
  // A touched control no longer follows its attributes.
  if (live.nodeName === "SELECT" && live.value !== fresh.value) live.value = fresh.value;
  if (live.nodeName === "INPUT" && live.type === "radio") live.checked = fresh.checked;
}
