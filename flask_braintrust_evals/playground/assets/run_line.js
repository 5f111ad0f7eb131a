// The first lines above a run: what it is called, how it was started, and what can be done with it.

import { hashOf } from "./address.js";
import { missing } from "./again.js";
import { countOf } from "./case_table.js";
import { byId, element, show } from "./dom.js";
import { isFailed } from "./rows.js";
import { timeOf } from "./run.js";
import { shortValue } from "./runs_list.js";

export class RunLine {
  #shown;
  #request; // the body of the request that the run was started with, as far as it is known
  #described; // what the server says of the run's evaluator, if it has it
  #isInForm = false; // whether the form is that of the run's evaluator
  #busy = false; // whether a run goes on
  #drawn = null;

  // `actions` has functions for what can be done: cancel(), again(), failed(), missing(), rows(), form(), remove(), label(text).
  constructor(shown, rowsShown, actions) {
    this.#shown = shown;
    this.rowsShown = rowsShown;
    for (const [name, act] of Object.entries(actions))
      if (name !== "label") byId(`again-${name}`).addEventListener("click", act);
    byId("label").addEventListener("change", (event) => actions.label(event.target.value.trim()));
    byId("label").addEventListener("keydown", (event) => event.key === "Enter" && event.target.blur());
    shown.onChange(() => this.draw());
  }

  // Takes what is known of the shown run beside its results.
  of({ request, described, isInForm }) {
    [this.#request, this.#described, this.#isInForm] = [request, described, isInForm];
    this.draw();
  }

  set busy(on) {
    this.#busy = on;
    this.draw();
  }

  draw() {
    const { run } = this.#shown;
    if (!run) return;
    if (this.#drawn !== run) this.#drawStill(run);
    this.#drawn = run;
    this.#drawButtons(run);
  }

  // Shows the label that the record of the run has: another window may have given it.
  relabel(record) {
    const { run } = this.#shown;
    if (!record || record.label === run.label) return;
    run.label = record.label;
    if (document.activeElement !== byId("label")) byId("label").value = run.label ?? "";
  }

  // What does not change while a run goes on.
  #drawStill(run) {
    byId("all-runs").href = hashOf({ evaluator: run.evaluator });
    byId("all-runs").textContent = `‹ All runs of ${run.evaluator}`;
    byId("run-title").textContent = `${run.evaluator}, ${timeOf(run)}`;
    byId("label").value = run.label ?? "";
    show(byId("run-about"), run.about && `Only ${run.about}.`);
    const parameters = Object.entries(run.parameters ?? {});
    byId("run-parameters").hidden = !parameters.length;
    byId("run-parameters-short").textContent = `Parameters: ${parameters.map(([name, value]) => `${name} ${shortValue(value)}`).join(", ")}`;
    byId("run-parameters-long").replaceChildren(
      ...parameters.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, typeof value === "string" ? value : JSON.stringify(value, null, 2))]),
    );
  }

  #drawButtons(run) {
    const going = run.state === "running";
    const shownOnly = this.rowsShown().length;
    const counts = {
      again: null,
      failed: run.rows.filter(isFailed).length,
      missing: going ? 0 : (missing(run, this.#request, this.#described)?.length ?? 0),
      rows: shownOnly < run.rows.length ? shownOnly : 0,
    };
    const words = { failed: "Failed only", missing: "Those not done", rows: "Those shown" };
    for (const [name, count] of Object.entries(counts)) {
      const button = byId(`again-${name}`);
      button.disabled = this.#busy;
      if (count === null) continue;
      button.hidden = going || !count;
      button.textContent = `${words[name]} (${count})`;
      button.title = `Run ${countOf(count)} again, in a run of their own`;
    }
    byId("again-cancel").hidden = !going || !this.#busy;
    for (const name of ["again", "remove"]) byId(`again-${name}`).hidden = going;
    byId("again-form").hidden = going || !this.#isInForm; // another evaluator has other parameters
  }
}
