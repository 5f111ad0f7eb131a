// Writes results to files.

import { asText, element } from "./dom.js";

export function asJson(run) {
  return JSON.stringify(run, null, 2);
}

export function asCsv(run) {
  const header = ["index", "trial", "state", "input", "expected", "output", "error", ...run.scoreNames, "seconds"];
  const rows = run.rows.map((row) => [
    row.index, row.trial, row.state, asText(row.input), asText(row.expected), asText(row.output), row.error ?? "",
    ...run.scoreNames.map((name) => row.scores[name]?.score ?? ""), row.duration ?? "",
  ]);
  return [header, ...rows].map((row) => row.map(cell).join(",")).join("\r\n") + "\r\n";
}

// Spreadsheets evaluate cells that begin like a formula (https://owasp.org/www-community/attacks/CSV_Injection).
function cell(value) {
  let text = String(value);
  if (/^[=+\-@\t\r]/.test(text) && Number.isNaN(Number(text))) text = `'${text}`;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

export function download(name, type, text) {
  const address = URL.createObjectURL(new Blob([text], { type }));
  element("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
