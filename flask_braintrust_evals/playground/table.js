// A table of any number of rows. Only visible rows have elements.

import { diff } from "./diff.js";
import { asText, element, seconds } from "./dom.js";
import { own, scoreOf } from "./records.js";
import { differs } from "./run.js";
import { comparable } from "./values.js";

const ROW = 40; // pixels; the same as --row in the style sheet
const SPARE = 12; // further rows with elements, above and below the visible ones
const TEXT = 400; // characters shown in a cell; the details have the whole text
const LARGEST = 8_000_000; // pixels; the limit of browsers is about twice that

export class Table {
  #rows = [];
  #columns = [];
  #active = 0;
  #drawn = new Map(); // from a row's index to its element
  #compared = new Map();
  #sort = { key: "index", down: false };

  constructor(place, open) {
    this.open = open;
    this.head = element("div", { className: "head", role: "row", "aria-rowindex": "1" });
    this.space = element("div", { role: "presentation" });
    this.body = element("div", { className: "rows", role: "rowgroup", tabIndex: -1 }, this.space);
    this.grid = element("div", { className: "grid", role: "grid", "aria-label": "Cases", tabIndex: 0 });
    const headSpace = element("div", { className: "head-space", role: "rowgroup" }, this.head);
    this.grid.append(headSpace, this.body);
    this.body.addEventListener("scroll", () => {
      headSpace.scrollLeft = this.body.scrollLeft;
      this.draw();
    });
    this.grid.addEventListener("keydown", (event) => this.#key(event));
    new ResizeObserver(() => this.draw()).observe(this.body);
    place.append(this.grid);
  }

  get rows() {
    return this.#rows;
  }

  // `compared` maps a row to { scores: { name: difference }, verdict }.
  show(rows, scoreNames, compared = new Map()) {
    this.#compared = compared;
    this.#setColumns(scoreNames);
    this.#rows = [...rows].sort((a, b) => this.#order(a, b));
    this.#active = Math.min(this.#active, Math.max(0, rows.length - 1));
    this.space.style.width = this.#width();
    this.space.style.height = `${Math.min(LARGEST, rows.length * ROW)}px`;
    this.grid.setAttribute("aria-rowcount", rows.length + 1);
    this.draw(true);
  }

  // `fresh`: whether rows that have been drawn may have changed.
  draw(fresh = false) {
    const height = this.body.clientHeight || 400;
    const first = Math.max(0, Math.floor(this.body.scrollTop / this.#scale() / ROW) - SPARE);
    const last = Math.min(this.#rows.length, first + Math.ceil(height / ROW) + 2 * SPARE);
    for (const [at, made] of this.#drawn) {
      if (at < first || at >= last) {
        made.remove();
        this.#drawn.delete(at);
      }
    }
    for (let at = first; at < last; at++) this.#drawRow(at, fresh);
    this.grid.setAttribute("aria-activedescendant", this.#rows.length ? `row-${this.#active}` : "");
  }

  // If the table is higher than LARGEST, the body scrolls by less than a row for each row.
  #scale() {
    return this.#rows.length * ROW > LARGEST ? LARGEST / (this.#rows.length * ROW) : 1;
  }

  // An existing element is kept: a click must begin and end on the same element.
  #drawRow(at, fresh) {
    const known = this.#drawn.get(at);
    const made = known ?? element("div", { className: "row", role: "row", id: `row-${at}`, "aria-rowindex": at + 2, onclick: () => this.#click(at) });
    if (!known || fresh) {
      const row = this.#rows[at];
      made.style.gridTemplateColumns = this.#template();
      made.style.width = this.#width();
      made.replaceChildren(...this.#columns.map((column) => this.#cell(column, row)));
    }
    const scrolled = this.body.scrollTop * (1 / this.#scale() - 1);
    made.style.transform = `translateY(${at * ROW - scrolled}px)`;
    made.setAttribute("aria-selected", at === this.#active);
    if (!known) {
      this.#drawn.set(at, made);
      this.body.append(made);
    }
  }

  #click(at) {
    this.#active = at;
    this.draw();
    this.open(at);
  }

  #cell(column, row) {
    const cell = element("div", { className: `cell ${column.className ?? ""}`, role: "gridcell", dir: "auto" });
    column.fill(cell, row, this.#compared.get(row));
    return cell;
  }

  #template() {
    return this.#columns.map((column) => column.width).join(" ");
  }

  // Returns the width of the body, or that of all columns if they are wider.
  #width() {
    const least = this.#columns.reduce((sum, { width }) => sum + parseFloat(width.replace("minmax(", "")), 0);
    return `max(100%, ${least}rem)`;
  }

  #setColumns(scoreNames) {
    this.#columns = [
      { key: "index", title: "#", width: "4.5rem", className: "number", fill: number, value: (row) => row.index * 1e5 + row.trial },
      { key: "state", title: "State", width: "6rem", fill: state, value: (row) => row.state },
      { key: "input", title: "Input", width: "minmax(12rem, 1fr)", fill: text("input"), value: (row) => asText(row.input) },
      { key: "expected", title: "Expected", width: "minmax(10rem, 1fr)", fill: text("expected"), value: (row) => asText(row.expected) },
      { key: "output", title: "Output", width: "minmax(12rem, 1fr)", fill: output, value: (row) => asText(row.error ?? row.output) },
      ...scoreNames.map((name) => ({
        key: `score ${name}`, title: name, width: "8rem", className: "number", fill: score(name),
        value: (row) => scoreOf(row, name) ?? -1,
      })),
      { key: "duration", title: "Time", width: "5.5rem", className: "number", fill: time, value: (row) => row.duration ?? -1 },
    ];
    this.head.style.gridTemplateColumns = this.#template();
    this.head.style.width = this.#width();
    const focused = this.head.contains(document.activeElement) ? document.activeElement.textContent : null;
    this.head.replaceChildren(...this.#columns.map((column) => this.#heading(column)));
    if (focused !== null) [...this.head.querySelectorAll("button")].find((each) => each.textContent === focused)?.focus();
  }

  #heading(column) {
    const sorted = column.key === this.#sort.key;
    const button = element("button", { type: "button", title: `Sort by ${column.title}`, onclick: () => this.#sortBy(column.key) }, column.title);
    const order = sorted ? (this.#sort.down ? "descending" : "ascending") : "none";
    return element("div", { role: "columnheader", "aria-sort": order, className: column.className ?? "" }, button);
  }

  #sortBy(key) {
    this.#sort = { key, down: this.#sort.key === key && !this.#sort.down };
    this.show(this.#rows, this.#columns.filter((each) => each.key.startsWith("score ")).map((each) => each.title), this.#compared);
  }

  #order(a, b) {
    const column = this.#columns.find((each) => each.key === this.#sort.key) ?? this.#columns[0];
    const [x, y] = [column.value(a), column.value(b)];
    const order = x < y ? -1 : x > y ? 1 : a.index - b.index || a.trial - b.trial;
    return this.#sort.down ? -order : order;
  }

  #key(event) {
    if (event.target !== this.grid) return;
    const page = Math.max(1, Math.floor(this.body.clientHeight / ROW) - 1);
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
    if (event.key in steps) {
      this.#active = Math.min(Math.max(0, this.#active + steps[event.key]), Math.max(0, this.#rows.length - 1));
      this.#reveal();
    } else if (event.key === "Enter" && this.#rows.length) this.open(this.#active);
    else return;
    event.preventDefault();
  }

  #reveal() {
    const top = this.#active * ROW * this.#scale();
    if (top < this.body.scrollTop) this.body.scrollTop = top;
    else if (top + ROW > this.body.scrollTop + this.body.clientHeight) this.body.scrollTop = top + ROW - this.body.clientHeight;
    this.draw();
  }
}

const short = (value) => (value.length > TEXT ? `${value.slice(0, TEXT)}…` : value);

const text = (name) => (cell, row) => {
  cell.textContent = short(asText(row[name]));
};

function number(cell, row) {
  cell.textContent = row.trial ? `${row.index + 1}.${row.trial + 1}` : `${row.index + 1}`;
}

function state(cell, row, compared) {
  cell.textContent = compared?.verdict ? `${row.state}, ${compared.verdict}` : row.state;
  if (row.state === "error") cell.classList.add("failed");
}

function output(cell, row) {
  const said = row.error ?? (row.output === undefined ? row.text : asText(row.output));
  if (row.error) cell.classList.add("failed");
  const pieces = differs(row) && said.length <= TEXT ? diff(comparable(row.expected, 0).slice(0, TEXT), comparable(row.output, 0)) : null;
  // Unexpected words are marked. Missing words are shown in the details only.
  if (pieces) cell.append(...pieces.filter(({ kind }) => kind !== "gone").map(({ kind, text }) => (kind === "new" ? element("ins", {}, text) : text)));
  else cell.textContent = short(said);
}

const score = (name) => (cell, row, compared) => {
  const value = scoreOf(row, name);
  if (own(row.scorerErrors, name)) {
    cell.textContent = "failed";
    cell.classList.add("failed");
  } else if (value !== undefined && value !== null) {
    cell.textContent = value.toFixed(2);
    cell.classList.add(`s${Math.round(value * 10)}`);
    const change = own(compared?.scores, name);
    if (change) cell.append(" ", element("span", { className: change > 0 ? "up" : "down" }, `${change > 0 ? "▲" : "▼"} ${Math.abs(change).toFixed(2)}`));
  }
};

function time(cell, row) {
  cell.textContent = seconds(row.duration);
}
