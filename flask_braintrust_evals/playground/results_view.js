// The panel that shows a run: its header, scores, comparison, and the table of its cases.
// It needs neither the server nor the form beside it.

import { drawComparison } from "./comparison_view.js";
import { showDetails } from "./details.js";
import { byId, show } from "./dom.js";
import { Filters } from "./filters.js";
import { drawHeader } from "./header.js";
import { scoreCards } from "./summary.js";
import { Table } from "./table.js";

const REDRAW = 150; // milliseconds

export class ResultsView {
  #shown;
  #table;
  #filters;
  #redraw = null;

  constructor(shown) {
    this.#shown = shown;
    this.#table = new Table(byId("table"), (at) => showDetails(byId("details"), this.#table, at, shown.compared));
    this.#filters = new Filters(() => this.schedule());
    shown.onChange(() => this.#draw());
  }

  // Draws soon. While a run goes on, events come faster than they could be drawn.
  schedule() {
    this.#redraw ??= setTimeout(() => this.#shown.changed(), REDRAW);
  }

  #draw() {
    clearTimeout(this.#redraw);
    this.#redraw = null;
    const { run, other, compared } = this.#shown;
    if (!run) return;
    drawHeader(run);
    show(byId("run-problem"), run.error);
    byId("summary").replaceChildren(...scoreCards(run, other));
    drawComparison(byId("comparison"), this.#shown);
    const rows = run.rows.filter((row) => this.#filters.pass(row, compared.get(row)));
    this.#table.show(rows, run.scoreNames, compared);
  }
}
