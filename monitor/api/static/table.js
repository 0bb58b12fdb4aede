/** Tables: a head of columns, a row for each record, and sideways scrolling where the screen is narrow. */

/** @import { Attributes, Child } from "./dom.js" */

import { el } from "./dom.js";

/** @typedef {HTMLTableCellElement | Exclude<Child, Child[]>} Cell  A cell of its own, or what one contains. */
/** @typedef {Cell[] | { cells: Cell[], attributes: Attributes }} Row  Cells, or cells with attributes of their row. */

/**
 * Draw a table.
 * @param {string} caption
 * @param {string[]} columns
 * @param {Row[]} rows
 * @param {{ look?: string, captioned?: boolean }} [options]  a class of the style sheet; whether the caption is seen
 */
export function table(caption, columns, rows, { look, captioned = false } = {}) {
  return el(
    "div",
    { class: "scroll", tabindex: 0 },
    el(
      "table",
      { class: look },
      el("caption", { class: captioned ? null : "unseen" }, caption),
      el(
        "thead",
        null,
        el(
          "tr",
          null,
          columns.map((column) => el("th", { scope: "col" }, column)),
        ),
      ),
      el("tbody", null, rows.map(rowOf)),
    ),
  );
}

/** @param {Row} row */
function rowOf(row) {
  const { cells, attributes } = Array.isArray(row) ? { cells: row, attributes: null } : row;
  return el("tr", attributes, cells.map(cellOf));
}

/** @param {Cell} content */
function cellOf(content) {
  return content instanceof HTMLTableCellElement ? content : el("td", null, content);
}
