// The columns of the table of cases: their widths, what they sort by, and what is in their cells.

import { diff, marked } from "./diff.js";
import { asText, element, seconds, written } from "./dom.js";
import { own, scoreOf } from "./records.js";
import { caseName } from "./rows.js";
import { differs } from "./run.js";
import { comparable } from "./values.js";

const TEXT = 400; // characters shown in a cell; the details have the whole text

// Returns what a value is sorted by: numbers, also those that are texts in a table of cases, by their sizes.
export function sortable(value) {
  if (typeof value === "number" || typeof value === "bigint") return value;
  const text = asText(value);
  return text.trim() === "" || Number.isNaN(Number(text)) ? text : Number(text);
}

// Returns how two of them are sorted: numbers before texts.
export function inOrder(one, other) {
  const [isText, isOtherText] = [typeof one === "string", typeof other === "string"];
  if (isText !== isOtherText) return isText ? 1 : -1;
  return one < other ? -1 : one > other ? 1 : 0;
}

// Returns a list of { key, title, least, grows, className, fill, value }. `least` is its least width in rem;
// `fill(cell, row, compared)` fills a cell, and `value(row, compared)` is what rows are sorted by. If the run is compared
// with an earlier one, there is a column with the outputs of that, and room for changes.
export function columnsOf(scoreNames, isCompared = false) {
  return [
    { key: "index", title: "#", least: 3.4, className: "number", fill: number, value: (row) => row.index * 1e5 + row.trial },
    { key: "state", title: "State", least: isCompared ? 7.6 : 6, fill: state, value: (row, compared) => `${row.state} ${compared?.verdict ?? ""}` },
    { key: "input", title: "Input", least: 7, grows: true, fill: text("input"), value: (row) => sortable(row.input) },
    { key: "expected", title: "Expected", least: 6, grows: true, fill: text("expected"), value: (row) => sortable(row.expected) },
    { key: "output", title: "Output", least: 7, grows: true, fill: output, value: (row) => sortable(row.error ?? row.output) },
    ...(isCompared ? [{ key: "before", title: "Output before", least: 6, grows: true, fill: before, value: (row, compared) => sortable(outputBefore(compared)) }] : []),
    ...scoreNames.map((name) => ({
      key: `score ${name}`, title: name, least: isCompared ? 7.4 : 7, className: "number", fill: score(name),
      value: (row) => scoreOf(row, name) ?? (own(row.scorerErrors, name) ? -2 : -1),
    })),
    { key: "duration", title: "Time", least: 4.8, className: "number", fill: time, value: (row) => row.duration ?? -1 },
  ];
}

const short = (value) => (value.length > TEXT ? `${value.slice(0, TEXT)}…` : value);

const text = (name) => (cell, row) => {
  cell.textContent = short(asText(row[name]));
};

function number(cell, row) {
  cell.textContent = caseName(row);
}

function state(cell, row, compared) {
  cell.textContent = compared?.verdict ? `${row.state}, ${compared.verdict}` : row.state;
  cell.classList.add("state", row.state);
  if (row.state === "error") cell.classList.add("failed");
}

function output(cell, row) {
  const said = row.error ?? (row.output === undefined ? row.text : written(row.output));
  if (row.error) cell.classList.add("failed");
  const pieces = differs(row) && said.length <= TEXT ? diff(comparable(row.expected, 0).slice(0, TEXT), comparable(row.output, 0)) : null;
  // Unexpected words are marked. Missing words are shown in the details only.
  if (pieces) cell.append(...marked(pieces, { new: "mark" }));
  else cell.textContent = short(said);
}

const outputBefore = (compared) => compared?.row.error ?? compared?.row.output;

function before(cell, row, compared) {
  cell.textContent = !compared ? "not in that run" : compared.same ? "the same" : short(written(outputBefore(compared)));
  if (!compared || compared.same) cell.classList.add("quiet-cell");
  if (compared?.row.error) cell.classList.add("failed");
}

const score = (name) => (cell, row, compared) => {
  const value = scoreOf(row, name);
  const error = own(row.scorerErrors, name);
  if (error && typeof value !== "number") {
    cell.textContent = "failed";
    cell.title = error.slice(0, TEXT);
    cell.classList.add("failed", "scorer-failed");
  } else if (typeof value === "number") {
    cell.textContent = value.toFixed(2);
    cell.classList.add(`s${Math.round(value * 10)}`);
    const change = own(compared?.scores, name);
    if (change) cell.append(" ", changeOf(change));
  }
};

// Returns what shows by how much a score is higher or lower than before.
export const changeOf = (change) => element("span", { className: change > 0 ? "up" : "down" }, `${change > 0 ? "▲" : "▼"} ${Math.abs(change).toFixed(2)}`);

function time(cell, row) {
  cell.textContent = seconds(row.duration);
}
