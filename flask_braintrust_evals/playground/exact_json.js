// Reads and writes JSON without rounding large integers, such as the ids of many databases: they are BigInts in the page.
// Browsers that cannot do this round them as ever: https://github.com/tc39/proposal-json-parse-with-source

const IS_SUPPORTED = typeof JSON.rawJSON === "function";
const MAYBE_LARGE = /\d{16}/;
const INTEGER = /^-?\d+$/;

// Returns the value of a JSON text.
export function parseExactly(text) {
  return IS_SUPPORTED && MAYBE_LARGE.test(text) ? JSON.parse(text, exact) : JSON.parse(text);
}

// Returns the number that a text is.
export const exactNumber = (text) => (IS_SUPPORTED ? exact("", Number(text), { source: text }) : Number(text));

function exact(key, value, { source }) {
  return typeof value === "number" && !Number.isSafeInteger(value) && INTEGER.test(source) ? BigInt(source) : value;
}

// So that JSON.stringify writes them with all of their digits.
if (IS_SUPPORTED)
  BigInt.prototype.toJSON = function () {
    return JSON.rawJSON(String(this));
  };
