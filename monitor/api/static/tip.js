/** One tooltip for everything that carries `data-tip`, on hover and on focus; arrow keys move between neighbours. */

const MARGIN = 8;

/** Follow pointer and focus within the page. */
export function follow(tip) {
  const over = (event) => showFor(tip, event.target.closest?.("[data-tip]"));
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

/** Hide the tooltip where what it spoke of is gone, and renew its words where they changed. */
export function renew(tip) {
  if (tip.hidden) return;
  const target = document.querySelector("[data-tip]:hover, [data-tip]:focus");
  if (target) showFor(tip, target);
  else hide(tip);
}

function showFor(tip, target) {
  if (!target) {
    const focused = document.activeElement?.closest?.("[data-tip]:focus-visible");
    return focused ? showFor(tip, focused) : hide(tip);
  }
  tip.replaceChildren(...target.dataset.tip.split("\n").map(lineOf));
  tip.hidden = false;
  place(tip, anchorOf(target).getBoundingClientRect());
}

function hide(tip) {
  tip.hidden = true;
}

function lineOf(text, i) {
  const node = document.createElement(i ? "span" : "strong");
  node.textContent = text;
  return node;
}

function anchorOf(target) {
  return target.querySelector(".cursor-dot, .dot, .symbol") ?? target;
}

// Beside what it speaks of, so that a line stays in sight; above or below where there is no room.
function place(tip, anchor) {
  const { width, height } = tip.getBoundingClientRect();
  const { clientWidth, clientHeight } = document.documentElement;
  const fits = (left) => left > MARGIN && left + width < clientWidth - MARGIN;
  const beside = [anchor.right + 2 * MARGIN, anchor.left - width - 2 * MARGIN].find(fits);
  const above = anchor.top - height - MARGIN;
  const below = anchor.bottom + MARGIN;
  const left = beside ?? within(anchor.left + (anchor.width - width) / 2, clientWidth - width);
  const top = beside ? within(anchor.top + (anchor.height - height) / 2, clientHeight - height) : null;
  tip.style.left = `${left}px`;
  tip.style.top = `${top ?? (above > MARGIN ? above : below)}px`;
}

function within(start, room) {
  return Math.max(MARGIN, Math.min(start, room - MARGIN));
}

function step(event) {
  const direction = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  const from = event.target.closest?.(".spot");
  if (!direction || !from) return;
  const kind = from.classList[1];
  const row = [...from.ownerSVGElement.querySelectorAll(`.spot.${kind}`)];
  event.preventDefault();
  row[row.indexOf(from) + direction]?.focus();
}
