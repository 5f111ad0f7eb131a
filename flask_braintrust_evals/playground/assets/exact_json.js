// Reads and writes JSON without rounding large integers, such as the ids of many databases: they are BigInts in the page.
// Browsers that cannot do this round them as ever: https://github.com/tc39/proposal-json-parse-with-source

const IS_SUPPORTED = typeof JSON.rawJSON === "function";
const MAYBE_LARGE = /\d{16}|e\+?\d{3}/i;
const INTEGER = /^-?\d+$/;

// Returns the value of a JSON text. Throws a SyntaxError also if a number is too large: it would be written as null.
export function parseExactly(text) {
  return MAYBE_LARGE.test(text) ? JSON.parse(text, finite) : JSON.parse(text);
}

function finite(key, value, context) {
  const made = IS_SUPPORTED ? exact(value, context.source) : value;
  if (made === Infinity || made === -Infinity) throw new SyntaxError(`${context?.source.slice(0, 100) ?? "a number"} is larger than a float can be`);
  return made;
}

// Returns the number that a text is.
export const exactNumber = (text) => (IS_SUPPORTED ? exact(Number(text), text) : Number(text));

function exact(value, source) {
  return typeof value === "number" && !Number.isSafeInteger(value) && INTEGER.test(source) ? BigInt(source) : value;
}

// So that JSON.stringify writes them with all of their digits.
if (IS_SUPPORTED)
  BigInt.prototype.toJSON = function () {
    return JSON.rawJSON(String(this));
  };
