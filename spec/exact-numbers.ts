/**
 * JSON whose numbers are kept as they were written. Room versions 1 to 5, and requests between
 * servers, are signed over numbers that JavaScript would write otherwise: `1.0`, `1e-07`, `-0.0` and
 * integers beyond ±(2^53 − 1), as Python and Go write them.
 *
 * Such a number is parsed to a {@link RawNumber}; every other to a plain one. Where values are
 * looked at rather than hashed, {@link plainNumbers} has none of them.
 */
import type { JsonValue } from './event.ts';

/**
 * A number with the text it was read from. It calculates like any `Number` object, and
 * `JSON.stringify` writes its value; only canonical JSON and {@link exactJson} write its text.
 */
export class RawNumber extends Number {
  readonly text: string;

  constructor(text: string) {
    super(text);
    this.text = text;
  }

  toJSON(): number {
    metRawNumber = true;
    return this.valueOf();
  }
}

/** Set by the serialisation under way when it meets one. */
let metRawNumber = false;

/**
 * `JSON.stringify`, if that writes every number as it was read; `undefined` if it does not.
 * Costs nothing more.
 */
export const stringifyIfExact = (value: unknown): string | undefined => {
  metRawNumber = false;
  const json = JSON.stringify(value);
  return metRawNumber ? undefined : json;
};

/** The value with plain numbers only: itself if it has no other, a copy if it has. */
export const plainNumbers = <T>(value: T): T => {
  if (value instanceof RawNumber) return value.valueOf() as T;
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) {
    const plain = value.map(plainNumbers);
    return (plain.some((item, i) => item !== value[i]) ? plain : value) as T;
  }
  let copy: object = value;
  for (const [key, member] of Object.entries(value)) {
    const plain = plainNumbers(member);
    if (plain === member) continue;
    if (copy === value) copy = { ...value };
    setMember(copy, key, plain);
  }
  return copy as T;
};

/**
 * The value with each number written as Python, in which most other servers are, writes it again:
 * `1e-07`, `1e-05` and `1e+20`, where JavaScript has `1e-7`, `0.00001` and twenty-one digits. Others
 * keep what they are sent, so everybody signs the same text. Itself if it has no such number.
 */
export const portableNumbers = <T>(value: T): T => {
  if (typeof value === 'number') return portableNumber(value) as T;
  if (typeof value !== 'object' || value === null || value instanceof RawNumber) return value;
  if (Array.isArray(value)) {
    const portable = value.map(portableNumbers);
    return (portable.some((item, i) => item !== value[i]) ? portable : value) as T;
  }
  let copy: object = value;
  for (const [key, member] of Object.entries(value)) {
    const portable = portableNumbers(member);
    if (portable === member) continue;
    if (copy === value) copy = { ...value };
    setMember(copy, key, portable);
  }
  return copy as T;
};

/** Python's `repr` of a float goes over to exponents at other places, and gives them two digits. */
const portableNumber = (value: number): number => {
  if (Number.isSafeInteger(value) || !Number.isFinite(value)) return value;
  const size = Math.abs(value);
  let text = String(value);
  if (size < 1e-4 || size >= 1e16) text = value.toExponential().replace(/([+-])(\d)$/, '$10$2');
  else if (Number.isInteger(value)) text = `${text}.0`;
  return text === String(value) ? value : (new RawNumber(text) as unknown as number);
};

/**
 * As `JSON.parse`, but with {@link RawNumber} for each number that would be written otherwise.
 * Slower by far: for text in which `JsonScan` has found such a number. The caller has bounded values
 * and depth, which is that of the call stack too.
 *
 * @throws SyntaxError
 */
export const parseExactJson = (text: string): JsonValue => new Parser(text).whole();

/**
 * A number that may be one of those, or text that looks so: it costs a slower reading then.
 */
const MAYBE_UNSAFE_NUMBER = /[:,[]\s*-?\d+(?:[.eE]|\d{15})/;

/** Reads events, with their numbers as they were written; `hasOnlyPlain` where that is certain. */
export const readExactJson = (json: string): { value: JsonValue; hasOnlyPlain: boolean } => {
  const hasOnlyPlain = !MAYBE_UNSAFE_NUMBER.test(json);
  const value = hasOnlyPlain ? (JSON.parse(json) as JsonValue) : parseExactJson(json);
  return { value, hasOnlyPlain };
};

/** What may follow a quote up to the next quote, backslash or forbidden character. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: JSON forbids them in text.
const PLAIN_TEXT = /[^"\\\u0000-\u001f]*/y;
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const SPACE = /[ \t\n\r]*/y;
const WORDS = [
  ['true', true],
  ['false', false],
  ['null', null],
] as const;

class Parser {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  whole(): JsonValue {
    const value = this.#value();
    if (this.#at < this.#text.length) throw this.#error();
    return value;
  }

  /** A value and the space around it. */
  #value(): JsonValue {
    this.#space();
    const value = this.#bareValue();
    this.#space();
    return value;
  }

  #bareValue(): JsonValue {
    switch (this.#text[this.#at]) {
      case '{':
        return this.#object();
      case '[':
        return this.#list();
      case '"':
        return this.#string();
      default:
    }
    for (const [word, value] of WORDS) {
      if (this.#text.startsWith(word, this.#at)) {
        this.#at += word.length;
        return value;
      }
    }
    const text = this.#match(NUMBER);
    if (text === '') throw this.#error();
    const number = Number(text);
    // Negative zero has one canonical form, which every implementation writes: 0.
    if (String(number) === text || text === '-0') return number;
    return new RawNumber(text) as unknown as number;
  }

  #object(): JsonValue {
    // biome-ignore lint/plugin: setMember defines a key, whatever its name.
    const object: { [key: string]: JsonValue } = {};
    this.#at++;
    this.#space();
    if (this.#takes('}')) return object;
    do {
      this.#space();
      if (this.#text[this.#at] !== '"') throw this.#error();
      const key = this.#string();
      this.#space();
      if (!this.#takes(':')) throw this.#error();
      setMember(object, key, this.#value());
    } while (this.#takes(','));
    if (!this.#takes('}')) throw this.#error();
    return object;
  }

  #list(): JsonValue {
    const list: JsonValue[] = [];
    this.#at++;
    this.#space();
    if (this.#takes(']')) return list;
    do list.push(this.#value());
    while (this.#takes(','));
    if (!this.#takes(']')) throw this.#error();
    return list;
  }

  #string(): string {
    const start = this.#at++;
    const plain = this.#match(PLAIN_TEXT);
    if (this.#takes('"')) return plain;
    while (this.#text[this.#at] === '\\') {
      this.#at += 2;
      this.#match(PLAIN_TEXT);
    }
    if (!this.#takes('"')) throw this.#error();
    // Escapes are as the platform reads them.
    return JSON.parse(this.#text.slice(start, this.#at)) as string;
  }

  #space(): void {
    const unit = this.#text.charCodeAt(this.#at);
    if (unit <= 0x20) this.#match(SPACE);
  }

  #takes(character: string): boolean {
    if (this.#text[this.#at] !== character) return false;
    this.#at++;
    return true;
  }

  #match(pattern: RegExp): string {
    pattern.lastIndex = this.#at;
    const [text = ''] = pattern.exec(this.#text) ?? [];
    this.#at += text.length;
    return text;
  }

  #error(): SyntaxError {
    return new SyntaxError(`unexpected text in JSON at position ${this.#at}`);
  }
}

/** As `JSON.parse` does it: `__proto__` is a key like any other. */
const setMember = (object: object, key: string, value: unknown): void => {
  if (key === '__proto__') {
    Object.defineProperty(object, key, {
      value,
      writable: true,
      enumerable: true,
      configurable: true,
    });
  } else {
    (object as Record<string, unknown>)[key] = value;
  }
};
