// Chooses the cases that the table shows.

import { asText, byId } from "./dom.js";
import { differs } from "./run.js";

export class Filters {
  // Calls `changed()` when other cases are to be shown.
  constructor(changed) {
    byId("filter").addEventListener("change", changed);
    byId("search").addEventListener("input", changed);
  }

  // Returns whether the table shows the row. `compared` is its entry in the comparison, if there is one.
  pass(row, compared) {
    const filter = byId("filter").value;
    const passes =
      filter === "all" ||
      (filter === "errors" && (row.error || row.scorerErrors)) ||
      (filter === "differs" && differs(row)) ||
      compared?.verdict === filter;
    return passes && this.#isFound(row);
  }

  #isFound(row) {
    const searched = byId("search").value.toLowerCase();
    return !searched || asText([row.input, row.expected, row.output, row.error]).toLowerCase().includes(searched);
  }
}
