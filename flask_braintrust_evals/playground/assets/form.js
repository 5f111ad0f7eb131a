// Makes the form for an evaluator's parameters, from its manifest.

import { FieldError } from "./controls.js";
import { element } from "./dom.js";
import { exactly, textOf } from "./exact_control.js";
import { fold } from "./fold.js";
import { promptControl } from "./prompt_form.js";
import { own } from "./records.js";
import { described, fits } from "./schemas.js";
import { controlFor, focusable, heading, hint } from "./structures.js";
import { sameValue } from "./values.js";

// Messages such as "is required", whose subject is the parameter.
const IN_A_SENTENCE = /^(is|must) /;

// Returns the form for the parameters of a manifest's evaluator:
// { fields, values(), entered(), reset(), refused(message) }. `fields` are elements. `values` returns the values that are
// given, or marks the fields that are wrong, shows the first of them, and throws an Error. `entered` returns what its user
// has changed, valid or not: a default is not among it, so that the form shows another one when the code has another.
// `reset` shows the defaults. `refused` shows what the server said of a parameter, and returns whether it did.
// `entered` has what the fields have at first, instead of the defaults: by the names of parameters, what `entered`
// returned, or { value }.
export function parameterForm(parameters, entered = {}) {
  const fields = parametersOf(parameters).map(([name, parameter]) => field(name, parameter, own(entered, name)));
  return {
    fields: fields.map((each) => each.node),
    values: () => valuesOf(fields),
    entered: () => enteredIn(fields),
    reset: () => fields.forEach((each) => each.reset()),
    refused: (message) => showRefusal(fields, message),
  };
}

function parametersOf(parameters) {
  if (!parameters) return [];
  if (parameters.type !== "braintrust.parameters") return Object.entries(parameters.schema);
  return Object.entries(parameters.schema?.properties ?? {}).map(([name, schema]) => [name, ofSaved(schema)]);
}

// Whether saved parameters are required is not known here: they may have saved values.
function ofSaved(schema) {
  const kind = { prompt: "prompt", model: "model" }[schema["x-bt-type"]] ?? "data";
  return { type: kind, schema, default: schema.default, description: schema.description };
}

function field(name, parameter, entered) {
  const initial = parameter.default ?? parameter.schema?.default ?? undefined;
  const schema = described(parameter.schema, { value: initial, required: parameter.required === true });
  schema.description = parameter.description ?? schema.description;
  const control = controlOf(name, parameter, schema);
  const problem = element("p", { className: "field-problem", hidden: true });
  const help = hint(schema);
  const node = element("div", { className: "field" }, heading(name, schema, control, help), problem);
  node.dataset.parameter = name;
  node.addEventListener("input", () => clear(made));
  const made = { name, schema, control, initial, node, problem, reset: () => (clear(made), control.write(initial)) };
  fill(made, entered);
  return made;
}

// Shows what was entered before, which may be of another type than the parameter has now.
function fill({ schema, control, initial }, entered) {
  control.write(initial);
  if (entered === undefined || ("value" in Object(entered) && !canShow(schema, entered.value))) return;
  try {
    control.restore(entered);
  } catch {
    control.write(initial);
  }
}

// Values of lists and objects that do not have the form of their schemas are shown as JSON.
const canShow = (schema, value) => ["list", "object", "map"].includes(schema.kind) || fits(schema, value);

function controlOf(name, parameter, schema) {
  if (parameter.type === "prompt") return promptControl(schema, name);
  if (parameter.type !== "model") return controlFor(schema, name);
  const node = element("input", { type: "text", placeholder: "such as gpt-6.1-terra", spellcheck: false, "aria-label": name });
  return exactly({ node, read: () => node.value.trim() || undefined, write: (value) => (node.value = value ?? ""), ...textOf(node) }, schema);
}

function valuesOf(fields) {
  const values = [];
  const wrong = [];
  for (const each of fields) {
    clear(each);
    try {
      const value = each.control.read();
      if (value !== undefined) values.push([each.name, value]);
      else if (each.schema.required) throw new FieldError(focusable(each.control.node), "is required");
    } catch (error) {
      if (!(error instanceof FieldError)) throw error;
      mark(each, error.node, error.message);
      wrong.push(`parameter "${each.name}"${IN_A_SENTENCE.test(error.message) ? "" : ":"} ${error.message}`);
      if (wrong.length === 1) reveal(error.node);
    }
  }
  if (wrong.length) throw new Error(wrong.join("\n"));
  // With an assignment, "__proto__" would not be a name as any other.
  return Object.fromEntries(values);
}

function enteredIn(fields) {
  const entered = fields.flatMap(({ name, control, initial }) => {
    const kept = control.kept();
    return Object.hasOwn(kept, "value") && sameValue(kept.value, initial) ? [] : [[name, kept]];
  });
  return Object.fromEntries(entered);
}

// The server's messages begin with "parameter 'name'", and then perhaps the place inside of its value.
function showRefusal(fields, message) {
  const found = fields.find(({ name }) => message.startsWith(`parameter '${name}'`));
  if (!found) return false;
  const node = focusable(found.control.node);
  mark(found, node, message.slice(`parameter '${found.name}'`.length).replace(/^: /, "").replace(/ \(status \d+\)$/, ""));
  reveal(node);
  return true;
}

function mark({ node: field, problem }, node, message) {
  problem.id = `problem-${field.dataset.parameter}`;
  problem.textContent = IN_A_SENTENCE.test(message) ? `This ${message}` : message;
  problem.hidden = false;
  node.setAttribute("aria-invalid", "true");
  node.setAttribute("aria-describedby", problem.id);
}

function clear({ node, problem }) {
  problem.hidden = true;
  for (const each of node.querySelectorAll("[aria-invalid]")) {
    each.removeAttribute("aria-invalid");
    each.removeAttribute("aria-describedby");
  }
}

function reveal(node) {
  fold(false);
  const folded = node.closest("details");
  if (folded) folded.open = true;
  node.focus({ preventScroll: true });
  node.closest(".field").scrollIntoView({ block: "center" });
}
