// The dialog with all data of one case.

import { asText, element, seconds } from "./dom.js";
import { diff, differing, marked } from "./diff.js";
import { tokensInWords } from "./metrics.js";
import { isDone } from "./rows.js";
import { differs } from "./run.js";
import { sideBySide } from "./side_by_side.js";
import { scoreTable } from "./score_table.js";
import { spansOf } from "./spans.js";
import { waterfall } from "./trace.js";
import { comparable } from "./values.js";
import { block, facts, folded, part } from "./values_view.js";

export class Details {
  #dialog;
  #actions;
  #shown;
  #table;
  #row = null;
  #drawn = "";
  #drawnHead = "";
  #opened;

  // `table` has the rows that can be stepped through. `actions(row)` returns further buttons, and `opened(row)` is called
  // when a case is shown, and with null when the dialog is closed.
  constructor(dialog, shown, table, { actions, opened }) {
    this.#dialog = dialog;
    this.#shown = shown;
    this.#table = table;
    this.#actions = actions;
    this.#opened = opened;
    dialog.addEventListener("close", () => this.#show(null));
    dialog.addEventListener("keydown", (event) => this.#key(event));
    dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
    shown.onChange(() => this.#refresh());
  }

  open(row) {
    if (row === this.#row) return;
    this.#show(row);
    if (!this.#dialog.open) this.#dialog.showModal();
    this.#dialog.querySelector(".close").focus();
  }

  close() {
    this.#dialog.close();
  }

  #show(row) {
    this.#row = row;
    // What a closed dialog showed would keep a whole run in memory: its buttons know it.
    this.#dialog.replaceChildren();
    if (row) this.#draw(row);
    this.#opened(row);
  }

  #draw(row) {
    const head = this.#head(row);
    [this.#drawn, this.#drawnHead] = [stateOf(row), enabled(head)];
    this.#dialog.replaceChildren(head, this.#body(row));
  }

  // Draws the case again if something has come since then, or only its head if other buttons of it can be used.
  #refresh() {
    const row = this.#row;
    if (!row) return;
    const { className, textContent } = document.activeElement ?? {};
    const head = this.#head(row);
    if (stateOf(row) !== this.#drawn) this.#draw(row);
    else if (enabled(head) !== this.#drawnHead) {
      this.#drawnHead = enabled(head);
      this.#dialog.firstElementChild.replaceWith(head);
    } else return;
    if (className) this.#dialog.querySelector(`.${className.split(" ")[0]}`)?.focus();
    else [...this.#dialog.querySelectorAll("header button")].find((each) => each.textContent === textContent)?.focus();
  }

  #step(by) {
    const { rows } = this.#table;
    const next = rows[rows.indexOf(this.#row) + by];
    if (!next) return;
    this.#show(next);
    this.#table.select(next);
    const button = this.#dialog.querySelector(by < 0 ? ".previous" : ".next");
    (button.disabled ? this.#dialog.querySelector(".close") : button).focus();
  }

  #key(event) {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!by || event.altKey || event.ctrlKey || event.metaKey || event.target.closest("input, textarea, select, pre")) return;
    event.preventDefault();
    this.#step(by);
  }

  #head(row) {
    const { rows } = this.#table;
    const at = rows.indexOf(row);
    const button = (className, text, onclick, disabled = false) => element("button", { type: "button", className, onclick, disabled }, text);
    const title = `Case ${row.index + 1}${row.trial ? `, trial ${row.trial + 1}` : ""}: ${row.state}`;
    return element(
      "header",
      {},
      element("h2", { id: "details-title" }, title),
      element(
        "span",
        { className: "steps" },
        ...this.#actions(row),
        button("previous", "Previous", () => this.#step(-1), at <= 0),
        button("next", "Next", () => this.#step(1), at < 0 || at === rows.length - 1),
        button("close", "Close", () => this.close()),
      ),
    );
  }

  #body(row) {
    const { compared } = this.#shown;
    const known = compared.get(row);
    return element(
      "div",
      { className: "case" },
      ...failure(row),
      element("div", { className: "values" }, ...part("Input", row.input), ...part("Expected", row.expected ?? undefined), ...part("Output", row.output)),
      ...(differs(row) ? difference("From expected to output", row.expected, row.output) : []),
      ...part("Streamed", row.output === undefined ? row.text || undefined : undefined),
      ...(known ? sideBySide(known, row) : []),
      ...scoreTable(row, known),
      ...reported(row.messages),
      ...this.#trace(row),
      ...part("Classifications", notEmpty(row.classifications)),
      ...part("Metadata", notEmpty(row.metadata)),
      ...tagged(row.tags),
      facts(numbersOf(row)),
    );
  }

  #trace(row) {
    const place = element("div", { role: "status" }, "The spans are being read.");
    spansOf(this.#shown, row).then((found) => {
      place.removeAttribute("role");
      if (found) place.replaceChildren(waterfall(found.spans, found.leftOut));
      else place.replaceChildren(element("p", { className: "quiet" }, missing(row)));
    });
    return [element("section", { className: "part" }, element("h3", {}, "Trace"), place)];
  }
}

// What tells whether the head has to be drawn again.
const enabled = (head) => [...head.querySelectorAll("button")].map(({ disabled }) => disabled).join(" ");

// What tells whether a row has to be drawn again.
const stateOf = (row) => [row.state, row.text?.length, row.messages?.length, row.output === undefined].join(" ");

const missing = (row) => (isDone(row) ? "No spans of this case are kept." : "There are spans when the case is done.");

const notEmpty = (value) => (value && Object.keys(value).length ? value : undefined);

function failure({ error, errorPlace: place, errorStack: stack }) {
  if (!error) return [];
  return [
    element(
      "section",
      { className: "part failure", "aria-label": "Failure" },
      element("p", { className: "problem" }, error),
      place ? element("p", { className: "code-place", dir: "ltr" }, place) : null,
      stack ? folded("Stack trace", () => block(stack)) : null,
    ),
  ];
}

function reported(messages) {
  const known = (messages ?? []).filter((each) => typeof each?.text === "string"); // a file may have anything
  if (!known.length) return [];
  const items = known.map(({ kind, text }) => element("li", { dir: "auto" }, element("span", { className: "tag" }, kind), " ", text));
  return [element("section", { className: "part" }, element("h3", {}, "Reported by the task"), element("ol", { className: "reported", tabIndex: 0 }, ...items))];
}

function tagged(tags) {
  if (!tags?.length) return [];
  return [element("section", { className: "part" }, element("h3", {}, "Tags"), element("p", { className: "tags" }, ...tags.flatMap((each) => [element("span", { className: "tag", dir: "auto" }, each), " "])))];
}

function numbersOf(row) {
  const { duration } = row.metrics ?? {};
  return [
    row.caseId === undefined || row.caseId === null ? null : ["Id", asText(row.caseId)],
    row.duration === undefined ? null : ["Time", seconds(row.duration)],
    duration === undefined ? null : ["Time of the task", seconds(duration)],
    ["Tokens and cost", tokensInWords(row.metrics ?? {})],
    ["Tokens and cost of scorers", tokensInWords(row.scorerMetrics ?? {})],
    // The cases of a file have no spans in Braintrust, and other ids.
    row.id && !/^\d+\.\d+$/.test(row.id) ? ["Span", row.id] : null,
  ].filter((each) => each && each[1]);
}

function difference(title, before, after) {
  const pieces = diff(comparable(before), comparable(after));
  const shown = pieces ? marked(differing(pieces), { gone: "del", new: "ins" }) : ["The texts are too long to be compared word by word."];
  return [element("section", { className: "part" }, element("h3", {}, title), element("pre", { tabIndex: 0 }, ...shown))];
}
