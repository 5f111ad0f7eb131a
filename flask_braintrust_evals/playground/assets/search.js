// Searches all that a case has.

import { asText } from "./dom.js";
import { isDone } from "./rows.js";

const texts = new WeakMap(); // from a row that is done to its text; filled by the first search

export function found(row, searched) {
  const wanted = searched.trim().toLowerCase();
  return !wanted || wanted.split(/\s+/).every((word) => textOf(row).includes(word));
}

function textOf(row) {
  if (isDone(row) && texts.has(row)) return texts.get(row);
  const { caseId, input, expected, output, text, error, errorPlace, scores, scorerErrors, classifications, metadata, tags, messages } = row;
  const parts = [caseId, input, expected, output, output === undefined ? text : "", error, errorPlace, scorerErrors, classifications, metadata, tags, messages?.map((each) => each.text), Object.entries(scores ?? {})];
  const made = parts.map(searchable).join("\n").toLowerCase();
  if (isDone(row)) texts.set(row, made);
  return made;
}

// Returns the JSON of an object and, where JSON writes its texts with escapes, these texts as they are.
function searchable(value) {
  const text = asText(value);
  return typeof value === "object" && text.includes("\\") ? [text, ...textsIn(value)].join("\n") : text;
}

function textsIn(value) {
  if (typeof value === "string") return [value];
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, each]) => [key, ...textsIn(each)]);
}
