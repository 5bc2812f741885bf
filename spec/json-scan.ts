/**
 * What JSON text would cost to parse, known without parsing it: how many values it holds and how
 * deeply they nest. A byte of text may become fifty of memory, so bytes alone bound nothing.
 */

export interface JsonBounds {
  /** Objects, lists, texts, numbers and words; the keys of objects are not counted. */
  readonly maxValues: number;
  /** How many objects and lists may stand inside each other: 1 for a list of numbers. */
  readonly maxDepth: number;
}

export type BrokenJsonBound = 'values' | 'depth';

const QUOTE = 0x22;
const COMMA = 0x2c;
const MINUS = 0x2d;
const DOT = 0x2e;
const ZERO = 0x30;
const NINE = 0x39;
const OPEN_LIST = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_LIST = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
const SPACE = 0x20;
/** Of any letter, with this bit set, the lower case. */
const LOWER_CASE = 0x20;
const SMALL_E = 0x65;

/** The longest run of digits that certainly is no integer beyond ±(2^53 − 1). */
const SAFE_DIGITS = 15;

/**
 * Counts while the text arrives, in pieces cut anywhere, at some nanoseconds a byte and with nothing
 * kept. It does not check the grammar: the counts are right up to the first error in it, which is as
 * far as any parser builds values.
 */
export class JsonScan {
  readonly #maxValues: number;
  readonly #maxDepth: number;
  /** One for the whole, and one more for each comma and each list or object that is not empty. */
  #values = 1;
  #depth = 0;
  #inText = false;
  #afterBackslash = false;
  #afterOpening = false;
  #previous = SPACE;
  #digits = 0;
  #hasUnsafeNumber = false;
  #broken: BrokenJsonBound | undefined;

  constructor({ maxValues, maxDepth }: JsonBounds) {
    this.#maxValues = maxValues;
    this.#maxDepth = maxDepth;
  }

  /** The values so far. */
  get values(): number {
    return this.#values;
  }

  /**
   * Whether some number is written otherwise than JavaScript would write it again, or may be: with a
   * point, an exponent, a minus before zero or more than 15 digits.
   */
  get hasUnsafeNumber(): boolean {
    return this.#hasUnsafeNumber;
  }

  /** The next bytes (UTF-8); returns the bound that the text breaks with them, and then stays so. */
  push(chunk: Uint8Array): BrokenJsonBound | undefined {
    if (this.#broken !== undefined) return this.#broken;
    // Locals: a private field read for every byte would take several times as long.
    let inText = this.#inText;
    let afterBackslash = this.#afterBackslash;
    let afterOpening = this.#afterOpening;
    let previous = this.#previous;
    let values = this.#values;
    let depth = this.#depth;
    let digits = this.#digits;
    let unsafe = this.#hasUnsafeNumber;
    const maxValues = this.#maxValues;
    const maxDepth = this.#maxDepth;
    for (let i = 0; i < chunk.length; i++) {
      const byte = chunk[i] as number;
      if (inText) {
        if (afterBackslash) afterBackslash = false;
        else if (byte === BACKSLASH) afterBackslash = true;
        else if (byte === QUOTE) inText = false;
        continue;
      }
      // Whitespace is nothing, but ends a number.
      if (byte <= SPACE) {
        previous = SPACE;
        digits = 0;
        continue;
      }
      if (byte >= ZERO && byte <= NINE) {
        digits++;
        if (digits > SAFE_DIGITS || (byte === ZERO && previous === MINUS)) unsafe = true;
        afterOpening = false;
        previous = byte;
        continue;
      }
      switch (byte) {
        case QUOTE:
          inText = true;
          afterOpening = false;
          break;
        case COMMA:
          if (++values > maxValues) return this.#break('values', values);
          afterOpening = false;
          break;
        case OPEN_LIST:
        case OPEN_OBJECT:
          if (++depth > maxDepth) return this.#break('depth', values);
          // For its first member, taken back where it is closed without one. That it is there only
          // counts with the next byte: an empty list is within a bound of one value.
          if (afterOpening && values > maxValues) return this.#break('values', values);
          values++;
          afterOpening = true;
          break;
        case CLOSE_LIST:
        case CLOSE_OBJECT:
          depth--;
          if (afterOpening) values--;
          afterOpening = false;
          break;
        default:
          afterOpening = false;
          if (byte === DOT) unsafe = true;
          else if ((byte | LOWER_CASE) === SMALL_E && digits > 0) unsafe = true;
      }
      digits = 0;
      previous = byte;
      if (!afterOpening && values > maxValues) return this.#break('values', values);
    }
    this.#inText = inText;
    this.#afterBackslash = afterBackslash;
    this.#afterOpening = afterOpening;
    this.#previous = previous;
    this.#values = values;
    this.#depth = depth;
    this.#digits = digits;
    this.#hasUnsafeNumber = unsafe;
    return undefined;
  }

  #break(bound: BrokenJsonBound, values: number): BrokenJsonBound {
    this.#broken = bound;
    this.#values = values;
    return bound;
  }
}

/** The bound that a whole text breaks, if any; see {@link JsonScan}. */
export const brokenJsonBound = (
  json: Uint8Array | string,
  bounds: JsonBounds,
): BrokenJsonBound | undefined =>
  new JsonScan(bounds).push(typeof json === 'string' ? Buffer.from(json, 'utf8') : json);
