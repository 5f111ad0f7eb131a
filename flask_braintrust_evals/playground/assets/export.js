// Writes results to files.

import { asText, element } from "./dom.js";
import { own, scoreOf } from "./records.js";
import { toResults } from "./results.js";

export const asJson = (run) => JSON.stringify(toResults(run), null, 2);

// Returns all that is known of the cases but their traces. The columns that a file of cases may have are named as there.
export function asCsv(run) {
  const metrics = namesOf(run.rows, (row) => row.metrics);
  const scorerMetrics = namesOf(run.rows, (row) => row.scorerMetrics);
  const columns = [
    ["id", (row) => row.caseId],
    ["index", (row) => row.index],
    ["trial", (row) => row.trial],
    ["state", (row) => row.state],
    ["input", (row) => row.input],
    ["expected", (row) => row.expected],
    ["output", (row) => row.output],
    ["error", (row) => row.error],
    ["error_place", (row) => row.errorPlace],
    ["tags", (row) => notEmpty(row.tags)],
    ["metadata", (row) => notEmpty(row.metadata)],
    ["classifications", (row) => notEmpty(row.classifications)],
    ...run.scoreNames.map((name) => [`score ${name}`, (row) => scoreOf(row, name)]),
    ["score_metadata", (row) => notEmpty(scoreMetadata(row))],
    ["scorer_errors", (row) => notEmpty(row.scorerErrors)],
    ["seconds", (row) => row.duration],
    ...metrics.map((name) => [`metric ${name}`, (row) => own(row.metrics, name)]),
    ...scorerMetrics.map((name) => [`scorer_metric ${name}`, (row) => own(row.scorerMetrics, name)]),
  ];
  const rows = run.rows.map((row) => columns.map(([, read]) => asText(read(row))));
  const lines = [columns.map(([name]) => name), ...rows].map((row) => `${row.map(cell).join(",")}\r\n`);
  // Without a byte order mark, Excel would take the text for one of an older encoding.
  return `\uFEFF${lines.join("")}`;
}

const namesOf = (rows, read) => [...new Set(rows.flatMap((row) => Object.keys(read(row) ?? {})))];
const notEmpty = (value) => (value && Object.keys(value).length ? value : null);

function scoreMetadata(row) {
  const entries = Object.entries(row.scores ?? {}).map(([name, { metadata }]) => [name, notEmpty(metadata)]);
  return Object.fromEntries(entries.filter(([, metadata]) => metadata));
}

// Spreadsheets evaluate cells that begin like a formula (https://owasp.org/www-community/attacks/CSV_Injection), also
// with fullwidth characters. In much of Europe they take ";" for what separates cells, and then neither know where our
// quotes begin: "a;=1+2" is two cells for them. So what follows ";", a tab or a line end is guarded as well.
const BEGINS = /^[=+\-@\uFF0B\uFF0D\uFF1D\uFF20\t\r\n]/;
const BEGINS_INSIDE = /([;\t\r\n]"*)([=+\-@\uFF0B\uFF0D\uFF1D\uFF20][^;\t\r\n"]*)/g;

function cell(text) {
  const inside = text.replace(BEGINS_INSIDE, (all, before, part) => (isNumber(part) ? all : `${before}'${part}`));
  const guarded = BEGINS.test(inside) && !isNumber(text) ? `'${inside}` : inside;
  return `"${guarded.replaceAll('"', '""')}"`;
}

const isNumber = (text) => text.trim() !== "" && !Number.isNaN(Number(text));

export function fileName(run, kind) {
  const began = run.started.slice(0, 19).replaceAll(":", "");
  return `${run.evaluator.replaceAll(/[^\w.-]+/g, "-")}-${began}.${kind}`;
}

export function download(name, type, text) {
  const address = URL.createObjectURL(new Blob([text], { type }));
  element("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
