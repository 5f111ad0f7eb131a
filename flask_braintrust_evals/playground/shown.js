// What the page shows at the moment: a run, and another one that it is compared with.

import { compare } from "./compare.js";

export class Shown {
  run = null; // a Run, or plain data as Run.plain() returns it
  other = null; // plain data of a run
  compared = new Map(); // from a row to { row, scores, verdict }
  #listeners = [];

  // Calls the listener with this object when another run is shown, or when something in the run has changed.
  onChange(listener) {
    this.#listeners.push(listener);
  }

  open(run) {
    this.run = run;
    this.changed();
  }

  compareWith(other) {
    this.other = other;
    this.changed();
  }

  changed() {
    this.compared = this.run && this.other ? compare(this.run, this.other) : new Map();
    for (const listener of this.#listeners) listener(this);
  }
}
