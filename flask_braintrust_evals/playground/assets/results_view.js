// The panel that shows a run: its header, scores, comparison, and the table of its cases.
// It needs neither the server nor the form beside it.

import { drawComparison } from "./comparison_view.js";
import { Details } from "./details.js";
import { byId, show } from "./dom.js";
import { Filters } from "./filters.js";
import { RunHeader } from "./header.js";
import { caseName } from "./rows.js";
import { ScoreCards } from "./summary.js";
import { Table } from "./table.js";

const REDRAW = 150; // milliseconds

export class ResultsView {
  #shown;
  #table;
  #filters;
  #header;
  #cards;
  #details;
  #redraw = null;

  // `actions(row)` returns buttons for the details of a case, and `opened(row)` is called when they are shown, or with
  // null when they are closed.
  constructor(shown, { actions = () => [], opened = () => {} } = {}) {
    this.#shown = shown;
    shown.onChange(() => this.#draw()); // before the details, which step through the rows of the table
    this.#table = new Table(byId("table"), (row) => this.#details.open(row));
    this.#details = new Details(byId("details"), shown, this.#table, { actions, opened });
    this.#filters = new Filters(() => this.schedule());
    this.#header = new RunHeader(this.#filters);
    this.#cards = new ScoreCards(byId("summary"), this.#filters);
  }

  // The rows that pass the filters, in the order of the table.
  get rows() {
    return this.#table.rows;
  }

  // Shows the details of a case by its name, or closes them if there is none.
  openCase(name) {
    const row = this.#shown.run?.rows.find((each) => caseName(each) === name);
    if (row) this.#details.open(row);
    else this.#details.close();
  }

  // Draws soon. While a run goes on, events come faster than they could be drawn.
  schedule() {
    this.#redraw ??= setTimeout(() => this.#shown.changed(), REDRAW);
  }

  #draw() {
    clearTimeout(this.#redraw);
    this.#redraw = null;
    const { run, compared } = this.#shown;
    if (!run) return;
    this.#filters.of(run);
    this.#header.show(run);
    show(byId("run-problem"), run.error);
    const names = this.#cards.show(run);
    drawComparison(byId("comparison"), this.#shown);
    const rows = run.rows.filter((row) => this.#filters.pass(row, compared.get(row)));
    this.#filters.count(rows.length, run.rows.length);
    this.#table.show(rows, names, compared);
  }
}
