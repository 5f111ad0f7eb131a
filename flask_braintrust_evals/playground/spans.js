// Finds the spans of a case: in the browser's database, or in a file of results that was opened.

const PAUSES = [0, 300, 600, 1200]; // milliseconds; the spans of a run that goes on are written a moment later

// Returns { spans, leftOut }, or null if there are none.
export async function spansOf({ run, store }, row) {
  if (row.spans) return row.spans.length ? { spans: row.spans, leftOut: row.spansCut ?? 0 } : null;
  if (!store || !isDone(row)) return null;
  for (const pause of run.state === "running" ? PAUSES : PAUSES.slice(0, 1)) {
    await new Promise((resolve) => setTimeout(resolve, pause));
    const found = await store.spans(run.id, row.id).catch(() => null);
    if (found?.spans.length) return found;
  }
  return null;
}

const isDone = ({ state }) => state === "done" || state === "error";
