/**
 * Reading a request's body: bytes within a limit, then JSON that the rest of the program can hold
 * without surprises.
 */
import { isUtf8 } from 'node:buffer';
import type { IncomingMessage } from 'node:http';
import { matrixError } from '../../spec/errors.ts';
import type { JsonValue } from '../../spec/event.ts';
import { parseExactJson, RawNumber } from '../../spec/exact-numbers.ts';
import { isWellFormedText } from '../../spec/identifiers.ts';
import { JsonScan } from '../../spec/json-scan.ts';
import { sharedTurn } from '../turns.ts';
import type { BodyCharge } from './body-budget.ts';

/** The other end went away before its request was complete: there is nobody to answer. */
export class ClientGone extends Error {
  constructor() {
    super('the client closed the connection');
    this.name = 'ClientGone';
  }
}

/**
 * JSON values in a body whose route declares no number of its own. A megabyte of any honest request
 * holds about half as many, and to parse so many takes milliseconds.
 */
export const DEFAULT_MAX_BODY_VALUES = 100_000;

/** What a body has beyond this is read, and what is larger is parsed, in turns with that of others. */
export const PROMPT_BYTES = 32_768;

/** What a body may be; declared by the route or the server. */
export interface BodyRules {
  readonly maxBytes: number;
  /** JSON values in it, counted as they arrive: what they become in memory is far larger. */
  readonly maxValues: number;
  readonly trust: JsonTrust;
}

/** The bytes of a body, as far as it is known what they hold without parsing them. */
export interface Body {
  readonly bytes: Buffer;
  /** See {@link JsonScan}. */
  readonly hasUnsafeNumber: boolean;
}

/**
 * The whole body. Refused as soon as it is seen to be over a limit: `M_TOO_LARGE` for bytes and JSON
 * values, `M_BAD_JSON` for nesting, `M_LIMIT_EXCEEDED` where the budget has no room for it.
 */
export const readBody = (
  incoming: IncomingMessage,
  { maxBytes, maxValues, trust }: BodyRules,
  charge: BodyCharge,
): Promise<Body> =>
  new Promise((resolve, reject) => {
    const tooLarge = () =>
      matrixError('M_TOO_LARGE', `The request body is larger than ${maxBytes} bytes`);
    // The rest of a body too large is received and dropped: closing on a client that is still
    // sending would make it see a broken connection instead of the answer.
    if (Number(incoming.headers['content-length'] ?? 0) > maxBytes) {
      incoming.resume();
      reject(tooLarge());
      return;
    }
    if (incoming.destroyed && !incoming.complete) {
      reject(new ClientGone());
      return;
    }
    const scan = new JsonScan({ maxValues, maxDepth: MAX_DEPTH[trust] });
    let chunks: Buffer[] = [];
    let bytes = 0;
    let refused = false;
    const check = (chunk: Buffer): void => {
      bytes += chunk.length;
      if (bytes > maxBytes) throw tooLarge();
      const broken = scan.push(chunk);
      if (broken === 'values') {
        throw matrixError('M_TOO_LARGE', `The body holds more than ${maxValues} JSON values`);
      }
      if (broken === 'depth') {
        throw matrixError('M_BAD_JSON', `JSON is nested deeper than ${MAX_DEPTH[trust]} levels`);
      }
      charge.grow(bytes, scan.values);
    };
    // What settles the promise first counts: `close` comes after `end` too, and changes nothing then.
    incoming.on('data', (chunk: Buffer) => {
      if (refused) return;
      try {
        check(chunk);
        chunks.push(chunk);
      } catch (error) {
        refused = true;
        chunks = [];
        charge.release();
        reject(error);
        return;
      }
      const turn = bytes > PROMPT_BYTES ? sharedTurn() : undefined;
      if (turn === undefined) return;
      // Until then the rest stays in its connection.
      incoming.pause();
      void turn.then(() => incoming.resume());
    });
    incoming.on('end', () => {
      resolve({
        bytes: chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks),
        hasUnsafeNumber: scan.hasUnsafeNumber,
      });
    });
    incoming.on('close', () => {
      if (!incoming.readableEnded) reject(new ClientGone());
    });
    // An `error` without a listener would end the process; `close` always follows it.
    incoming.on('error', ignore);
  });

const ignore = (): void => undefined;

/**
 * How much is checked besides the grammar of JSON. `client`: nesting, and no text that the database
 * or UTF-8 cannot hold (NUL, lone surrogates), no number that became infinite or another integer, no `__proto__` keys.
 * `server`: only nesting; what travels inside is signed by others and judged piece by piece where it
 * is used. `signed`: as `server`, and numbers are kept as they were written (`spec/exact-numbers.ts`)
 * because events inside are signed over them.
 */
export type JsonTrust = 'client' | 'server' | 'signed';

const MAX_DEPTH: Record<JsonTrust, number> = { client: 100, server: 1_000, signed: 1_000 };

const SUSPICIOUS_ESCAPE = /\\u(?:0000|d[89a-f])/i;

const notStorable = (text: string) => text.includes('\u0000') || !isWellFormedText(text);

/** What clients may not send anywhere in a value. Nesting was bounded before it was parsed. */
const checkTree = (value: unknown, scanText: boolean): void => {
  if (typeof value === 'string') {
    if (scanText && notStorable(value)) {
      throw matrixError('M_BAD_JSON', 'Text may not contain NUL characters or lone surrogates');
    }
    return;
  }
  if (typeof value === 'number' && !Number.isFinite(value)) {
    throw matrixError('M_BAD_JSON', 'A number is too large');
  }
  if (typeof value !== 'object' || value === null) return;
  if (Array.isArray(value)) {
    for (const item of value) checkTree(item, scanText);
    return;
  }
  for (const key in value) {
    if (key === '__proto__') throw matrixError('M_BAD_JSON', 'A key may not be "__proto__"');
    if (scanText) checkTree(key, scanText);
    checkTree((value as Record<string, unknown>)[key], scanText);
  }
};

const INTEGER = /^-?\d+$/;

/** Whether some integer would come out as another one. */
const hasRoundedInteger = (exact: unknown): boolean => {
  if (exact instanceof RawNumber) return INTEGER.test(exact.text);
  if (typeof exact !== 'object' || exact === null) return false;
  return Object.values(exact).some(hasRoundedInteger);
};

/** Parses a body within its rules; `undefined` for an empty one. Throws `M_NOT_JSON` or `M_BAD_JSON`. */
export const parseJsonBody = (
  { bytes, hasUnsafeNumber }: Body,
  trust: JsonTrust,
): JsonValue | undefined => {
  if (bytes.length === 0) return undefined;
  if (!isUtf8(bytes)) throw matrixError('M_NOT_JSON', 'The request body is not UTF-8');
  const text = bytes.toString('utf8');
  let value: JsonValue;
  try {
    value =
      hasUnsafeNumber && trust === 'signed'
        ? parseExactJson(text)
        : (JSON.parse(text) as JsonValue);
  } catch {
    throw matrixError('M_NOT_JSON', 'The request body is not valid JSON');
  }
  // Text that cannot be stored can only have come from an escape: raw, it is neither JSON nor UTF-8.
  if (trust === 'client' && hasUnsafeNumber && hasRoundedInteger(parseExactJson(text))) {
    throw matrixError('M_BAD_JSON', 'An integer is too large to be kept as it is');
  }
  if (trust === 'client') checkTree(value, SUSPICIOUS_ESCAPE.test(text));
  return value;
};
