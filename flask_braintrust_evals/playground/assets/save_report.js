// Writes the shown run, and the one that it is compared with, as a report: one file that any browser opens.

import { withSpans } from "./all_spans.js";
import { byId, show } from "./dom.js";
import { download, fileName } from "./export.js";
import { toResults } from "./results.js";

const SLOT = "<!-- results -->";
const UNSAFE = { "<": "\\u003c", "\u2028": "\\u2028", "\u2029": "\\u2029" };

export class ReportButton {
  #shown;

  constructor(shown) {
    this.#shown = shown;
    const button = byId("export-report");
    shown.onChange(({ run }) => (button.disabled = !run || run.state === "running" || !run.rows.length));
    button.addEventListener("click", () => this.#save());
  }

  async #save() {
    const { run, other, store } = this.#shown;
    try {
      const answer = await fetch(new URL("playground/report.html", location.href));
      if (!answer.ok) throw new Error(`the server answers with status ${answer.status}`);
      download(fileName(run, "html"), "text/html", filled(await answer.text(), await withSpans(run, store), other));
    } catch (error) {
      show(byId("run-problem"), `The report cannot be made: ${error.message}`);
    }
  }
}

// Returns a report made of the server's template. No text of the results can end the element that they are in.
function filled(template, run, other) {
  const { format, version, ...body } = toResults(run);
  const compared = other ? toResults(other.plain?.() ?? other) : null;
  const text = JSON.stringify({ format, version, passed: body.passed, runs: [body], compared_with: [compared] });
  const safe = text.replace(/[<\u2028\u2029]/g, (found) => UNSAFE[found]);
  return template.replace(SLOT, () => safe);
}
