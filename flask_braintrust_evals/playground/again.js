// Makes requests that repeat a run, or some of its cases.

export const isFailed = (row) => Boolean(row.error) || Object.keys(row.scorerErrors ?? {}).length > 0;

// Returns the request for the whole run once more, { body, total, about }.
export function again(run, request) {
  if (request) return { body: request, total: run.total, about: "" };
  return someAgain(run, null, run.rows, "all cases");
}

// Returns the request for the cases of some rows. `which` says in words which these are.
export function someAgain(run, request, rows, which) {
  const known = new Map(rows.map((row) => [row.index, row]));
  const cases = [...known.values()].sort((a, b) => a.index - b.index).map((row) => caseOf(row, request));
  return withCases(run, request, cases, which);
}

export function withCases(run, request, cases, which) {
  const body = { ...request, name: run.evaluator, parameters: run.parameters, data: { data: cases } };
  return { body, total: cases.length * (body.trial_count ?? 1), about: `${which} of the run of ${nameOf(run)}` };
}

// Returns the cases of a request that have not all been done, or null where the page does not know them.
export function missing(run, request) {
  const cases = request?.data?.data;
  if (!Array.isArray(cases)) return null;
  const done = new Set(run.rows.filter((row) => row.state === "done" || row.state === "error").map((row) => row.index));
  return cases.filter((_, index) => !done.has(index));
}

// Returns the case of a row as it was given. If it was not given by the page, its metadata and tags are those that the
// task left.
export function caseOf(row, request) {
  const cases = request?.data?.data;
  if (Array.isArray(cases) && row.index < cases.length) return cases[row.index];
  const { input, expected, metadata, tags, caseId } = row;
  const made = { input: input ?? null };
  if (expected !== undefined && expected !== null) made.expected = expected;
  if (Object.keys(metadata ?? {}).length) made.metadata = metadata;
  if (tags?.length) made.tags = tags;
  if (caseId !== undefined && caseId !== null) made.id = caseId;
  return made;
}

// Returns what a run is called: its label, or when it began.
export const nameOf = (run) => run.label || timeOf(run);

export function timeOf({ started }) {
  const date = new Date(started);
  const day = date.toDateString() === new Date().toDateString() ? "today" : date.toLocaleDateString(undefined, { day: "numeric", month: "short" });
  return `${day}, ${date.toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" })}`;
}
