// Finds the spans of a case: in the browser's database, or in a file of results that was opened.

import { isDone } from "./rows.js";

const PAUSES = [0, 300, 600, 1200]; // milliseconds; the spans of a run that goes on are written a moment later

// Returns { spans, leftOut }, or null if there are none.
export async function spansOf({ run, store }, row) {
  if (row.spans) return sound(row.spans, Number(row.spansCut) || 0);
  if (!store || !isDone(row)) return null;
  for (const pause of run.state === "running" ? PAUSES : PAUSES.slice(0, 1)) {
    await new Promise((resolve) => setTimeout(resolve, pause));
    const found = await store.spans(run.id, row.id).catch(() => null);
    if (found?.spans.length) return sound(found.spans, found.leftOut ?? 0);
  }
  return null;
}

// Leaves out what is no span: a file may have been written by anybody.
function sound(spans, leftOut) {
  const found = spans.filter((each) => each && typeof each.id === "string" && Number.isFinite(each.start) && Number.isFinite(each.end));
  return found.length ? { spans: found, leftOut: leftOut + spans.length - found.length } : null;
}
