// Writes results to files.

import { asText, element } from "./dom.js";
import { scoreOf } from "./records.js";
import { results } from "./results.js";

export const asJson = (run) => JSON.stringify(results(run), null, 2);

export function asCsv(run) {
  const header = ["index", "trial", "state", "input", "expected", "output", "error", ...run.scoreNames, "seconds"];
  const rows = run.rows.map((row) => [
    row.index, row.trial, row.state, asText(row.input), asText(row.expected), asText(row.output), row.error ?? "",
    ...run.scoreNames.map((name) => scoreOf(row, name) ?? ""), row.duration ?? "",
  ]);
  return [header, ...rows].map((row) => row.map(cell).join(",")).join("\r\n") + "\r\n";
}

// Spreadsheets evaluate cells that begin like a formula (https://owasp.org/www-community/attacks/CSV_Injection), also
// with fullwidth characters. In much of Europe they take ";" for what separates cells, and then neither know where our
// quotes begin: "a;=1+2" is two cells for them. So what follows ";", a tab or a line end is guarded as well.
const BEGINS = /^[=+\-@\uFF0B\uFF0D\uFF1D\uFF20\t\r\n]/;
const BEGINS_INSIDE = /([;\t\r\n]"*)([=+\-@\uFF0B\uFF0D\uFF1D\uFF20][^;\t\r\n"]*)/g;

function cell(value) {
  const text = String(value);
  const inside = text.replace(BEGINS_INSIDE, (all, before, part) => (isNumber(part) ? all : `${before}'${part}`));
  const guarded = BEGINS.test(inside) && !isNumber(text) ? `'${inside}` : inside;
  return `"${guarded.replaceAll('"', '""')}"`;
}

const isNumber = (text) => text.trim() !== "" && !Number.isNaN(Number(text));

export function download(name, type, text) {
  const address = URL.createObjectURL(new Blob([text], { type }));
  element("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
