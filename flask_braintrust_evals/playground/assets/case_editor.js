// Lets its user change a case before it runs again.

import { parseCases } from "./cases.js";
import { byId, element, show } from "./dom.js";

// Returns the edited case, or null if its user does not want to run it.
export function editCase(given, title) {
  const dialog = byId("editor");
  const text = element("textarea", { rows: 14, spellcheck: false, value: JSON.stringify(given, null, 2) });
  const problem = element("p", { className: "problem", role: "alert", hidden: true });
  let edited = null;
  const run = () => {
    try {
      const cases = parseCases(text.value);
      if (cases.length !== 1) throw new Error(`these are ${cases.length} cases; here, one can be run`);
      [edited] = cases;
      dialog.close();
    } catch (error) {
      show(problem, error.message);
      text.focus();
    }
  };
  const button = (name, onclick, className = "") => element("button", { type: "button", className, onclick }, name);
  dialog.replaceChildren(
    element("h2", { id: "editor-title" }, title),
    element("label", {}, "The case as JSON", text),
    problem,
    element("p", { className: "choices" }, button("Cancel", () => dialog.close()), button("Run this case", run, "primary")),
  );
  dialog.onkeydown = (event) => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault(); // the key would press the button that has the focus when the dialog has closed
    run();
  };
  dialog.showModal();
  text.focus();
  return new Promise((resolve) => dialog.addEventListener("close", () => resolve(edited), { once: true }));
}
