// Puts the page together: the form starts runs, and the panel beside it shows them.

import { Server } from "./api.js";
import { byId, show } from "./dom.js";
import { keep } from "./history.js";
import { ResultsView } from "./results_view.js";
import { Runner } from "./runner.js";
import { RunsList } from "./runs_list.js";
import { ReportButton } from "./save_report.js";
import { Setup } from "./setup.js";
import { Share } from "./share.js";
import { Shown } from "./shown.js";

const server = new Server();
const shown = new Shown();
const view = new ResultsView(shown);
const runner = new Runner(server);
const runs = new RunsList(shown);
const setup = new Setup(server, { chosen: (name) => runs.list(name), start });
new Share(shown);
new ReportButton(shown);

async function start() {
  if (runner.active) return;
  setup.problem("");
  show(byId("run-problem"), "");
  try {
    await follow(await setup.request());
  } catch (error) {
    setup.problem(error.message);
  }
}

async function follow(request) {
  setup.running(true);
  const run = await runner.run(request, (current) => {
    shown.run = current;
    view.schedule();
  });
  setup.running(false);
  if (run.denied) setup.askForToken();
  if (run.state === "failed") setup.refused(run.error);
  shown.open(run);
  if (run.rows.length) {
    await keep(run.plain()).catch(() => {}); // private windows may have no database
    await runs.list(setup.evaluator);
  }
}

byId("cancel").addEventListener("click", () => runner.cancel());
setup.connect();
