// Shows all data of one case.

import { asText, element, seconds } from "./dom.js";
import { diff } from "./diff.js";
import { differs } from "./run.js";
import { comparable } from "./values.js";

export function showDetails(dialog, table, at, compared) {
  const row = table.rows[at];
  const earlier = compared.get(row)?.row;
  const step = (to) => {
    if (to >= 0 && to < table.rows.length) showDetails(dialog, table, to, compared);
  };
  const close = element("button", { type: "button", onclick: () => dialog.close() }, "Close");
  dialog.replaceChildren(
    element(
      "header",
      {},
      element("h2", { id: "details-title" }, `Case ${row.index + 1}${row.trial ? `, trial ${row.trial + 1}` : ""}: ${row.state}`),
      element(
        "span",
        {},
        element("button", { type: "button", disabled: at === 0, onclick: () => step(at - 1) }, "Previous"),
        " ",
        element("button", { type: "button", disabled: at === table.rows.length - 1, onclick: () => step(at + 1) }, "Next"),
        " ",
        close,
      ),
    ),
    ...[
      part("Error", row.error),
      part("Input", row.input),
      part("Expected", row.expected),
      part("Output", row.output ?? (row.text || undefined)),
      differs(row) ? difference("From expected to output", row.expected, row.output) : null,
      part("Streamed", row.output === undefined ? undefined : row.text || undefined),
      earlier ? part("Output of the earlier run", earlier.error ?? earlier.output) : null,
      earlier && !row.error && !earlier.error && !compared.get(row).same
        ? difference("From the earlier output to this one", earlier.output, row.output)
        : null,
      part("Scores", notEmpty(row.scores)),
      part("Scorers that failed", row.scorerErrors),
      part("Classifications", notEmpty(row.classifications)),
      part("Metadata", notEmpty(row.metadata)),
      part("Tags", row.tags?.length ? row.tags : undefined),
      part("Time", row.duration === undefined ? undefined : seconds(row.duration)),
      part("Tokens and cost", used(row.metrics)),
      part("Tokens and cost of scorers", used(row.scorerMetrics)),
      part("Span", row.id),
    ].flat().filter(Boolean),
  );
  if (!dialog.open) dialog.showModal();
  close.focus();
}

const notEmpty = (value) => (value && Object.keys(value).length ? value : undefined);

// Returns the metrics of a row without its duration, which has a place of its own.
export function used(metrics) {
  const { duration, ...others } = metrics ?? {};
  return notEmpty(others);
}

function part(title, value) {
  if (value === undefined || value === null) return null;
  return [element("h2", {}, title), element("pre", { tabIndex: 0, dir: "auto" }, asText(value, 2))];
}

function difference(title, before, after) {
  const pieces = diff(comparable(before), comparable(after));
  const shown = pieces
    ? pieces.map(({ kind, text }) => (kind === "same" ? text : element(kind === "gone" ? "del" : "ins", {}, text)))
    : ["The texts are too long to be compared word by word."];
  return [element("h2", {}, title), element("pre", { tabIndex: 0 }, ...shown)];
}
