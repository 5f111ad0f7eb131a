// Makes the controls for lists and objects: rows that can be added and removed, and fields.

import { FieldError, json, rangeOf, simpleControl } from "./controls.js";
import { element } from "./dom.js";
import { fits } from "./schemas.js";

const DEPTH = 2; // levels of lists and objects that have rows and fields; what is below is JSON
const HAS_PARTS = ["list", "object", "map"];

// Returns the control for a schema. `name` is what screen readers call it where no label is around it.
export function controlFor(schema, name, depth = 0) {
  const label = { "aria-label": name };
  if (!HAS_PARTS.includes(schema.kind) || schema.choices) return simpleControl(schema, label);
  return depth < DEPTH ? structured(schema, name, depth) : json(schema, label);
}

// A list or an object, which can also be edited as JSON, and is if it does not have the form of its schema.
function structured(schema, name, depth) {
  const make = { list: listControl, object: objectControl, map: mapControl }[schema.kind];
  const parts = make(schema, name, depth);
  const text = json(schema, { "aria-label": `${name} as JSON` });
  const button = element("button", { type: "button", className: "link", onclick: () => turn() });
  const problem = element("span", { className: "quiet", role: "status" });
  const place = element("div");
  const node = element("div", { className: "structure", role: "group", "aria-label": name }, place);
  // In a part of another structure, a second way to edit it would only be in the way.
  if (depth === 0) node.append(element("div", { className: "structure-foot" }, button, problem));
  let current = parts;
  const show = (control) => {
    current = control;
    place.replaceChildren(control.node);
    button.textContent = control === parts ? "Edit as JSON" : "Edit in fields";
    problem.textContent = "";
  };
  const turn = () => {
    const target = current === parts ? text : parts;
    try {
      const value = current.read();
      if (target === parts && !fits(schema, value)) throw new Error("This JSON does not have the form of the fields.");
      target.write(value);
      show(target);
    } catch (error) {
      problem.textContent = error instanceof FieldError ? "Mend what is not valid first." : error.message;
    }
    button.focus();
  };
  const write = (value) => {
    const target = fits(schema, value) ? parts : text;
    target.write(value);
    show(target);
  };
  write(undefined);
  return { node, write, read: () => current.read() };
}

function listControl(schema, name, depth) {
  const rows = [];
  const list = element("div", { className: "rows-of-form" });
  const add = (value) => {
    const control = controlFor(schema.items, `${name}, item`, depth + 1);
    control.write(value);
    addRow(list, rows, { control }, [control.node]);
    return control;
  };
  const more = element("button", { type: "button", onclick: () => focus(add(schema.items.default).node) }, "Add an item");
  return {
    node: element("div", {}, list, more),
    write: (value) => {
      clear(rows);
      for (const each of value ?? []) add(each);
    },
    read: () => {
      const values = rows.map(({ control }) => given(control, "item"));
      return values.length || schema.default !== undefined || schema.required ? values : undefined;
    },
  };
}

// An object whose names its user chooses.
function mapControl(schema, name, depth) {
  const rows = [];
  const list = element("div", { className: "rows-of-form" });
  const add = (key, value) => {
    const control = controlFor(schema.items, `${name}, value`, depth + 1);
    const label = element("input", { type: "text", value: key, placeholder: "name", "aria-label": `${name}, name`, spellcheck: false });
    control.write(value);
    addRow(list, rows, { control, label }, [label, control.node]);
    return label;
  };
  const more = element("button", { type: "button", onclick: () => add("", schema.items.default).focus() }, "Add an entry");
  return {
    node: element("div", {}, list, more),
    write: (value) => {
      clear(rows);
      for (const [key, each] of Object.entries(value ?? {})) add(key, each);
    },
    read: () => {
      const names = rows.map(({ label }) => label.value);
      rows.forEach(({ label }, at) => {
        if (names.indexOf(label.value) < at) throw new FieldError(label, "two entries have this name");
      });
      const entries = rows.map(({ control, label }) => [label.value, given(control, "value")]);
      return entries.length || schema.default !== undefined || schema.required ? Object.fromEntries(entries) : undefined;
    },
  };
}

function objectControl(schema, name, depth) {
  const fields = schema.properties.map(([key, each]) => ({ key, schema: each, control: controlFor(each, `${name}, ${key}`, depth + 1) }));
  const node = element("div", { className: "fields-of-object" }, ...fields.map(property));
  return {
    node,
    write: (value) => {
      for (const { key, schema: each, control } of fields) control.write(value && Object.hasOwn(value, key) ? (value[key] ?? undefined) : each.default ?? undefined);
    },
    read: () => {
      const values = fields.map(({ key, control }) => [key, control.read()]).filter(([, value]) => value !== undefined);
      const untouched = values.every(([key, value]) => value === schema.properties.find(([each]) => each === key)[1].default);
      if (untouched && !schema.required && schema.default === undefined) return undefined;
      for (const { key, schema: each, control } of fields)
        if (each.required && each.default === undefined && !values.some(([other]) => other === key))
          throw new FieldError(focusable(control.node), `'${key}' is required`);
      return Object.fromEntries(values);
    },
  };
}

function property({ key, schema, control }) {
  return element("div", { className: "field" }, heading(key, schema, control, hint(schema)));
}

// Returns the name of a field with its control: as its label or, above several controls, as a heading.
export function heading(name, schema, control, help) {
  const isRequired = schema.required && schema.default === undefined;
  const title = [element("span", { className: "field-name" }, name), isRequired ? element("span", { className: "required" }, " required") : null];
  const about = help ? element("p", { className: "quiet" }, help) : null;
  if (!control.node.matches("input, select, textarea")) return element("div", {}, ...title, about, control.node);
  if (isRequired) control.node.setAttribute("aria-required", "true");
  // The label is the name: a second one would hide it from screen readers.
  control.node.removeAttribute("aria-label");
  return element("div", {}, element("label", {}, ...title, control.node), about);
}

// Returns what there is to know of a field: its description, and the limits of a number.
export function hint(schema) {
  const range = schema.kind === "number" ? rangeOf(schema) : "";
  return [schema.description, range && `${range[0].toUpperCase()}${range.slice(1)}.`].filter(Boolean).join(" ");
}

function addRow(list, rows, entry, nodes) {
  const remove = element("button", { type: "button", className: "remove", title: "Remove", "aria-label": "Remove this row" }, "✕");
  const row = element("div", { className: "form-row" }, ...nodes, remove);
  const made = { ...entry, row };
  remove.addEventListener("click", () => {
    rows.splice(rows.indexOf(made), 1);
    const next = row.nextElementSibling ?? row.previousElementSibling;
    row.remove();
    focus(next ?? list.parentElement.querySelector(":scope > button"));
    list.dispatchEvent(new Event("input", { bubbles: true }));
  });
  rows.push(made);
  list.append(row);
}

function clear(rows) {
  for (const { row } of rows.splice(0)) row.remove();
}

function given(control, what) {
  const value = control.read();
  if (value === undefined) throw new FieldError(focusable(control.node), `this ${what} is empty: fill it in, or remove it`);
  return value;
}

export function focusable(node) {
  return node.matches("input, select, textarea, button") ? node : (node.querySelector("input, select, textarea") ?? node.querySelector("button") ?? node);
}

const focus = (node) => focusable(node).focus();
