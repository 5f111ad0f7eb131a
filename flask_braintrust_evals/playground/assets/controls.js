// Makes the controls for single values of JSON: texts, numbers, switches, choices, and JSON itself.
//
// A control is { node, read(), write(value), draft(), restore(draft) }. `read` returns the value, or undefined if none is
// given, and throws a FieldError if it is not valid. `write` shows a value; undefined shows that none is given. `draft`
// returns what its user has entered, valid or not, which `restore` shows again.

import { element } from "./dom.js";
import { textOf } from "./exact_control.js";
import { exactNumber, parseExactly } from "./exact_json.js";
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
  // A switch is off where nothing is given. Where that is an answer of its own, there is a choice.
  const needsAnswer = schema.nullable || (schema.required && schema.default === undefined);
  if (schema.kind === "boolean") return needsAnswer ? choice({ ...schema, choices: [true, false] }, label) : toggle(label);
  if (schema.kind === "number") return numeric(schema, label);
  if (schema.kind === "string") return textual(schema, label);
  if (schema.kind === "mixed") return mixed(schema, label);
  return json(schema, label);
}

// Returns what an empty field stands for, in words.
const emptyWords = ({ required, emptyIsNull }) => (required ? "" : emptyIsNull ? "null" : "not given");

function choice(schema, label) {
  const { choices, required } = schema;
  const option = (value, at) => element("option", { value: at }, typeof value === "string" ? value : JSON.stringify(value));
  const none = element("option", { value: "" }, emptyWords(schema) || "choose one");
  const node = element("select", { ...label }, none, ...choices.map(option));
  const write = (value) => {
    const at = value === undefined ? -1 : choices.findIndex((each) => canonical(each) === canonical(value));
    none.hidden = at >= 0 && required;
    node.value = at < 0 ? "" : at;
  };
  const read = () => (node.value === "" ? undefined : choices[node.value]);
  const restore = (value) => {
    if (value !== undefined && !choices.some((each) => canonical(each) === canonical(value))) throw new TypeError("there is no such choice any more");
    write(value);
  };
  return { node, write, read, draft: read, restore };
}

function toggle(label) {
  const node = element("input", { type: "checkbox", role: "switch", ...label });
  let given = false;
  node.addEventListener("change", () => (given = true));
  const write = (value) => {
    given = value !== undefined;
    node.checked = value === true;
  };
  const read = () => (given ? node.checked : undefined);
  return { node, write, read, draft: read, restore: write };
}

function numeric(schema, label) {
  // The limits are checked here: the browser's own message would be hidden with a folded panel.
  const node = element("input", { type: "number", step: "any", placeholder: emptyWords(schema), ...label });
  const read = () => {
    if (node.validity.badInput) throw new FieldError(node, "is not a number");
    if (node.value === "") return undefined;
    const value = exactNumber(node.value);
    if (schema.whole && typeof value !== "bigint" && !Number.isInteger(value)) throw new FieldError(node, "must be a whole number");
    if (value < schema.minimum || value > schema.maximum) throw new FieldError(node, `must be ${rangeOf(schema)}`);
    return value;
  };
  return { node, read, write: (value) => (node.value = value ?? ""), ...textOf(node) };
}

// Returns the limits of a number in words; empty: it has none.
export function rangeOf({ minimum, maximum }) {
  if (minimum !== undefined && maximum !== undefined) return `from ${minimum} to ${maximum}`;
  return minimum !== undefined ? `${minimum} or more` : maximum !== undefined ? `${maximum} or less` : "";
}

// An empty box means no value, unless the parameter has a text by default: then it is an empty text or, where null is
// allowed and the default is another text, null.
function textual(schema, label) {
  const takesEmpty = typeof schema.default === "string" && !(schema.nullable && schema.default);
  const node = element("textarea", { rows: 1, className: "text", placeholder: takesEmpty ? "" : emptyWords(schema), ...label });
  const read = () => (node.value === "" && !takesEmpty ? undefined : node.value);
  return { node, read, write: (value) => (node.value = value ?? ""), ...textOf(node) };
}

// A value of several types: JSON if it is valid JSON of one of them, or else the text, as on the command line.
function mixed(schema, label) {
  const node = element("textarea", { rows: 1, className: "text", placeholder: schema.types.includes("object") ? "a text, or JSON" : emptyWords(schema), ...label });
  const read = () => {
    const text = node.value;
    if (text.trim() === "") return undefined;
    const value = parsed(text);
    return value !== undefined && schema.types.includes(typeOf(value)) ? value : text;
  };
  const write = (value) => (node.value = isPlainText(value) ? value : value === undefined ? "" : JSON.stringify(value));
  // A text such as "5" is in quotes, so that it is not a number.
  const isPlainText = (value) => typeof value === "string" && (parsed(value) === undefined || !schema.types.includes(typeOf(parsed(value))));
  return { node, read, write, ...textOf(node) };
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
  return { node, read, write: (value) => (node.value = value === undefined ? "" : JSON.stringify(value, null, 2)), ...textOf(node) };
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
