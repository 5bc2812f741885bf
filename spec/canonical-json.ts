/**
 * Canonical JSON: the one byte sequence of a JSON value, over which hashes and signatures are made.
 *
 * Specification: https://spec.matrix.org/v1.19/appendices/#canonical-json. Why this is written here
 * rather than taken from a package: docs/decisions/0010-own-canonical-json.md.
 */
import type { JsonValue } from './event.ts';
import { RawNumber, stringifyIfExact } from './exact-numbers.ts';
import { isWellFormedText } from './identifiers.ts';

/** The value has no canonical form: a number or text that canonical JSON cannot carry. */
export class CanonicalJsonError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'CanonicalJsonError';
  }
}

/** Deeper nesting than any real event, and far from the depth that would exhaust the stack. */
const MAX_NESTING = 1_000;

interface Mode {
  /** Only integers of the safe range and well-formed text. */
  readonly strict: boolean;
  /** Order keys by code point; otherwise by UTF-16 unit, the same as long as no key is outside the BMP. */
  readonly byCodePoint: boolean;
}

const STRICT: Mode = { strict: true, byCodePoint: false };
const STRICT_BY_CODE_POINT: Mode = { strict: true, byCodePoint: true };
const LENIENT: Mode = { strict: false, byCodePoint: false };
const LENIENT_BY_CODE_POINT: Mode = { strict: false, byCodePoint: true };

/** Thrown when UTF-16 order may be wrong, to start again with the slower comparison. */
const KEY_OUTSIDE_BMP = Symbol('key outside the basic multilingual plane');

/**
 * The canonical form of a value, for room versions that enforce it and for everything we make.
 * Properties that are `undefined` are left out.
 *
 * @throws CanonicalJsonError for floats, integers beyond ±(2^53 − 1), negative zero, unpaired
 *   surrogates and nesting beyond 1,000 levels.
 */
export const canonicalJson = (value: JsonValue): string =>
  serialise(value, STRICT, STRICT_BY_CODE_POINT);

/**
 * The canonical form as far as it goes, for events of room versions 1 to 5 and JSON that others
 * made: a {@link RawNumber} is written as it was, any other finite number as JavaScript writes it,
 * and negative zero as `0`.
 *
 * @throws CanonicalJsonError for numbers that are not finite and nesting beyond 1,000 levels.
 */
export const lenientCanonicalJson = (value: JsonValue): string =>
  serialise(value, LENIENT, LENIENT_BY_CODE_POINT);

/**
 * JSON of a value with its numbers as they were read: what `JSON.stringify` makes of it wherever that
 * is so, and the canonical form elsewhere.
 */
export const exactJson = (value: unknown): string =>
  stringifyIfExact(value) ?? lenientCanonicalJson(value as JsonValue);

/** Whether {@link canonicalJson} has a form for it. */
export const hasCanonicalForm = (value: JsonValue): boolean => {
  try {
    canonicalJson(value);
    return true;
  } catch (error) {
    if (error instanceof CanonicalJsonError) return false;
    throw error;
  }
};

/** Picks the variant that a room version asks for. */
export const canonicalJsonFor = (rules: { readonly strictCanonicalJson: boolean }) =>
  rules.strictCanonicalJson ? canonicalJson : lenientCanonicalJson;

const serialise = (value: JsonValue, mode: Mode, modeByCodePoint: Mode): string => {
  try {
    return writeValue(value, mode, 0);
  } catch (error) {
    if (error !== KEY_OUTSIDE_BMP) throw error;
    return writeValue(value, modeByCodePoint, 0);
  }
};

const writeValue = (value: JsonValue, mode: Mode, depth: number): string => {
  switch (typeof value) {
    case 'string':
      return writeString(value, mode);
    case 'number':
      return writeNumber(value, mode);
    case 'boolean':
      return value ? 'true' : 'false';
    default:
  }
  if (value === null) return 'null';
  if (value instanceof RawNumber) {
    if (mode.strict) throw new CanonicalJsonError(`number ${value.text} is not canonical`);
    return value.text;
  }
  if (depth >= MAX_NESTING) throw new CanonicalJsonError('JSON is nested too deeply');
  if (!Array.isArray(value)) return writeObject(value, mode, depth + 1);
  let out = '[';
  for (let i = 0; i < value.length; i++) {
    if (i > 0) out += ',';
    out += writeValue(value[i] as JsonValue, mode, depth + 1);
  }
  return `${out}]`;
};

const writeObject = (
  object: { [key: string]: JsonValue | undefined },
  mode: Mode,
  depth: number,
): string => {
  const keys = Object.keys(object);
  if (mode.byCodePoint) keys.sort(compareCodePoints);
  else sortByUnit(keys);
  let out = '{';
  for (const key of keys) {
    const value = object[key];
    if (value === undefined) continue;
    if (out.length > 1) out += ',';
    if (NEEDS_CARE.test(key)) {
      if (!mode.byCodePoint && ANY_SURROGATE.test(key)) throw KEY_OUTSIDE_BMP;
      out += `${writeString(key, mode)}:`;
    } else {
      out += `"${key}":`;
    }
    out += writeValue(value, mode, depth);
  }
  return `${out}}`;
};

/** Beyond this many keys a sort by insertion may take long. */
const MAX_INSERTED = 16;

/** By UTF-16 unit, as `Array.prototype.sort` does, but with nothing allocated for a few keys. */
const sortByUnit = (keys: string[]): void => {
  if (keys.length > MAX_INSERTED) {
    keys.sort();
    return;
  }
  for (let i = 1; i < keys.length; i++) {
    const key = keys[i] as string;
    let place = i;
    for (; place > 0 && (keys[place - 1] as string) > key; place--) {
      keys[place] = keys[place - 1] as string;
    }
    keys[place] = key;
  }
};

/** Characters that are escaped, or that may make text ill-formed. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for.
const NEEDS_CARE = /["\\\u0000-\u001f\ud800-\udfff]/;
const ANY_SURROGATE = /[\ud800-\udfff]/;

const writeString = (text: string, mode: Mode): string => {
  if (!NEEDS_CARE.test(text)) return `"${text}"`;
  if (mode.strict && !isWellFormedText(text)) {
    throw new CanonicalJsonError('text has an unpaired surrogate');
  }
  // Escapes exactly as the grammar of canonical JSON does.
  return JSON.stringify(text);
};

const writeNumber = (number: number, mode: Mode): string => {
  if (Number.isSafeInteger(number)) {
    if (number !== 0) return String(number);
    if (mode.strict && Object.is(number, -0)) throw new CanonicalJsonError('number is -0');
    return '0';
  }
  if (mode.strict) {
    throw new CanonicalJsonError(`number ${number} is not an integer of at most 2^53 - 1`);
  }
  if (!Number.isFinite(number)) throw new CanonicalJsonError(`number ${number} is not finite`);
  return String(number);
};

/** Surrogates stand for code points above all others, but have smaller units than U+E000–U+FFFF. */
const codePointRank = (unit: number): number => {
  if (unit < 0xd800) return unit;
  return unit < 0xe000 ? unit + 0x2000 : unit - 0x800;
};

/** Orders well-formed text by Unicode code point. */
export const compareCodePoints = (a: string, b: string): number => {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const unitA = a.charCodeAt(i);
    const unitB = b.charCodeAt(i);
    if (unitA !== unitB) return codePointRank(unitA) - codePointRank(unitB);
  }
  return a.length - b.length;
};
