// Reads cases from a table: CSV with a header, as spreadsheets and other programs write it.
// cli/inputs/tables.py does the same for the command line. Both pass the files in tests/tables.

import { parseExactly } from "./exact_json.js";
import { isMisspelled } from "./names.js";

const FIELDS = ["input", "expected", "metadata", "tags", "id"];
const DELIMITERS = [",", ";", "\t"];
// A first line by which Excel is told the delimiter.
const DELIMITER_LINE = /^"?sep=([^\r\n])"?[,;\t]*(?:\r\n|\n|\r|$)/i;

// Returns an array of cases, or throws an Error that says what is wrong and where.
export function tableCases(text) {
  const [header, ...rows] = filledRows(text);
  const names = header.cells.map(trimmed);
  checkNames(names);
  return rows.map(({ number, cells }) => {
    while (cells.length > names.length && cells.at(-1) === "") cells.pop();
    if (cells.length !== names.length)
      throw new Error(`row ${number} has ${cells.length} cells, and the header has ${names.length}`);
    try {
      return caseOf(names.map((name, column) => [name, cells[column]]));
    } catch (error) {
      throw new Error(`row ${number}: ${error.message}`);
    }
  });
}

function filledRows(text) {
  const told = DELIMITER_LINE.exec(text);
  const delimiter = told ? told[1] : delimiterOf(text);
  const rest = told ? text.slice(told[0].length) : text;
  const rows = [...split(rest, delimiter)].filter(isFilled);
  if (!rows.length) throw new Error("there are no cases");
  // Somebody typed a space behind each delimiter. Elsewhere, spaces belong to the cells.
  const spaced = rows[0].cells.slice(1).some((name) => name.startsWith(" "));
  return spaced ? [...split(rest, delimiter, true)].filter(isFilled) : rows;
}

const isFilled = ({ cells }) => cells.some((cell) => cell !== "");

// Returns the delimiter with which the header has a column "input", or else the one that gives most columns.
function delimiterOf(text) {
  let best = null;
  let problem = null;
  for (const delimiter of DELIMITERS) {
    try {
      const names = firstRow(text, delimiter).map(trimmed);
      const fit = [Number(names.includes("input")), names.length];
      if (!best || fit[0] > best.fit[0] || (fit[0] === best.fit[0] && fit[1] > best.fit[1])) best = { delimiter, fit };
    } catch (error) {
      problem ??= error;
    }
  }
  if (!best) throw problem;
  return best.delimiter;
}

function firstRow(text, delimiter) {
  for (const row of split(text, delimiter)) if (isFilled(row)) return row.cells;
  return [];
}

// Yields all rows. Quoted cells may hold delimiters, line ends and, doubled, quotes.
// https://www.rfc-editor.org/rfc/rfc4180
function* split(text, delimiter, skipSpaces = false) {
  const isEnd = (character) => character === delimiter || character === "\n" || character === "\r";
  let at = 0;
  let number = 1;
  let cells = [];
  for (;;) {
    while (skipSpaces && text[at] === " ") at++;
    let cell;
    if (text[at] === '"') {
      [cell, at] = quoted(text, at + 1, number);
      while (text[at] === " ") at++;
      if (at < text.length && !isEnd(text[at])) throw new Error(`row ${number}: a cell goes on after its closing quote`);
    } else {
      const start = at;
      while (at < text.length && !isEnd(text[at])) at++;
      cell = text.slice(start, at);
    }
    cells.push(cell);
    if (text[at] === delimiter) {
      at++;
      continue;
    }
    yield { number, cells };
    at += text[at] === "\r" && text[at + 1] === "\n" ? 2 : 1;
    if (at >= text.length) return;
    number += 1;
    cells = [];
  }
}

// Returns the content of a quoted cell, and the place behind its closing quote.
function quoted(text, from, number) {
  let at = from;
  let cell = "";
  for (;;) {
    const end = text.indexOf('"', at);
    if (end < 0) throw new Error(`row ${number}: a quoted cell does not end`);
    cell += text.slice(at, end);
    if (text[end + 1] !== '"') return [cell, end + 1];
    cell += '"';
    at = end + 2;
  }
}

function checkNames(names) {
  if (names.length < 2 && names[0] !== "input") throw new Error("neither JSON nor CSV with a column 'input'");
  names.forEach((name, at) => {
    if (name && names.indexOf(name) < at) throw new Error(`two columns are named '${name}'`);
  });
  for (const name of names) {
    const lower = name.toLowerCase();
    if (FIELDS.includes(name)) continue;
    if (FIELDS.includes(lower)) throw new Error(`column '${name}' must be written '${lower}'`);
    const meant = FIELDS.find((field) => !names.includes(field) && isMisspelled(name, field));
    if (meant) throw new Error(`there is a column '${name}'; did you mean '${meant}'?`);
  }
}

// Returns a case. Columns with names of their own become metadata or, without a column "input", the input's fields.
function caseOf(row) {
  // Some tools number the rows in a column without a name.
  const others = row.filter(([name]) => name && !FIELDS.includes(name));
  const own = row.filter(([name, cell]) => FIELDS.includes(name) && (cell !== "" || name === "input"));
  const made = Object.fromEntries(own.map(([name, cell]) => [name, valueOf(name, cell)]));
  if (!row.some(([name]) => name === "input")) made.input = Object.fromEntries(others);
  else if (others.length) made.metadata = Object.fromEntries([...others, ...Object.entries(made.metadata ?? {})]);
  return made;
}

function valueOf(name, text) {
  if (name === "metadata") {
    const metadata = jsonOrText(text);
    if (typeof metadata !== "object" || Array.isArray(metadata))
      throw new Error(`metadata must be a JSON object, not '${text.slice(0, 100)}'`);
    return metadata;
  }
  const value = name === "id" ? text : jsonOrText(text);
  if (name !== "tags" || Array.isArray(value)) return value;
  return text.split(/[;,]/).map((each) => each.replace(/^[ \t\r\n]+|[ \t\r\n]+$/g, "")).filter(Boolean);
}

// Returns the JSON value of a text that begins like an array or an object, or else the text.
function jsonOrText(text) {
  if (!/^[ \t\r\n]*[[{]/.test(text)) return text;
  try {
    return parseExactly(text);
  } catch {
    return text;
  }
}

function trimmed(name) {
  return name.replace(/^[ \t]+|[ \t]+$/g, "");
}
