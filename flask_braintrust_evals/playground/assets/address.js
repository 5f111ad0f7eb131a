// What the page shows, in the part of its address behind "#": an evaluator, a run, a case, and another run.

const FIELDS = ["evaluator", "run", "with", "case"];

export function place(hash = location.hash) {
  const found = new URLSearchParams(hash.slice(1));
  return Object.fromEntries(FIELDS.map((name) => [name, found.get(name) ?? ""]));
}

export function hashOf(fields) {
  const given = FIELDS.filter((name) => fields[name]).map((name) => [name, fields[name]]);
  return `#${new URLSearchParams(given)}`;
}

// Shows another address, without an event. `replace`: the former one is no step of the browser's history.
export function setPlace(fields, { replace = false } = {}) {
  const hash = hashOf(fields);
  if (hash === location.hash) return;
  if (replace) history.replaceState(null, "", hash);
  else history.pushState(null, "", hash);
}
