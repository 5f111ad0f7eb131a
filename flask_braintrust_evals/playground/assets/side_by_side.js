// Shows the output of an earlier run beside that of this one.

import { diff, marked } from "./diff.js";
import { element } from "./dom.js";
import { comparable } from "./values.js";
import { part } from "./values_view.js";

// `known` is the row's entry in the comparison. Words that only one of the outputs has are marked in it.
export function sideBySide({ row: earlier, same }, row) {
  if (same) return [section("Outputs of both runs", element("p", { className: "quiet" }, "The outputs are the same."))];
  const before = earlier.error ?? earlier.output;
  const now = row.error ?? row.output;
  const pieces = row.error || earlier.error ? null : diff(comparable(before), comparable(now));
  if (!pieces) return [beside(part("Before", before, "h4"), part("Now", now, "h4"))];
  const side = (tags) => element("pre", { tabIndex: 0, dir: "auto" }, ...marked(pieces, tags));
  const titled = (title, tags) => [element("section", { className: "part" }, element("div", { className: "part-head" }, element("h4", {}, title)), side(tags))];
  return [beside(titled("Before", { gone: "del" }), titled("Now", { new: "ins" }))];
}

const section = (title, ...children) => element("section", { className: "part" }, element("h3", {}, title), ...children);
const beside = (before, now) => section("Outputs of both runs", element("div", { className: "values" }, ...before, ...now));
