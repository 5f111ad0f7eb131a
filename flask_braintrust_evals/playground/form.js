// Makes the form for an evaluator's parameters, from its manifest.

import { element } from "./dom.js";

// Returns { fields: [elements], values() } for the parameters of a manifest's evaluator.
// `given` has the values that the fields have at first, instead of the defaults.
export function parameterForm(parameters, given = {}) {
  const described = !parameters
    ? []
    : parameters.type === "braintrust.parameters"
      ? Object.entries(parameters.schema?.properties ?? {}).map(([name, schema]) => [name, ofSaved(schema)])
      : Object.entries(parameters.schema);
  const fields = described.map(([name, parameter]) =>
    field(name, Object.hasOwn(given, name) ? { ...parameter, default: given[name] } : parameter),
  );
  return {
    fields: fields.map((each) => each.node),
    values() {
      const values = fields.map((each) => [each.name, each.value()]);
      // With an assignment, "__proto__" would not be a name as any other.
      return Object.fromEntries(values.filter(([, value]) => value !== undefined));
    },
  };
}

function ofSaved(schema) {
  const kind = { prompt: "prompt", model: "model" }[schema["x-bt-type"]] ?? "data";
  return { type: kind, schema, default: schema.default, description: schema.description };
}

function field(name, parameter) {
  const made =
    parameter.type === "prompt" ? promptField(name, parameter)
    : parameter.type === "model" ? modelField(parameter)
    : dataField(name, parameter);
  const help = parameter.description ?? parameter.schema?.description;
  const label = element("label", {}, name, made.node);
  return { name, value: made.value, node: element("div", {}, label, help ? element("p", { className: "quiet" }, help) : null) };
}

function modelField(parameter) {
  const input = element("input", { type: "text", value: parameter.default ?? "", placeholder: "such as gpt-6.1-terra", spellcheck: false });
  return { node: input, value: () => input.value.trim() || undefined };
}

function dataField(name, { schema = {}, default: given }) {
  const value = given ?? schema.default;
  if (Array.isArray(schema.enum)) return choice(schema.enum, value);
  if (schema.type === "boolean") return toggle(value);
  if (schema.type === "number" || schema.type === "integer") return numeric(schema, value);
  if (schema.type === "string") return textual(schema, value);
  return json(name, value);
}

function choice(values, value) {
  const select = element("select", {}, ...values.map((each, index) => element("option", { value: index }, typeof each === "string" ? each : JSON.stringify(each))));
  const known = values.findIndex((each) => JSON.stringify(each) === JSON.stringify(value));
  if (known < 0) select.prepend(element("option", { value: "" }, "not given"));
  select.value = known < 0 ? "" : known;
  return { node: select, value: () => (select.value === "" ? undefined : values[select.value]) };
}

function toggle(value) {
  const input = element("input", { type: "checkbox", checked: value === true, role: "switch" });
  let touched = value !== undefined;
  input.addEventListener("change", () => (touched = true));
  return { node: input, value: () => (touched ? input.checked : undefined) };
}

function numeric(schema, value) {
  const input = element("input", { type: "number", value: value ?? "", step: schema.type === "integer" ? 1 : "any" });
  if (schema.minimum !== undefined) input.min = schema.minimum;
  if (schema.maximum !== undefined) input.max = schema.maximum;
  return { node: input, value: () => (input.value === "" ? undefined : Number(input.value)) };
}

function textual(schema, value) {
  const long = (value ?? "").length > 60 || (value ?? "").includes("\n");
  const input = element(long ? "textarea" : "input", { value: value ?? "", ...(long ? { rows: 4 } : { type: "text" }) });
  let touched = value !== undefined;
  input.addEventListener("input", () => (touched = true));
  return { node: input, value: () => (touched ? input.value : undefined) };
}

function json(name, value) {
  const input = element("textarea", { rows: 4, spellcheck: false, value: value === undefined ? "" : JSON.stringify(value, null, 2) });
  const read = () => {
    input.removeAttribute("aria-invalid");
    if (!input.value.trim()) return undefined;
    try {
      return JSON.parse(input.value);
    } catch (error) {
      input.setAttribute("aria-invalid", "true");
      input.focus();
      throw new Error(`parameter "${name}" is not valid JSON: ${error.message}`);
    }
  };
  return { node: input, value: read };
}

// Prompts as Braintrust saves them: { prompt: { type: "chat", messages }, options: { model } }.
function promptField(name, parameter) {
  const given = parameter.default;
  const messages = given?.prompt?.messages;
  const plain = given === undefined || (given.prompt?.type === "chat" && messages?.every((each) => typeof each.content === "string" && Object.keys(each).length === 2));
  if (!plain) return json(name, given);
  const model = element("input", { type: "text", value: given?.options?.model ?? "", "aria-label": `${name}: model`, placeholder: "model", spellcheck: false });
  const list = element("div");
  const add = (message) => list.append(messageField(name, message, list));
  (messages ?? [{ role: "user", content: "" }]).forEach(add);
  const more = element("button", { type: "button", onclick: () => add({ role: "user", content: "" }) }, "Add a message");
  const node = element("div", { className: "message-fields", role: "group", "aria-label": name }, model, list, more);
  const value = () => {
    const read = [...list.children].map((each) => ({ role: each.querySelector("select").value, content: each.querySelector("textarea").value }));
    if (given === undefined && !model.value && read.every((each) => !each.content)) return undefined;
    const options = { ...given?.options, ...(model.value ? { model: model.value } : {}) };
    return { ...given, prompt: { ...given?.prompt, type: "chat", messages: read }, options };
  };
  return { node, value };
}

function messageField(name, message, list) {
  const roles = ["system", "user", "assistant"];
  const role = element("select", { "aria-label": `${name}: role` }, ...roles.map((each) => element("option", {}, each)));
  role.value = roles.includes(message.role) ? message.role : "user";
  const content = element("textarea", { rows: 3, value: message.content, "aria-label": `${name}: content` });
  const made = element("div", {}, role, content);
  made.append(element("button", { type: "button", onclick: () => list.children.length > 1 && made.remove() }, "Remove"));
  return made;
}
