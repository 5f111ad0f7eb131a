// Reads JSON Schemas: which control suits the values of one.

import { typeOf } from "./controls.js";
import { sameValue } from "./values.js";

const ANY = ["string", "number", "boolean", "array", "object", "null"];

// Returns what the form needs to know of a schema:
// { kind, nullable, required, emptyIsNull, default, description, choices, minimum, maximum, whole, types, items, properties }.
// `kind` is "string", "number", "boolean", "list", "object" with known properties, "map" with others, "mixed", or "json".
// A value that may be null is never required: if none is given, it is null, or what it has by default if that is null.
export function described(schema = {}, { required = false, value = schema.default } = {}) {
  const { inner, nullable } = withoutNull(schema);
  const types = typesOf(inner) ?? ANY;
  const made = {
    kind: kindOf(inner, types),
    nullable,
    required: required && !nullable,
    emptyIsNull: nullable && (required || value !== undefined),
    default: value,
    description: schema.description ?? inner.description,
    types: types.map((each) => (each === "integer" ? "number" : each)),
  };
  const choices = inner.enum ?? (inner.const === undefined ? undefined : [inner.const]);
  if (choices) made.choices = choices.filter((each) => each !== null);
  if (made.kind === "number") {
    made.whole = types.length === 1 && types[0] === "integer";
    made.minimum = inner.minimum ?? (made.whole && Number.isInteger(inner.exclusiveMinimum) ? inner.exclusiveMinimum + 1 : undefined);
    made.maximum = inner.maximum ?? (made.whole && Number.isInteger(inner.exclusiveMaximum) ? inner.exclusiveMaximum - 1 : undefined);
  }
  if (made.kind === "list") made.items = described(inner.items, { required: true });
  if (made.kind === "map") made.items = described(inner.additionalProperties, { required: true });
  if (made.kind === "object")
    made.properties = Object.entries(inner.properties).map(([name, each]) => [
      name,
      described(each, { required: (inner.required ?? []).includes(name) }),
    ]);
  return made;
}

// Returns whether the control for the schema can show a value. Others are shown as JSON.
export function fits(made, value) {
  if (value === undefined) return true;
  if (value === null) return made.nullable;
  if (made.choices) return made.choices.some((each) => sameValue(each, value));
  const type = typeOf(value);
  if (made.kind === "list") return type === "array" && value.every((each) => fits(made.items, each));
  if (made.kind === "map") return type === "object" && Object.values(value).every((each) => fits(made.items, each));
  if (made.kind === "object") {
    const properties = new Map(made.properties);
    return type === "object" && Object.entries(value).every(([name, each]) => properties.has(name) && fits(properties.get(name), each));
  }
  return made.kind === "mixed" || made.kind === "json" || type === made.kind;
}

// A schema for a value or null, such as that of an optional field of a pydantic model.
function withoutNull(schema) {
  if (Array.isArray(schema.type) && schema.type.includes("null")) {
    const types = schema.type.filter((each) => each !== "null");
    return { inner: { ...schema, type: types.length === 1 ? types[0] : types }, nullable: true };
  }
  const branches = schema.anyOf ?? schema.oneOf;
  const others = branches?.filter((each) => each.type !== "null");
  if (!others) return { inner: schema, nullable: false };
  const inner = others.length === 1 ? { ...schema, anyOf: undefined, oneOf: undefined, ...others[0] } : { ...schema, anyOf: others };
  return { inner, nullable: others.length < branches.length };
}

// Returns the types that the values may have; undefined: any.
function typesOf(schema) {
  if (schema.type) return [schema.type].flat();
  const branches = schema.anyOf ?? schema.oneOf;
  return branches?.every((each) => typeof each.type === "string") ? branches.map((each) => each.type) : undefined;
}

function kindOf(schema, types) {
  const [type] = types;
  const branched = (schema.anyOf ?? schema.oneOf ?? schema.allOf) !== undefined;
  if (types.every((each) => each === "integer" || each === "number")) return "number";
  if (types.length > 1) return types.includes("string") ? "mixed" : "json";
  if (branched) return "json";
  if (type === "string" || type === "boolean") return type;
  if (type === "array" && schema.items && !schema.prefixItems) return "list";
  if (type === "object" && Object.keys(schema.properties ?? {}).length) return "object";
  if (type === "object" && typeof schema.additionalProperties === "object") return "map";
  return "json";
}
