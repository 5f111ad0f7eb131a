// Makes the controls for single values of JSON: texts, numbers, switches, choices, and JSON itself.
//
// A control is { node, read(), write(value), empty() }. `read` returns the value, or undefined if none is given, and
// throws a FieldError if it is not valid. `write` shows a value; undefined shows that none is given.

import { element } from "./dom.js";
import { parseExactly } from "./exact_json.js";
import { canonical } from "./values.js";

export class FieldError extends Error {
  constructor(node, message) {
    super(message);
    this.node = node;
  }
}

// Returns a control for a schema that has no parts.
export function simpleControl(schema, label) {
  if (schema.choices) return choice(schema, label);
  if (schema.kind === "boolean") return schema.nullable ? choice({ ...schema, choices: [true, false] }, label) : toggle(label);
  if (schema.kind === "number") return numeric(schema, label);
  if (schema.kind === "string") return textual(schema, label);
  if (schema.kind === "mixed") return mixed(schema, label);
  return json(schema, label);
}

function choice({ choices, required }, label) {
  const option = (value, at) => element("option", { value: at }, typeof value === "string" ? value : JSON.stringify(value));
  const none = element("option", { value: "" }, required ? "choose one" : "not given");
  const node = element("select", { ...label }, none, ...choices.map(option));
  const write = (value) => {
    const at = value === undefined ? -1 : choices.findIndex((each) => canonical(each) === canonical(value));
    none.hidden = at >= 0 && required;
    node.value = at < 0 ? "" : at;
  };
  return { node, write, read: () => (node.value === "" ? undefined : choices[node.value]) };
}

function toggle(label) {
  const node = element("input", { type: "checkbox", role: "switch", ...label });
  let given = false;
  node.addEventListener("change", () => (given = true));
  const write = (value) => {
    given = value !== undefined;
    node.checked = value === true;
  };
  return { node, write, read: () => (given ? node.checked : undefined) };
}

function numeric(schema, label) {
  // The limits are checked here: the browser's own message would be hidden with a folded panel.
  const node = element("input", { type: "number", step: "any", placeholder: schema.required ? "" : "not given", ...label });
  const read = () => {
    if (node.validity.badInput) throw new FieldError(node, "is not a number");
    if (node.value === "") return undefined;
    const value = Number(node.value);
    if (schema.whole && !Number.isInteger(value)) throw new FieldError(node, "must be a whole number");
    if (value < schema.minimum || value > schema.maximum) throw new FieldError(node, `must be ${rangeOf(schema)}`);
    return value;
  };
  return { node, read, write: (value) => (node.value = value ?? "") };
}

// Returns the limits of a number in words; empty: it has none.
export function rangeOf({ minimum, maximum }) {
  if (minimum !== undefined && maximum !== undefined) return `from ${minimum} to ${maximum}`;
  return minimum !== undefined ? `${minimum} or more` : maximum !== undefined ? `${maximum} or less` : "";
}

// An empty box means no value, unless an empty text is what the parameter had by default.
function textual(schema, label) {
  const node = element("textarea", { rows: 1, className: "text", placeholder: schema.required ? "" : "not given", ...label });
  const takesEmpty = typeof schema.default === "string";
  if (takesEmpty) node.placeholder = "";
  const read = () => (node.value === "" && !takesEmpty ? undefined : node.value);
  return { node, read, write: (value) => (node.value = value ?? "") };
}

// A value of several types: JSON if it is valid JSON of one of them, or else the text, as on the command line.
function mixed(schema, label) {
  const node = element("textarea", { rows: 1, className: "text", placeholder: schema.types.includes("object") ? "a text, or JSON" : schema.required ? "" : "not given", ...label });
  const read = () => {
    const text = node.value;
    if (text.trim() === "") return undefined;
    const value = parsed(text);
    return value !== undefined && schema.types.includes(typeOf(value)) ? value : text;
  };
  const write = (value) => (node.value = isPlainText(value) ? value : value === undefined ? "" : JSON.stringify(value));
  // A text such as "5" is in quotes, so that it is not a number.
  const isPlainText = (value) => typeof value === "string" && (parsed(value) === undefined || !schema.types.includes(typeOf(parsed(value))));
  return { node, read, write };
}

export function json(schema, label) {
  const shape = { list: "[ … ]", object: "{ … }", map: "{ … }" }[schema.kind] ?? "";
  const node = element("textarea", { rows: 3, className: "json", spellcheck: false, placeholder: `JSON ${shape}`.trim(), ...label });
  const read = () => {
    if (!node.value.trim()) return undefined;
    try {
      return parseExactly(node.value);
    } catch (error) {
      throw new FieldError(node, `is not valid JSON: ${error.message}`);
    }
  };
  return { node, read, write: (value) => (node.value = value === undefined ? "" : JSON.stringify(value, null, 2)) };
}

function parsed(text) {
  try {
    return parseExactly(text);
  } catch {
    return undefined;
  }
}

export function typeOf(value) {
  if (value === null) return "null";
  if (typeof value === "bigint") return "number";
  return Array.isArray(value) ? "array" : typeof value;
}
