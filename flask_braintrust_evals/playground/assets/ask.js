// Asks before something is done that cannot be undone.

import { byId, element } from "./dom.js";

// Returns whether the user has chosen to do it.
export function ask(question, { explained = "", yes, no = "Keep" }) {
  const dialog = byId("question");
  const choose = (answer) => element("button", { type: "button", onclick: () => dialog.close(answer) }, answer);
  const keep = choose(no);
  dialog.replaceChildren(
    element("h2", { id: "question-title" }, question),
    element("p", {}, explained),
    element("p", { className: "choices" }, keep, choose(yes)),
  );
  dialog.returnValue = "";
  dialog.showModal();
  keep.focus();
  return new Promise((resolve) =>
    dialog.addEventListener("close", () => resolve(dialog.returnValue === yes), { once: true }),
  );
}
