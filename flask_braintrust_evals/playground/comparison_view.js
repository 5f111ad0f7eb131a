// Shows how a run compares with another one.

import { inWords } from "./compare.js";
import { show } from "./dom.js";

export function drawComparison(place, { run, other, compared }) {
  show(place, other ? inWords(run, compared) : "");
}
