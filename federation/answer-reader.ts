/**
 * Reading what other servers answer: within the bounds of the request, in steps of milliseconds, and
 * no more of it in memory at a time than one bound for all answers allows.
 */
import type { BodySink } from '../homeserver/outbound/outbound-http.ts';
import type { JsonValue } from '../spec/event.ts';
import { JsonPieces, type JsonTextList } from '../spec/json-pieces.ts';

/** Every request says how much its answer may be. */
export interface AnswerBounds {
  readonly maxBytes: number;
  /**
   * Objects, lists, texts, numbers and words; the keys of objects are not counted, nor what is in
   * `lists`.
   */
  readonly maxValues: number;
  /**
   * Lists in the answer that come as `JsonTextList`, for those who go through them one by one, by
   * name and with how many elements they may have.
   */
  readonly lists?: Readonly<Record<string, number>>;
  /** In all `lists` together. */
  readonly maxListValues?: number;
}

/** As deep as JSON of events may be. */
const MAX_DEPTH = 1_000;
/** Of an answer that says no. */
const REFUSAL: AnswerBounds = { maxBytes: 64 * 1024, maxValues: 1_000 };
/** So much of an answer comes out of no common memory. */
const FREE_BYTES = 128 * 1024;
/** What a JSON value takes in memory besides its text: an empty object with its place in a list. */
const BYTES_PER_VALUE = 64;
/** What one step of an answer takes at most, or little more. */
const STEP_BYTES = 64 * 1024;

/**
 * What large answers take while they are read, of all requests together; of this process. Where it is
 * used up, all but the one that began first wait in their connections: so one of any size can be
 * read, and however many are, they take little more than that one.
 */
export class AnswerMemory {
  readonly #maxBytes: number;
  /** What each reader holds, the first first. */
  readonly #held = new Map<object, number>();
  /** How those go on that wait, in no order. */
  readonly #waiting = new Map<object, () => void>();
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Held at this moment. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Takes it at once; to be awaited, where it returns something, before more is. */
  take(reader: object, bytes: number): Promise<void> | undefined {
    this.#bytes += bytes;
    this.#held.set(reader, (this.#held.get(reader) ?? 0) + bytes);
    if (this.#bytes <= this.#maxBytes || reader === this.#first) return undefined;
    return new Promise((resolve) => {
      this.#waiting.set(reader, resolve);
    });
  }

  /** All that it holds. It waits no more. */
  giveBack(reader: object): void {
    this.#bytes -= this.#held.get(reader) ?? 0;
    this.#held.delete(reader);
    this.#goOn(reader);
    let room = this.#maxBytes - this.#bytes;
    for (const next of this.#held.keys()) {
      if (room < 0 && next !== this.#first) break;
      if (this.#goOn(next)) room -= STEP_BYTES;
    }
  }

  get #first(): object | undefined {
    return this.#held.keys().next().value;
  }

  #goOn(reader: object): boolean {
    const resolve = this.#waiting.get(reader);
    this.#waiting.delete(reader);
    resolve?.();
    return resolve !== undefined;
  }
}

export class AnswerReader implements BodySink {
  readonly maxBytes: number;
  readonly #memory: AnswerMemory;
  readonly #pieces: JsonPieces;
  #isJson = true;
  #bytes = 0;
  #taken = 0;

  constructor(memory: AnswerMemory, status: number, bounds: AnswerBounds) {
    const ours = status === 200 ? bounds : REFUSAL;
    this.maxBytes = ours.maxBytes;
    this.#memory = memory;
    this.#pieces = new JsonPieces({ ...ours, maxDepth: MAX_DEPTH });
  }

  /** @throws JsonTooCostly */
  push(chunk: Buffer): Promise<void> | undefined {
    this.#bytes += chunk.length;
    if (!this.#isJson) return undefined;
    try {
      this.#pieces.push(chunk);
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      this.#isJson = false;
    }
    const large = this.#bytes + this.#pieces.values * BYTES_PER_VALUE - FREE_BYTES - this.#taken;
    if (large <= 0) return undefined;
    this.#taken += large;
    return this.#memory.take(this, large);
  }

  /** The answer as it was; `undefined` for what is no JSON. */
  value(): JsonValue | JsonTextList | undefined {
    if (!this.#isJson) return undefined;
    try {
      return this.#pieces.end();
    } catch {
      return undefined;
    }
  }

  /** To be called when the answer was read, or will not be. */
  close(): void {
    this.#memory.giveBack(this);
  }
}
