// Puts the page together: the address says what is shown, and the form starts runs.

import { hashOf, place, setPlace } from "./address.js";
import { again, caseOf, missing, someAgain, withCases } from "./again.js";
import { Server } from "./api.js";
import { editCase } from "./case_editor.js";
import { CompareChoice } from "./compare_choice.js";
import { byId, element, show } from "./dom.js";
import { drawEmpty } from "./empty.js";
import { fold } from "./fold.js";
import { settled } from "./recorder.js";
import { Opener } from "./open_results.js";
import { remember, remembered } from "./remembered.js";
import { ResultsView } from "./results_view.js";
import { caseName, isFailed } from "./rows.js";
import { Run } from "./run.js";
import { RunLine } from "./run_line.js";
import { Runner } from "./runner.js";
import { RunsList } from "./runs_list.js";
import { ReportButton } from "./save_report.js";
import { Setup } from "./setup.js";
import { Share } from "./share.js";
import { Shown } from "./shown.js";
import { Store } from "./store.js";
import { totalOf } from "./trials.js";

const server = new Server();
const shown = new Shown();
const runner = new Runner(server);
const setup = new Setup(server, { chosen: (evaluator) => visit({ evaluator }), start: startForm });
const view = new ResultsView(shown, { actions: caseActions, opened: caseOpened });
const runs = new RunsList({ compare: (run, other) => visit({ ...here(), run, with: other }) });
const opener = new Opener(() => store);
const choice = new CompareChoice(
  (other) => visit({ ...here(), with: other }),
  () => opener.ask(([{ id }]) => visit({ ...here(), with: id })),
);
const line = new RunLine(shown, () => view.rows, {
  cancel: () => runner.cancel(),
  again: () => start(again(shown.run, request, described())),
  failed: () => start(these(shown.run.rows.filter(isFailed), "the failed cases")),
  missing: () => start(withCases(shown.run, request, missing(shown.run, request, described()), "the cases not done")),
  rows: () => start(these(view.rows, "some cases")),
  form: toForm,
  remove,
  label,
});
new Share(shown);
new ReportButton(shown);

let store = null;
let request; // the body of the request that the shown run was started with, or undefined
let turn = 0;
let unkept = {}; // the run that the browser could not keep, and why
let listed = ""; // the evaluator whose runs are listed; a file of results may have one that the server does not have

// What is shown

const described = () => setup.describedOf(shown.run.evaluator);
const here = () => ({ evaluator: listed, run: shown.run?.id, with: shown.other?.id });

async function visit(fields, options) {
  setPlace(fields, options);
  await arrive(fields);
}

// Shows what an address says. A later call ends an earlier one.
async function arrive(fields) {
  const mine = ++turn;
  if (!store || !setup.names.length) return;
  const evaluator = setup.names.includes(fields.evaluator) ? fields.evaluator : lastEvaluator();
  if (setup.evaluator !== evaluator) await setup.choose(evaluator);
  if (mine !== turn) return;
  remember(`evaluator ${store.application}`, evaluator);
  listed = fields.evaluator || evaluator;
  const run = await found(fields.run);
  const other = await found(fields.with);
  const asked = run && run !== runner.active ? await store.request(run.id).catch(() => undefined) : runner.body;
  if (mine !== turn) return;
  request = asked;
  show(byId("gone"), fields.run && !run ? "That run is not in this browser, or not any more. Others are listed below." : "");
  if (fields.run && !run) setPlace({ evaluator: listed }, { replace: true });
  shown.open(run, other);
  drawUnkept();
  drawLine();
  drawActive();
  showResults(Boolean(run));
  document.title = run ? `${run.label || listed} – Evaluators` : "Evaluators";
  const wanted = listed;
  await list();
  if (mine !== turn) return;
  if (listed !== wanted) {
    show(byId("gone"), `The server has no evaluator “${wanted}”, and this browser no runs of it.`);
    setPlace({ ...here(), case: run ? fields.case : "" }, { replace: true });
  }
  view.openCase(run ? fields.case : "");
}

function lastEvaluator() {
  if (setup.evaluator) return setup.evaluator;
  const last = remembered(`evaluator ${store.application}`);
  return setup.names.includes(last) ? last : setup.names[0];
}

// Returns the run with an id, or null.
async function found(id) {
  if (!id) return null;
  for (const known of [runner.active, shown.run]) if (known?.id === id && (known === runner.active || known.state !== "running")) return known;
  const record = await store.record(id).catch(() => undefined);
  if (!record) return null;
  const ended = () => shown.run?.id === id && arrive(place());
  return Run.of(await settled(store, record, ended), await store.rows(id));
}

async function list() {
  await runs.list(store, listed);
  // An address may name an evaluator that is not there any more.
  if (!runs.records.length && listed !== setup.evaluator) await runs.list(store, (listed = setup.evaluator));
  choice.offer(runs.records, shown.run?.id, shown.other?.id);
  line.relabel(runs.records.find(({ id }) => id === shown.run?.id));
  const none = !runs.records.length;
  byId("empty").hidden = !none;
  if (none) drawEmpty(setup.evaluator, setup.described, () => byId("setup").requestSubmit());
}

function caseOpened(row) {
  if (!shown.run) return;
  const was = place().case;
  // Going from case to case is one step of the browser's history.
  setPlace({ ...here(), case: row ? caseName(row) : "" }, { replace: Boolean(was) || !row });
}

// Runs

// Returns the request for the cases of some rows of the shown run.
const these = (rows, which) => someAgain(shown.run, request, rows, { which, described: described() });

async function startForm() {
  if (byId("run").disabled) return; // the keys that start a run do not ask the button
  setup.problem("");
  setup.preparing(true); // a file may have to be read again
  try {
    const body = await setup.request();
    setup.preparing(runner.active); // another run may have been started meanwhile
    await start({ body });
  } catch (error) {
    setup.preparing(runner.active);
    setup.problem(error.message);
  }
}

async function start(asked) {
  if (runner.active || !store) return;
  byId("details").close();
  setup.running(true);
  line.busy = true;
  let first = true;
  const total = totalOf(asked.body, setup.describedOf(asked.body.name));
  const { run, denied, problem } = await runner.run({ ...asked, total }, store, (current) => {
    if (first) opened(current, asked.body);
    first = false;
    drawActive();
    if (shown.run === current) view.schedule();
  });
  setup.running(false);
  line.busy = false;
  drawActive();
  if (denied) setup.askForToken();
  if (run.state === "failed" && run.evaluator === setup.evaluator) setup.refused(run.error);
  unkept = { run, problem };
  drawUnkept();
  shown.changed();
  await list();
}

// Shows a run that has just begun.
function opened(run, body) {
  turn += 1;
  [request, listed] = [body, run.evaluator];
  setPlace({ evaluator: run.evaluator, run: run.id });
  show(byId("gone"), "");
  showResults(true);
  shown.open(run);
  drawUnkept();
  drawLine();
  byId("results").scrollIntoView({ block: "nearest" });
}

// Shows the results of a run, or else the list of runs. Who has used one of them by keyboard goes on in the other one.
function showResults(on) {
  const [now, before] = on ? [byId("results"), byId("runs")] : [byId("runs"), byId("results")];
  const isUsed = before.contains(document.activeElement);
  before.hidden = true;
  now.hidden = false;
  if (isUsed) now.focus();
}

function drawUnkept() {
  show(byId("unkept"), shown.run && shown.run === unkept.run ? unkept.problem : "");
}

function drawLine() {
  if (shown.run) line.of({ request, described: described(), isInForm: shown.run.evaluator === setup.evaluator });
}

// Says in the page's head how a run goes that is not the one that is shown.
function drawActive() {
  const run = runner.active;
  byId("active").hidden = !run || run === shown.run;
  if (run) byId("active").textContent = `${run.evaluator}: running, ${run.done}${run.total ? ` of ${run.total}` : ""} done`;
  if (run) byId("active").href = hashOf({ evaluator: run.evaluator, run: run.id });
}

function caseActions(row) {
  const known = shown.run;
  const one = (name, title, onclick) => element("button", { type: "button", title, disabled: Boolean(runner.active), onclick }, name);
  const only = () => start(these([row], `case ${row.index + 1}`));
  const edit = async () => {
    const edited = await editCase(caseOf(row, request), `Case ${row.index + 1}, edited`);
    if (edited) await start(withCases(known, request, [edited], `case ${row.index + 1}, edited,`));
  };
  return [one("Run this case", "Run this case only, in a run of its own", only), one("Edit and run", "Change this case, and run it alone", edit)];
}

function toForm() {
  const { run } = shown;
  setup.enter(run.parameters, request ?? again(run, null, described()).body);
  fold(false);
  byId("run").focus();
}

async function remove() {
  const { id, evaluator } = shown.run;
  const record = runs.records.find((each) => each.id === id) ?? shown.run;
  if (await runs.delete(record)) await visit({ evaluator }, { replace: true });
}

async function label(text) {
  const { run } = shown;
  run.label = text || null;
  await store.label(run.id, run.label);
  await list();
}

// The page

async function connect() {
  const application = await setup.connect();
  if (application === null) return;
  if (store?.application !== application) keepIn(new Store(application));
  await arrive(place());
}

function keepIn(made) {
  store = setup.store = shown.store = made;
  store.onChange(() => shown.run?.state === "running" && shown.run !== runner.active ? arrive(place()) : list());
}

function authenticate() {
  server.authenticate(byId("token").value.trim(), byId("org").value.trim());
  return connect();
}

byId("open-results").addEventListener("click", () => opener.ask(([{ id, evaluator }]) => visit({ evaluator, run: id })));
byId("cancel").addEventListener("click", () => runner.cancel());
byId("connect").addEventListener("click", authenticate);
byId("access").addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.target.tagName !== "INPUT" || event.ctrlKey || event.metaKey) return;
  event.preventDefault(); // the key would start a run: the fields are in the form of one
  authenticate();
});
byId("skip").addEventListener("click", (event) => {
  event.preventDefault(); // the part of the address behind "#" says what is shown
  (shown.run ? byId("results") : byId("runs")).focus();
});
byId("fold").addEventListener("click", () => fold());
addEventListener("hashchange", () => arrive(place()));
addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || document.querySelector("dialog[open]")) return;
  event.preventDefault();
  byId("setup").requestSubmit();
});
fold(remembered("folded") === "yes");
connect();
