/**
 * JSON text that arrives in pieces, parsed while it does: each step takes milliseconds however long
 * the whole is, and text that would cost too much is refused before it does. Long lists that somebody
 * else wants to go through one by one stay text until then.
 */
import type { JsonValue } from './event.ts';
import { readExactJson } from './exact-numbers.ts';

export interface JsonPiecesBounds {
  /**
   * Objects, lists, texts, numbers and words; the keys of objects are not counted, nor what is in
   * `lists`.
   */
  readonly maxValues: number;
  /** How many objects and lists may stand inside each other: 1 for a list of numbers. */
  readonly maxDepth: number;
  /**
   * Lists in the outermost object that become {@link JsonTextList}s, by name, with how many elements
   * they may have. The outermost object may stand in a list, as in the first versions of endpoints.
   */
  readonly lists?: Readonly<Record<string, number>>;
  /** In all `lists` together. */
  readonly maxListValues?: number;
}

/** The text breaks a bound. What is no JSON is a `SyntaxError`. */
export class JsonTooCostly extends Error {
  override readonly name = 'JsonTooCostly';
}

/** So much text is parsed at a time, and what its last element has beyond that. */
const PIECE_BYTES = 32 * 1024;
/** A single text or key may be as long as this, and so may an element of `lists`. */
const MAX_PIECE_BYTES = 1024 * 1024;

const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_LIST = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_LIST = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
const SPACE = 0x20;

/** What may come next. */
const VALUE = 0;
const VALUE_OR_CLOSE = 1;
const KEY = 2;
const KEY_OR_CLOSE = 3;
const AFTER_KEY = 4;
const AFTER_VALUE = 5;

interface Frame {
  readonly isObject: boolean;
  /** Where it opens, and where its key does if it has one. */
  readonly opensAt: number;
  readonly memberAt: number;
  /** Where the text begins that is not parsed yet. */
  groupAt: number;
  /** The last comma since then. */
  commaAt: number;
  /** Once it is parsed in groups: what there is of it. */
  built: JsonValue[] | Record<string, JsonValue> | JsonTextList | undefined;
  /** Its last member was parsed in groups as well, and is in `built` already. */
  isAfterBuilt: boolean;
}

/**
 * A list whose elements, which are events, are parsed when they are asked for, some at a time. Their
 * numbers are as they were written; see `exact-numbers.ts`.
 */
export class JsonTextList implements Iterable<JsonValue> {
  readonly #maxElements: number;
  readonly #groups: Buffer[] = [];
  #length = 0;

  constructor(maxElements: number) {
    this.#maxElements = maxElements;
  }

  get length(): number {
    return this.#length;
  }

  counted(): void {
    this.#length++;
    if (this.#length > this.#maxElements) throw new JsonTooCostly('a list has too many elements');
  }

  add(group: Buffer): void {
    this.#groups.push(Buffer.from(group));
  }

  /** Elements whose text is no JSON after all are left out, with those next to them. */
  *[Symbol.iterator](): Iterator<JsonValue> {
    for (const group of this.#groups) {
      let elements: JsonValue[];
      try {
        elements = readExactJson(`[${group.toString('utf8')}]`).value as JsonValue[];
      } catch {
        continue;
      }
      yield* elements;
    }
  }
}

export class JsonPieces {
  readonly #bounds: JsonPiecesBounds;
  readonly #frames: Frame[] = [];
  #expected = VALUE;
  #values = 0;
  #listValues = 0;
  /** How many frames there are where a list begins that stays text; none is inside another. */
  #listDepth = 0;
  #inText = false;
  #inKey = false;
  #afterBackslash = false;
  #inScalar = false;
  #keyAt = 0;
  /** Position of the next byte in the whole text. */
  #at = 0;
  /** The text from `#keptAt` on. */
  #kept: Buffer[] = [];
  #keptAt = 0;
  #root: { readonly value: JsonValue | JsonTextList } | undefined;

  constructor(bounds: JsonPiecesBounds) {
    this.#bounds = bounds;
  }

  /** @throws JsonTooCostly, SyntaxError; nothing may be pushed after that */
  push(chunk: Buffer): void {
    this.#kept.push(chunk);
    const base = this.#at;
    let expected = this.#expected;
    for (let i = 0; i < chunk.length; i++) {
      const byte = chunk[i] as number;
      if (this.#inText) {
        i = this.#skipText(chunk, i);
        if (!this.#inText) expected = this.#inKey ? AFTER_KEY : AFTER_VALUE;
        continue;
      }
      if (byte <= SPACE) {
        this.#inScalar = false;
        continue;
      }
      switch (byte) {
        case QUOTE:
          this.#inScalar = false;
          this.#inKey = expected === KEY || expected === KEY_OR_CLOSE;
          if (this.#inKey) this.#keyAt = base + i;
          else this.#beginValue(expected);
          this.#inText = true;
          break;
        case OPEN_LIST:
        case OPEN_OBJECT:
          this.#beginValue(expected);
          this.#open(base + i, byte === OPEN_OBJECT);
          expected = byte === OPEN_OBJECT ? KEY_OR_CLOSE : VALUE_OR_CLOSE;
          break;
        case CLOSE_LIST:
        case CLOSE_OBJECT:
          this.#close(base + i, byte === CLOSE_OBJECT, expected);
          expected = AFTER_VALUE;
          break;
        case COMMA:
          if (expected !== AFTER_VALUE) throw unexpected();
          expected = this.#comma(base + i) ? KEY : VALUE;
          break;
        case COLON:
          if (expected !== AFTER_KEY) throw unexpected();
          expected = VALUE;
          break;
        default:
          if (this.#inScalar) continue;
          this.#beginValue(expected);
          this.#inScalar = true;
          expected = AFTER_VALUE;
          continue;
      }
      this.#inScalar = false;
    }
    this.#expected = expected;
    this.#at = base + chunk.length;
    if (this.#at - this.#keptAt > MAX_PIECE_BYTES)
      throw new JsonTooCostly('a text or an element is too long');
  }

  /** So many values were met outside of `lists`. */
  get values(): number {
    return this.#values;
  }

  /** The whole, once all of it was pushed. @throws SyntaxError */
  end(): JsonValue | JsonTextList {
    const isComplete = this.#expected === AFTER_VALUE && this.#frames.length === 0 && !this.#inText;
    if (!isComplete) throw new SyntaxError('JSON ends too early');
    if (this.#root !== undefined) return this.#root.value;
    return JSON.parse(this.#take(this.#keptAt, this.#at).toString('utf8')) as JsonValue;
  }

  /** Returns where the text ends, or the last byte there is. */
  #skipText(chunk: Buffer, from: number): number {
    let i = from;
    if (this.#afterBackslash) {
      this.#afterBackslash = false;
      i++;
    }
    for (; i < chunk.length; i++) {
      const byte = chunk[i] as number;
      if (byte === BACKSLASH) i++;
      else if (byte === QUOTE) {
        this.#inText = false;
        return i;
      }
    }
    this.#afterBackslash = i > chunk.length;
    return chunk.length - 1;
  }

  #beginValue(expected: number): void {
    if (expected !== VALUE && expected !== VALUE_OR_CLOSE) throw unexpected();
    if (this.#inScalar) throw unexpected();
    const { maxValues, maxListValues = 0 } = this.#bounds;
    if (this.#listDepth === 0) {
      if (++this.#values > maxValues) throw new JsonTooCostly('JSON has too many values');
      return;
    }
    if (++this.#listValues > maxListValues) throw new JsonTooCostly('JSON has too many values');
    if (this.#frames.length !== this.#listDepth) return;
    const list = this.#frames[this.#listDepth - 1]?.built;
    if (list instanceof JsonTextList) list.counted();
  }

  #open(at: number, isObject: boolean): void {
    const frames = this.#frames;
    if (frames.length >= this.#bounds.maxDepth)
      throw new JsonTooCostly('JSON is nested too deeply');
    const parent = frames.at(-1);
    const memberAt = parent?.isObject === true ? this.#keyAt : at;
    frames.push({
      isObject,
      opensAt: at,
      memberAt,
      groupAt: at + 1,
      commaAt: -1,
      built: undefined,
      isAfterBuilt: false,
    });
    const { lists } = this.#bounds;
    if (lists === undefined || isObject || parent?.isObject !== true) return;
    const isOutermost = frames.length === 2 || (frames.length === 3 && !frames[0]?.isObject);
    if (!isOutermost) return;
    const name = keyIn(this.#peek(memberAt, at));
    if (!Object.hasOwn(lists, name)) return;
    this.#build(new JsonTextList(lists[name] as number));
    this.#listDepth = frames.length;
  }

  /** Inside an element of a list that stays text, which is parsed as one. */
  get #isInElement(): boolean {
    return this.#listDepth > 0 && this.#frames.length > this.#listDepth;
  }

  /** Returns whether it stands in an object. */
  #comma(at: number): boolean {
    const frame = this.#frames.at(-1);
    if (frame === undefined) throw unexpected();
    if (frame.isAfterBuilt) {
      frame.isAfterBuilt = false;
      frame.groupAt = at + 1;
      frame.commaAt = -1;
    } else if (at - frame.groupAt >= PIECE_BYTES && !this.#isInElement) {
      this.#build(frame.isObject ? {} : []);
      this.#group(frame, at);
      frame.groupAt = at + 1;
      frame.commaAt = -1;
    } else {
      frame.commaAt = at;
    }
    return frame.isObject;
  }

  #close(at: number, isObject: boolean, expected: number): void {
    const frame = this.#frames.pop();
    const mayClose =
      expected === AFTER_VALUE || expected === (isObject ? KEY_OR_CLOSE : VALUE_OR_CLOSE);
    if (frame === undefined || frame.isObject !== isObject || !mayClose) throw unexpected();
    const { built } = frame;
    if (built === undefined) return;
    if (built instanceof JsonTextList) this.#listDepth = 0;
    if (!frame.isAfterBuilt) this.#group(frame, at);
    const parent = this.#frames.at(-1);
    if (parent === undefined) {
      this.#root = { value: built };
      return;
    }
    parent.isAfterBuilt = true;
  }

  /** From here on the innermost list or object, and all around it, are parsed in groups. */
  #build(innermost: NonNullable<Frame['built']>): void {
    const frames = this.#frames;
    let parent: Frame | undefined;
    for (const [index, frame] of frames.entries()) {
      if (frame.built === undefined) {
        const isInnermost = index === frames.length - 1;
        frame.built = isInnermost ? innermost : frame.isObject ? {} : [];
        if (parent !== undefined) {
          if (parent.commaAt >= 0) this.#group(parent, parent.commaAt);
          const name = parent.isObject ? keyIn(this.#take(frame.memberAt, frame.opensAt)) : '';
          // A list that stays text is none of the values of JSON; whoever asked for it knows.
          addTo(parent, name, frame.built as JsonValue);
        }
      }
      parent = frame;
    }
  }

  /** Parses what there is of a list or object up to a place between its members. */
  #group(frame: Frame, to: number): void {
    const bytes = this.#take(frame.groupAt, to);
    if (frame.built instanceof JsonTextList) {
      frame.built.add(bytes);
      return;
    }
    const text = bytes.toString('utf8');
    const part = JSON.parse(frame.isObject ? `{${text}}` : `[${text}]`) as object;
    if (Array.isArray(part)) for (const element of part) addTo(frame, '', element);
    else for (const [name, value] of Object.entries(part)) addTo(frame, name, value as JsonValue);
  }

  /** Text that is still kept. What comes before it is let go of. */
  #take(from: number, to: number): Buffer {
    const bytes = this.#peek(from, to);
    let first = this.#kept[0];
    while (first !== undefined && this.#keptAt + first.length <= to) {
      this.#keptAt += first.length;
      this.#kept.shift();
      first = this.#kept[0];
    }
    return bytes;
  }

  #peek(from: number, to: number): Buffer {
    const parts: Buffer[] = [];
    let at = this.#keptAt;
    for (const chunk of this.#kept) {
      if (at >= to) break;
      if (at + chunk.length > from) parts.push(chunk.subarray(Math.max(0, from - at), to - at));
      at += chunk.length;
    }
    return parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts);
  }
}

const unexpected = () => new SyntaxError('Unexpected character in JSON');

/** From `"name" :` */
const keyIn = (bytes: Buffer): string => {
  const text = bytes.toString('utf8');
  return JSON.parse(text.slice(0, text.lastIndexOf(':'))) as string;
};

const addTo = ({ built }: Frame, name: string, value: JsonValue): void => {
  if (Array.isArray(built)) built.push(value);
  // As JSON.parse does it: a plain assignment would change the prototype.
  else if (name === '__proto__') {
    Object.defineProperty(built, name, {
      value,
      writable: true,
      enumerable: true,
      configurable: true,
    });
  } else (built as Record<string, JsonValue>)[name] = value;
};
