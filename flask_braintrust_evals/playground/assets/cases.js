// Reads cases from a text: JSON, JSON Lines, or CSV with a header.
// cli/inputs/cases.py does the same for the command line. Both pass the files in tests/tables.

import { parseExactly } from "./exact_json.js";
import { isMisspelled } from "./names.js";
import { tableCases } from "./tables.js";

const FIELDS = ["input", "expected", "metadata", "tags", "id", "origin", "trial_count", "upsert_id"];

// Keys under which an object that is not a case may have a list of cases.
const LIST_KEYS = ["data", "cases"];

// Returns the text of a file, or throws an Error. Excel writes UTF-8 and UTF-16 with a byte order mark.
export function decodeText(buffer) {
  const bytes = new Uint8Array(buffer);
  const start = bytes[0] * 256 + bytes[1];
  const encoding = start === 0xfffe ? "utf-16le" : start === 0xfeff ? "utf-16be" : "utf-8";
  try {
    return new TextDecoder(encoding, { fatal: true }).decode(bytes);
  } catch {
    throw new Error("the text is not UTF-8: save the file with that encoding, in Excel as 'CSV UTF-8'");
  }
}

// Returns an array of cases, or throws an Error that says what is wrong and where.
export function parseCases(text) {
  const cases = parse(text.replace(/^\uFEFF/, ""));
  cases.forEach((each, index) => {
    const problem = misspelledKey(each);
    if (problem) throw new Error(`case ${index + 1}: ${problem}`);
    if (typeof each !== "object" || each === null || Array.isArray(each) || !Object.hasOwn(each, "input"))
      throw new Error(`case ${index + 1} must be an object with an 'input'`);
  });
  if (!cases.length) throw new Error("there are no cases");
  return cases;
}

// Returns the keys of the cases that mean nothing, in order.
export function ignoredKeys(cases) {
  return [...new Set(cases.flatMap((each) => Object.keys(each).filter((key) => !FIELDS.includes(key))))].sort();
}

// Returns a message about a key that stands for a field that is not there.
function misspelledKey(value) {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return null;
  const missing = FIELDS.filter((field) => !Object.hasOwn(value, field));
  for (const key of Object.keys(value).filter((each) => !FIELDS.includes(each))) {
    const meant = missing.find((field) => isMisspelled(key, field));
    if (meant) return `a case has no key '${key}'; did you mean '${meant}'?`;
  }
  return null;
}

function parse(text) {
  const start = text.trimStart()[0];
  if (!start) return [];
  if (start === "[") return parseJson(text, "not valid JSON");
  return start === "{" ? parseObjects(text) : tableCases(text);
}

// Returns one object, the list that it has, or the objects of JSON Lines.
function parseObjects(text) {
  let single;
  try {
    single = parseJson(text, "not valid JSON");
  } catch (error) {
    const lines = text.split(/\r\n|\n|\r/);
    // Otherwise it is not JSON Lines, and the mistake may be far below the first line.
    if (!isJson(lines.find((line) => line.trim()))) throw error;
    return lines.flatMap((line, index) => (line.trim() ? [parseJson(line, `line ${index + 1} is not valid JSON`)] : []));
  }
  const key = Object.hasOwn(single, "input") ? undefined : LIST_KEYS.find((each) => Array.isArray(single[each]));
  return key === undefined ? [single] : single[key];
}

function isJson(line) {
  try {
    parseJson(line, "");
    return true;
  } catch {
    return false;
  }
}

function parseJson(text, problem) {
  const body = text.trimStart();
  // Spaces stand for white space that JSON does not allow, so that places are those in the file.
  const start = text.slice(0, text.length - body.length).replace(/[^\r\n]/g, " ");
  try {
    return parseExactly(start + body.trimEnd());
  } catch (error) {
    throw new Error(`${problem}: ${error.message}`);
  }
}
