// Makes requests that repeat a run, or some of its cases.

import { isDone } from "./rows.js";
import { nameOf } from "./run.js";
import { trialsOf } from "./trials.js";

// Returns the request for the whole run once more, { body, about }.
export function again(run, request, described) {
  if (request) return { body: request, about: "" };
  return someAgain(run, null, run.rows, { which: "all cases", described });
}

// Returns the request for the cases of some rows. `which` says in words which these are, and `described` is what the
// server says of the evaluator.
export function someAgain(run, request, rows, { which, described }) {
  const known = new Map(rows.map((row) => [row.index, row]));
  const usual = trialsOf(null, request, described);
  const trials = new Map();
  for (const { index } of run.rows) trials.set(index, (trials.get(index) ?? 0) + 1);
  const cases = [...known.values()].sort((a, b) => a.index - b.index).map((row) => {
    const made = caseOf(row, request);
    // A case that the page was not given may have said itself that it has more trials.
    return isGiven(row, request) || trials.get(row.index) <= usual ? made : { ...made, trial_count: trials.get(row.index) };
  });
  return withCases(run, request, cases, which);
}

export function withCases(run, request, cases, which) {
  const body = { ...request, name: run.evaluator, parameters: run.parameters, data: { data: cases } };
  return { body, about: `${which} of the run of ${nameOf(run)}` };
}

// Returns the cases of a request of which not all trials have been done, or null where the page does not know them.
// `described` is what the server says of the evaluator.
export function missing(run, request, described) {
  const cases = request?.data?.data;
  if (!Array.isArray(cases)) return null;
  const done = new Map();
  for (const { index } of run.rows.filter(isDone)) done.set(index, (done.get(index) ?? 0) + 1);
  return cases.filter((each, index) => (done.get(index) ?? 0) < trialsOf(each, request, described));
}

// Returns the case of a row as it was given. If it was not given by the page, its metadata and tags are those that the
// task left.
export function caseOf(row, request) {
  if (isGiven(row, request)) return request.data.data[row.index];
  const { input, expected, metadata, tags, caseId } = row;
  const made = { input: input ?? null };
  if (expected !== undefined && expected !== null) made.expected = expected;
  if (Object.keys(metadata ?? {}).length) made.metadata = metadata;
  if (tags?.length) made.tags = tags;
  if (caseId !== undefined && caseId !== null) made.id = caseId;
  return made;
}

const isGiven = (row, request) => Array.isArray(request?.data?.data) && row.index < request.data.data.length;
