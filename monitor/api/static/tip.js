/** One tooltip for everything with `data-tip`, on hover and on focus; arrow keys move between neighbours. */

const MARGIN = 8;

/**
 * Follow pointer and focus within the page.
 * @param {HTMLElement} tip
 */
export function follow(tip) {
  /** @param {Event} event */
  const over = (event) => showFor(tip, closest(event.target, "[data-tip]"));
  document.addEventListener("pointerover", over);
  document.addEventListener("focusin", over);
  document.addEventListener("focusout", () => hide(tip));
  document.addEventListener("pointerleave", () => hide(tip));
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") hide(tip);
    else step(event);
  });
  window.addEventListener("scroll", () => renew(tip), { passive: true });
}

/**
 * Renew the tooltip's words; hide it where its target is gone.
 * @param {HTMLElement} tip
 */
export function renew(tip) {
  if (tip.hidden) return;
  const target = document.querySelector("[data-tip]:hover, [data-tip]:focus");
  if (target) showFor(tip, target);
  else hide(tip);
}

/**
 * Return the nearest element around the target of an event that matches.
 * @param {EventTarget | null} target
 * @param {string} selector
 * @returns {(HTMLElement | SVGElement) | null}
 */
export function closest(target, selector) {
  return target instanceof Element ? target.closest(selector) : null;
}

/**
 * @param {HTMLElement} tip
 * @param {Element | null} target
 */
function showFor(tip, target) {
  const shown = target ?? closest(document.activeElement, "[data-tip]:focus-visible");
  if (!shown) return hide(tip);
  tip.replaceChildren(...(shown.getAttribute("data-tip") ?? "").split("\n").map(lineOf));
  tip.hidden = false;
  place(tip, anchorOf(shown).getBoundingClientRect(), shown instanceof SVGElement);
}

/** @param {HTMLElement} tip */
function hide(tip) {
  tip.hidden = true;
}

/**
 * @param {string} text
 * @param {number} i
 */
function lineOf(text, i) {
  const node = document.createElement(i ? "span" : "strong");
  node.textContent = text;
  return node;
}

/** @param {Element} target */
function anchorOf(target) {
  return target.querySelector(".cursor-dot, .dot, .symbol") ?? target;
}

/**
 * Place the tooltip above or below its anchor; in a chart beside it where there is room, so that a line stays in sight.
 * @param {HTMLElement} tip
 * @param {DOMRect} anchor
 * @param {boolean} charted
 */
function place(tip, anchor, charted) {
  const { width, height } = tip.getBoundingClientRect();
  const { clientWidth, clientHeight } = document.documentElement;
  const sides = charted ? [anchor.right + 2 * MARGIN, anchor.left - width - 2 * MARGIN] : [];
  const beside = sides.find((side) => side > MARGIN && side + width < clientWidth - MARGIN);
  const above = anchor.top - height - MARGIN;
  const outside = above > MARGIN ? above : anchor.bottom + MARGIN;
  const left = beside ?? clamp(anchor.left + (anchor.width - width) / 2, clientWidth - width);
  const top = beside ? clamp(anchor.top + (anchor.height - height) / 2, clientHeight - height) : outside;
  tip.style.left = `${left}px`;
  tip.style.top = `${top}px`;
}

/**
 * @param {number} start
 * @param {number} room
 */
function clamp(start, room) {
  return Math.max(MARGIN, Math.min(start, room - MARGIN));
}

/** @param {KeyboardEvent} event */
function step(event) {
  const direction = event.key === "ArrowLeft" ? -1 : event.key === "ArrowRight" ? 1 : 0;
  const spot = closest(event.target, ".spot");
  if (!direction || !(spot instanceof SVGElement)) return;
  const look = spot.classList[1] ?? "spot";
  const row = [...(spot.ownerSVGElement?.querySelectorAll(`.spot.${look}`) ?? [])];
  event.preventDefault();
  const next = row[row.indexOf(spot) + direction];
  if (next instanceof SVGElement) next.focus();
}
