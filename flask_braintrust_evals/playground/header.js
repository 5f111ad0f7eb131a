// The header of a run: how it goes, or how it went.

import { byId } from "./dom.js";

export function drawHeader(run) {
  const bar = byId("progress");
  bar.hidden = run.state !== "running";
  if (run.total) [bar.max, bar.value] = [run.total, run.done];
  else bar.removeAttribute("value");
  const of = run.total ? ` of ${run.total}` : "";
  const failed = run.failed ? `, ${run.failed} failed` : "";
  byId("status").textContent = `${run.evaluator}: ${run.state}, ${run.done}${of} done${failed}`;
}
