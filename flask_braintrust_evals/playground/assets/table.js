// A table of any number of rows. Only visible rows have elements.

import { columnsOf, inOrder } from "./columns.js";
import { breakable, element } from "./dom.js";

const ROW = 2.5; // rem; the same as --row in the style sheet
const SPARE = 6; // further rows with elements, above and below the visible ones
const LARGEST = 8_000_000; // pixels; the limit of browsers is about twice that

export class Table {
  #rows = [];
  #columns = [];
  #shape = ""; // what the headings were made from
  #active = null; // a row
  #drawn = new Map(); // from a row's index to its element
  #compared = new Map();
  #sort = { key: "index", down: false };
  #height = 400; // pixels of the rows that are visible
  #row = 40; // pixels of a row, which depend on the size of the browser's font
  #last = null; // the arguments of show()
  #top = 0; // where the table was scrolled to when it was last drawn
  #settled = null;

  // `open(row)` is called when a row is chosen.
  constructor(place, open) {
    this.open = open;
    // Headings and rows are in one element that scrolls, so that they cannot be out of step.
    this.head = element("div", { className: "head", role: "row", "aria-rowindex": "1" });
    this.headSpace = element("div", { className: "head-space", role: "rowgroup" }, this.head);
    this.body = element("div", { className: "rows", role: "rowgroup" });
    this.grid = element("div", { className: "grid", role: "grid", "aria-label": "Cases", tabIndex: 0, hidden: true }, this.headSpace, this.body);
    this.grid.addEventListener("scroll", () => this.draw());
    this.grid.addEventListener("keydown", (event) => this.#key(event));
    new ResizeObserver(() => {
      this.#height = this.grid.clientHeight - this.headSpace.offsetHeight;
      this.draw();
    }).observe(this.grid);
    place.append(this.grid);
  }

  get rows() {
    return this.#rows;
  }

  // `compared` maps a row to { scores: { name: difference }, verdict }.
  show(rows, scoreNames, compared) {
    this.#last = [rows, scoreNames, compared];
    this.#compared = compared;
    this.grid.hidden = false;
    this.#row = ROW * parseFloat(getComputedStyle(document.documentElement).fontSize);
    this.#setColumns(scoreNames);
    this.#rows = this.#sorted(rows);
    this.body.style.height = `${Math.min(LARGEST, rows.length * this.#row)}px`;
    this.grid.setAttribute("aria-rowcount", rows.length + 1);
    this.draw(true);
  }

  // Makes a row the active one, and scrolls to it.
  select(row) {
    this.#active = row;
    this.#reveal();
  }

  // `fresh`: whether rows that have been drawn may have changed.
  draw(fresh = false) {
    const top = this.grid.scrollTop; // read before anything changes, so that nothing has to be laid out for it
    const spare = this.#spare(top);
    const first = Math.max(0, Math.floor(top / this.#scale() / this.#row) - spare);
    const last = Math.min(this.#rows.length, first + Math.ceil(this.#height / this.#row) + 1 + 2 * spare);
    for (const [at, made] of this.#drawn) {
      if (at < first || at >= last) {
        made.remove();
        this.#drawn.delete(at);
      }
    }
    const scrolled = top * (1 / this.#scale() - 1);
    // Rows that are drawn are next to each other: new ones are above them or below them, in their order.
    const highest = Math.min(last, ...this.#drawn.keys());
    const [above, below] = [document.createDocumentFragment(), document.createDocumentFragment()];
    for (let at = first; at < last; at++) this.#drawRow(at, fresh, scrolled, at < highest ? above : below);
    this.body.prepend(above);
    this.body.append(below);
    if (this.#rows.length) this.grid.setAttribute("aria-activedescendant", `row-${this.#at()}`);
    else this.grid.removeAttribute("aria-activedescendant");
  }

  // Returns how many rows are drawn above and below those that are visible. After a jump, where all rows are new, it is
  // none at first, so that the visible ones are there sooner.
  #spare(top) {
    const isFar = Math.abs(top - this.#top) > this.#height;
    this.#top = top;
    if (!isFar) return SPARE;
    clearTimeout(this.#settled);
    this.#settled = setTimeout(() => this.draw(), 100);
    return 0;
  }

  // Returns the index of the active row, which is the first one if the other is not shown.
  #at() {
    return Math.max(0, this.#rows.indexOf(this.#active));
  }

  // If the table is higher than LARGEST, it scrolls by less than a row for each row.
  #scale() {
    return this.#rows.length * this.#row > LARGEST ? LARGEST / (this.#rows.length * this.#row) : 1;
  }

  // An existing element is kept: a click must begin and end on the same element.
  #drawRow(at, fresh, scrolled, added) {
    const row = this.#rows[at];
    let made = this.#drawn.get(at);
    if (!made || fresh) {
      const cells = this.#columns.map((column) => this.#cell(column, row));
      if (!made) {
        made = element("div", { className: "row", role: "row", id: `row-${at}`, "aria-rowindex": at + 2, onclick: () => this.#click(at) });
        this.#drawn.set(at, made);
        added.append(made);
      }
      made.replaceChildren(...cells);
    }
    made.style.transform = `translateY(${at * this.#row - scrolled}px)`;
    made.setAttribute("aria-selected", row === this.#active);
  }

  #click(at) {
    this.#active = this.#rows[at];
    this.draw();
    this.open(this.#active);
  }

  #cell(column, row) {
    const cell = element("div", { className: `cell ${column.className ?? ""}`, role: "gridcell" });
    if (column.grows) cell.dir = "auto"; // others have words and numbers of the page
    column.fill(cell, row, this.#compared.get(row));
    return cell;
  }

  #setColumns(scoreNames) {
    const shape = JSON.stringify([scoreNames, this.#compared.size > 0]);
    if (shape === this.#shape) return;
    this.#shape = shape;
    this.#columns = columnsOf(scoreNames, this.#compared.size > 0);
    const width = ({ least, grows }) => (grows ? `minmax(${least}rem, 1fr)` : `${least}rem`);
    this.grid.style.setProperty("--columns", this.#columns.map(width).join(" "));
    this.grid.style.setProperty("--least", `${this.#columns.reduce((sum, { least }) => sum + least, 0)}rem`);
    const focused = this.head.contains(document.activeElement) ? document.activeElement.textContent : null;
    this.head.replaceChildren(...this.#columns.map((column) => this.#heading(column)));
    if (focused !== null) [...this.head.querySelectorAll("button")].find((each) => each.textContent === focused)?.focus();
    this.#markSorted();
  }

  #heading(column) {
    const button = element("button", { type: "button", title: `${column.title}: sort by it`, onclick: () => this.#sortBy(column.key) }, element("span", {}, ...breakable(column.title)));
    return element("div", { role: "columnheader", className: column.className ?? "" }, button);
  }

  #markSorted() {
    this.#columns.forEach(({ key }, at) => {
      const order = key === this.#sort.key ? (this.#sort.down ? "descending" : "ascending") : "none";
      this.head.children[at].setAttribute("aria-sort", order);
    });
  }

  #sortBy(key) {
    this.#sort = { key, down: this.#sort.key === key && !this.#sort.down };
    this.#markSorted();
    this.grid.scrollTop = 0;
    this.show(...this.#last);
  }

  #sorted(rows) {
    const column = this.#columns.find((each) => each.key === this.#sort.key) ?? this.#columns[0];
    const way = this.#sort.down ? -1 : 1;
    const order = (a, b) => way * inOrder(a.value, b.value) || a.row.index - b.row.index || a.row.trial - b.row.trial;
    return rows.map((row) => ({ row, value: column.value(row, this.#compared.get(row)) })).sort(order).map(({ row }) => row);
  }

  #key(event) {
    if (event.target !== this.grid || !this.#rows.length) return;
    const page = Math.max(1, Math.floor(this.#height / this.#row) - 1);
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
    if (event.key in steps) {
      const to = this.#at() + steps[event.key];
      this.select(this.#rows[Math.min(Math.max(0, to), this.#rows.length - 1)]);
    } else if (event.key === "Enter") {
      this.#active = this.#rows[this.#at()];
      this.open(this.#active);
    } else return;
    event.preventDefault();
  }

  #reveal() {
    const top = this.#at() * this.#row * this.#scale();
    if (top < this.grid.scrollTop) this.grid.scrollTop = top;
    else if (top + this.#row > this.grid.scrollTop + this.#height) this.grid.scrollTop = top + this.#row - this.#height;
    this.draw();
  }
}
