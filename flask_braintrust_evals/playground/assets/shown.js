// What the page shows at the moment: a run, and another one that it is compared with.

import { compare } from "./compare.js";

export class Shown {
  run = null; // a Run
  other = null; // a Run
  compared = new Map(); // from a row to { row, scores, verdict, same }
  store = null; // where the spans of their cases are, by the ids of run and row; null in a page without a database
  #listeners = [];
  #comparedState = [];

  // Calls the listener with this object when another run is shown, or when something in the run has changed.
  onChange(listener) {
    this.#listeners.push(listener);
  }

  open(run, other = null) {
    [this.run, this.other] = [run, other];
    this.changed();
  }

  changed() {
    this.#compare();
    for (const listener of this.#listeners) listener(this);
  }

  // Compares the runs again if one of them has changed, and not if other cases of them are to be shown.
  #compare() {
    const { run, other } = this;
    const state = [run, other, run?.rows.length, run?.done, run?.state];
    if (state.every((each, at) => each === this.#comparedState[at])) return;
    this.#comparedState = state;
    this.compared = run && other ? compare(run, other) : new Map();
  }
}
