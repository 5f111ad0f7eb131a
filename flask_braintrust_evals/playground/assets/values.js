// Compares and writes values of JSON without regard to the order of keys.

// Returns the JSON of a value with the keys of all objects in order.
export function canonical(value, indent) {
  return JSON.stringify(inOrder(value ?? null), null, indent);
}

// Returns whether two values are the same, whatever the order of their keys.
export function sameValue(one, other) {
  if (one === other) return true;
  if (typeof one !== "object" || typeof other !== "object" || !one || !other) return false;
  if (Array.isArray(one) !== Array.isArray(other)) return false;
  const keys = Object.keys(one);
  return keys.length === Object.keys(other).length && keys.every((key) => Object.hasOwn(other, key) && sameValue(one[key], other[key]));
}

function inOrder(value) {
  if (Array.isArray(value)) return value.map(inOrder);
  if (typeof value !== "object" || value === null) return value;
  // Not an assignment: "__proto__" is a key as any other. A key such as "1" is written first wherever it is put.
  return Object.fromEntries(Object.keys(value).sort().map((key) => [key, inOrder(value[key])]));
}

// Returns the text in which two values are compared word by word: of objects, the keys are in order.
export function comparable(value, indent = 2) {
  if (value === undefined || value === null) return "";
  return typeof value === "string" ? value : canonical(value, indent);
}
