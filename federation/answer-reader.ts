/**
 * Reading what other servers answer: within the bounds of the request, in steps of milliseconds, and
 * no more of it in memory at a time than one bound for all answers allows.
 */
import type { BodySink } from '../homeserver/outbound/outbound-http.ts';
import type { JsonValue } from '../spec/event.ts';
import { JsonPieces, type JsonTextList, JsonTooCostly } from '../spec/json-pieces.ts';

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
const SMALL_BYTES = 256 * 1024;

/** Bytes of large answers that are being read, of all requests together. */
export class AnswerMemory {
  readonly #maxBytes: number;
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** @throws JsonTooCostly */
  take(bytes: number): void {
    if (this.#bytes + bytes > this.#maxBytes) {
      throw new JsonTooCostly('too much is being read from other servers');
    }
    this.#bytes += bytes;
  }

  giveBack(bytes: number): void {
    this.#bytes -= bytes;
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
  push(chunk: Buffer): void {
    this.#bytes += chunk.length;
    const large = this.#bytes - SMALL_BYTES - this.#taken;
    if (large > 0) {
      this.#memory.take(large);
      this.#taken += large;
    }
    if (!this.#isJson) return;
    try {
      this.#pieces.push(chunk);
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      this.#isJson = false;
    }
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
    this.#memory.giveBack(this.#taken);
    this.#taken = 0;
  }
}
