// Handles the events of the page: starts runs from the form, and shows them in the table.

import { Server } from "./api.js";
import { parseCases } from "./cases.js";
import { compare, inWords } from "./compare.js";
import { showDetails } from "./details.js";
import { asText, byId, element, show } from "./dom.js";
import { asCsv, asJson, download } from "./export.js";
import { parameterForm } from "./form.js";
import { earlierRun, earlierRuns, forget, keep } from "./history.js";
import { differs, Run } from "./run.js";
import { scoreCards } from "./summary.js";
import { Table } from "./table.js";

const REDRAW = 150; // milliseconds
const EXAMPLE = '[\n  {"input": "hello", "expected": "hello"}\n]';

const server = new Server();
let manifest = {};
let form = parameterForm(null);
let run = null;
let earlier = null;
let compared = new Map();
let stop = null;
let redraw = null;

const table = new Table(byId("table"), (at) => showDetails(byId("details"), table, at, compared));

// The form

async function connect() {
  show(byId("problem"), "");
  try {
    manifest = await server.evaluators();
  } catch (error) {
    const denied = error.status === 401 || error.status === 403 || (error.status === 400 && byId("token").value);
    byId("access").hidden = !denied && byId("access").hidden;
    if (error.status !== 401 || byId("token").value) show(byId("problem"), error.message);
    return;
  }
  const names = Object.keys(manifest);
  byId("evaluator").replaceChildren(...names.map((name) => element("option", {}, name)));
  show(byId("about"), names.length ? "" : "This server has no evaluators.");
  byId("run").disabled = !names.length;
  if (names.length) await choose();
}

async function choose() {
  const name = byId("evaluator").value;
  const { parameters, scores, classifiers, description, has_data: hasData } = manifest[name];
  form = parameterForm(parameters);
  byId("parameter-fields").replaceChildren(...form.fields);
  byId("parameters").hidden = !form.fields.length;
  const made = [...scores, ...classifiers].map((each) => each.name).join(", ");
  show(byId("about"), [description, made ? `Scores: ${made}` : "No scorers."].filter(Boolean).join(" — "));
  const own = byId("source").querySelector("[value=own]");
  own.disabled = !hasData;
  own.textContent = hasData ? "the evaluator itself" : "the evaluator itself (it has none)";
  if (!hasData && byId("source").value === "own") byId("source").value = "text";
  chooseSource();
  await listEarlier();
}

function chooseSource() {
  const source = byId("source").value;
  for (const each of ["text", "file", "dataset"]) byId(`${each}-source`).hidden = each !== source;
  countCases();
}

function countCases() {
  const source = byId("source").value;
  if (source !== "text") return show(byId("cases-found"), "");
  try {
    const found = parseCases(byId("cases").value).length;
    show(byId("cases-found"), `${found} case${found === 1 ? "" : "s"}`);
  } catch (error) {
    show(byId("cases-found"), error.message);
  }
}

// Returns the chosen { data, cases }. `cases` is their number, or null if it is not known.
async function chosenCases() {
  const source = byId("source").value;
  if (source === "own") return { data: { own: true }, cases: null };
  if (source === "dataset") {
    const id = byId("dataset").value.trim();
    if (!id) throw new Error("Give the dataset's id.");
    return { data: { dataset_id: id }, cases: null };
  }
  const file = byId("file").files[0];
  if (source === "file" && !file) throw new Error("Choose a file.");
  const cases = parseCases(source === "file" ? await file.text() : byId("cases").value);
  if (!cases.length) throw new Error("There are no cases.");
  return { data: { data: cases }, cases: cases.length };
}

// The run

async function start(event) {
  event.preventDefault();
  show(byId("problem"), "");
  show(byId("run-problem"), "");
  if (stop) return;
  const name = byId("evaluator").value;
  try {
    const { data, cases } = await chosenCases();
    const trials = Number(byId("trials").value) || undefined;
    const body = { name, data, parameters: form.values(), trial_count: trials };
    body.max_concurrency = Number(byId("concurrency").value) || undefined;
    run = new Run(name, body.parameters, cases === null ? null : cases * (trials ?? 1));
    await follow(run, body);
  } catch (error) {
    show(byId("problem"), error.message);
  }
}

async function follow(current, body) {
  stop = new AbortController();
  running(true);
  schedule();
  try {
    await server.run(body, (event, data) => {
      current.handle(event, data);
      schedule();
    }, stop.signal);
  } catch (error) {
    const cancelled = error.name === "AbortError";
    current.end(cancelled ? "cancelled" : "failed", cancelled ? "" : error.message);
    if (error.status === 401) byId("access").hidden = false;
  } finally {
    stop = null;
    running(false);
    draw();
  }
  if (current.rows.length) {
    await keep(current.plain()).catch(() => {}); // private windows may have no database
    await listEarlier(current.id);
  }
}

function running(on) {
  byId("run").disabled = on;
  byId("cancel").disabled = !on;
  byId("evaluator").disabled = on;
}

// The results

function schedule() {
  redraw ??= setTimeout(draw, REDRAW);
}

function draw() {
  clearTimeout(redraw);
  redraw = null;
  if (!run) return;
  compared = earlier ? compare(run, earlier) : new Map();
  table.show(run.rows.filter(isShown), run.scoreNames, compared);
  byId("summary").replaceChildren(...scoreCards(run, earlier));
  show(byId("comparison"), earlier ? inWords(run, compared) : "");
  show(byId("run-problem"), run.error);
  drawProgress();
  for (const id of ["export-json", "export-csv"]) byId(id).disabled = run.state === "running" || !run.rows.length;
}

function drawProgress() {
  const bar = byId("progress");
  bar.hidden = run.state !== "running";
  if (run.total) [bar.max, bar.value] = [run.total, run.done];
  else bar.removeAttribute("value");
  const of = run.total ? ` of ${run.total}` : "";
  const failed = run.failed ? `, ${run.failed} failed` : "";
  byId("status").textContent = `${run.evaluator}: ${run.state}, ${run.done}${of} done${failed}`;
}

function isShown(row) {
  const filter = byId("filter").value;
  const verdict = compared.get(row)?.verdict;
  const passes =
    filter === "all" ||
    (filter === "errors" && (row.error || row.scorerErrors)) ||
    (filter === "differs" && differs(row)) ||
    verdict === filter;
  const searched = byId("search").value.toLowerCase();
  return passes && (!searched || asText([row.input, row.expected, row.output, row.error]).toLowerCase().includes(searched));
}

// Earlier runs

async function listEarlier(except = run?.id) {
  const name = byId("evaluator").value;
  const chosen = byId("compare").value;
  const runs = await earlierRuns(name).catch(() => []);
  const others = runs.filter((each) => each.id !== except || run?.evaluator !== name);
  const options = others.map(({ id, done, failed, state }) => {
    const when = new Date(id.split(" ")[0]).toLocaleString();
    return element("option", { value: id }, `${when}: ${done} cases${failed ? `, ${failed} failed` : ""}${state === "finished" ? "" : `, ${state}`}`);
  });
  byId("compare").replaceChildren(element("option", { value: "" }, others.length ? "nothing" : "no earlier run"), ...options);
  byId("forget").disabled = !runs.length;
  if (others.some((each) => each.id === chosen)) byId("compare").value = chosen;
  else await compareWith("");
}

async function compareWith(id) {
  earlier = id ? await earlierRun(id) : null;
  draw();
}

async function forgetAll() {
  await forget(byId("evaluator").value);
  await listEarlier();
}

function exported(type, kind, make) {
  const name = `${run.evaluator.replaceAll(/[^\w.-]+/g, "-")}-${run.id.slice(0, 19).replaceAll(":", "")}.${kind}`;
  download(name, type, make(run.plain()));
}

byId("server").textContent = server.address;
byId("cases").value = EXAMPLE;
byId("setup").addEventListener("submit", start);
byId("cancel").addEventListener("click", () => stop?.abort());
byId("evaluator").addEventListener("change", choose);
byId("source").addEventListener("change", chooseSource);
byId("cases").addEventListener("input", countCases);
byId("filter").addEventListener("change", draw);
byId("search").addEventListener("input", schedule);
byId("compare").addEventListener("change", (event) => compareWith(event.target.value));
byId("forget").addEventListener("click", forgetAll);
byId("export-json").addEventListener("click", () => exported("application/json", "json", asJson));
byId("export-csv").addEventListener("click", () => exported("text/csv", "csv", asCsv));
byId("connect").addEventListener("click", () => {
  server.authenticate(byId("token").value.trim(), byId("org").value.trim());
  connect();
});
connect();
