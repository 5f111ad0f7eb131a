// Collects the spans of all cases of a run, which are in the browser's database only, to write them to a file.

const BATCH = 200; // cases whose spans are read at a time
const MAX_CHARACTERS = 50_000_000; // characters of all spans; those of further cases are counted

// Returns the run as plain data whose rows have their spans.
export async function withSpans(run, store, most = MAX_CHARACTERS) {
  const plain = run.plain?.() ?? run;
  const rows = [];
  let size = 0;
  for (let at = 0; at < plain.rows.length; at += BATCH) {
    const batch = plain.rows.slice(at, at + BATCH);
    const found = await Promise.all(batch.map((row) => spansOf(plain, row, store)));
    batch.forEach((row, place) => {
      const known = found[place];
      if (!known) return rows.push(row);
      size += JSON.stringify(known.spans).length;
      const { spans, leftOut } = size > most ? { spans: [], leftOut: known.spans.length + known.leftOut } : known;
      return rows.push({ ...row, spans, spansCut: leftOut });
    });
  }
  return { ...plain, rows };
}

async function spansOf(run, row, store) {
  if (row.spans) return { spans: row.spans, leftOut: row.spansCut ?? 0 };
  return store?.spans(run.id, row.id).catch(() => undefined);
}
