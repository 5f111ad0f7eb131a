// Reads cases from text: a JSON array, JSON Lines, or CSV with a header.

const FIELDS = ["input", "expected", "metadata", "tags", "id"];

// Returns an array of cases, or throws an Error that says what is wrong and where.
export function parseCases(text) {
  const trimmed = text.trim();
  if (!trimmed) return [];
  if (trimmed.startsWith("[")) return checked(parseJson(trimmed, "the JSON"));
  if (trimmed.startsWith("{")) return parseObjects(trimmed);
  return fromCsv(parseCsv(trimmed));
}

function parseObjects(text) {
  try {
    const single = JSON.parse(text);
    return checked(single.data && Array.isArray(single.data) ? single.data : [single]);
  } catch {
    const lines = text.split(/\r?\n/);
    return checked(
      lines.flatMap((line, index) => (line.trim() ? [parseJson(line, `line ${index + 1}`)] : [])),
    );
  }
}

function parseJson(text, where) {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`${where} is not valid: ${error.message}`);
  }
}

function checked(cases) {
  cases.forEach((each, index) => {
    if (typeof each !== "object" || each === null || !("input" in each))
      throw new Error(`case ${index + 1} needs to be an object with an "input"`);
  });
  return cases;
}

// https://www.rfc-editor.org/rfc/rfc4180
export function parseCsv(text) {
  const rows = [[]];
  let cell = "";
  let quoted = false;
  for (let at = 0; at < text.length; at++) {
    const character = text[at];
    if (quoted) {
      if (character !== '"') cell += character;
      else if (text[at + 1] === '"') cell += text[++at];
      else quoted = false;
    } else if (character === '"' && cell === "") quoted = true;
    else if (character === ",") cell = push(rows, cell);
    else if (character === "\n" || character === "\r") {
      if (character === "\r" && text[at + 1] === "\n") at++;
      cell = push(rows, cell);
      rows.push([]);
    } else cell += character;
  }
  if (quoted) throw new Error("the CSV ends inside of a quoted cell");
  push(rows, cell);
  return rows.filter((row) => row.length > 1 || row[0] !== "");
}

function push(rows, cell) {
  rows.at(-1).push(cell);
  return "";
}

function fromCsv([header, ...rows]) {
  const names = header.map((name) => name.trim());
  const unknown = names.filter((name) => !FIELDS.includes(name));
  if (!names.includes("input")) {
    // A table of inputs: the columns that are not fields of a case make up the input, an object.
    if (!unknown.length || !rows.length)
      throw new Error('this is neither JSON nor CSV with a column "input" and at least one row');
  }
  return rows.map((row, index) => {
    if (row.length !== names.length)
      throw new Error(`row ${index + 2} of the CSV has ${row.length} cells, the header has ${names.length}`);
    return caseOf(Object.fromEntries(names.map((name, column) => [name, row[column]])), names);
  });
}

function caseOf(row, names) {
  const made = {};
  for (const name of names) {
    const value = row[name];
    if (!FIELDS.includes(name)) {
      if (names.includes("input")) (made.metadata ??= {})[name] = value;
      else (made.input ??= {})[name] = value;
    } else if (value !== "" || name === "input") made[name] = cellValue(name, value);
  }
  return made;
}

function cellValue(name, text) {
  if (name === "tags") return text.split(/[;,]\s*/);
  if (name === "metadata" || /^\s*[[{]/.test(text)) {
    try {
      return JSON.parse(text);
    } catch {
      // A text that begins like JSON, but is not.
    }
  }
  return text;
}
