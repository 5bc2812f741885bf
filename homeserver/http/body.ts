/**
 * Reading a request's body: bytes within a limit, then JSON that the rest of the program can hold
 * without surprises.
 */
import { isUtf8 } from 'node:buffer';
import type { IncomingMessage } from 'node:http';
import { matrixError } from '../../spec/errors.ts';
import type { JsonValue } from '../../spec/event.ts';
import { isWellFormedText } from '../../spec/identifiers.ts';

/** The other end went away before its request was complete: there is nobody to answer. */
export class ClientGone extends Error {
  constructor() {
    super('the client closed the connection');
    this.name = 'ClientGone';
  }
}

const tooLarge = (maxBytes: number) =>
  matrixError('M_TOO_LARGE', `The request body is larger than ${maxBytes} bytes`);

/** The whole body. Throws `M_TOO_LARGE` as soon as more than `maxBytes` are announced or seen. */
export const readBody = (incoming: IncomingMessage, maxBytes: number): Promise<Buffer> =>
  new Promise((resolve, reject) => {
    // The rest of a body too large is received and dropped: closing on a client that is still
    // sending would make it see a broken connection instead of the answer.
    if (Number(incoming.headers['content-length'] ?? 0) > maxBytes) {
      incoming.resume();
      reject(tooLarge(maxBytes));
      return;
    }
    if (incoming.destroyed && !incoming.complete) {
      reject(new ClientGone());
      return;
    }
    let chunks: Buffer[] = [];
    let bytes = 0;
    // What settles the promise first counts: `close` comes after `end` too, and changes nothing then.
    incoming.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes <= maxBytes) {
        chunks.push(chunk);
      } else {
        chunks = [];
        reject(tooLarge(maxBytes));
      }
    });
    incoming.on('end', () => {
      resolve(chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks));
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
 * or UTF-8 cannot hold (NUL, lone surrogates), no number that became infinite, no `__proto__` keys.
 * `server`: only nesting; what travels inside is signed by others and judged piece by piece where it
 * is used.
 */
export type JsonTrust = 'client' | 'server';

const MAX_DEPTH: Record<JsonTrust, number> = { client: 100, server: 1_000 };

const SUSPICIOUS_ESCAPE = /\\u(?:0000|d[89a-f])/i;

const notStorable = (text: string) => text.includes('\u0000') || !isWellFormedText(text);

const checkTree = (value: unknown, depth: number, trust: JsonTrust, scanText: boolean): void => {
  if (typeof value === 'string') {
    if (scanText && notStorable(value)) {
      throw matrixError('M_BAD_JSON', 'Text may not contain NUL characters or lone surrogates');
    }
    return;
  }
  if (typeof value === 'number' && trust === 'client' && !Number.isFinite(value)) {
    throw matrixError('M_BAD_JSON', 'A number is too large');
  }
  if (typeof value !== 'object' || value === null) return;
  if (depth >= MAX_DEPTH[trust]) {
    throw matrixError('M_BAD_JSON', `JSON is nested deeper than ${MAX_DEPTH[trust]} levels`);
  }
  if (Array.isArray(value)) {
    for (const item of value) checkTree(item, depth + 1, trust, scanText);
    return;
  }
  for (const key in value) {
    if (trust === 'client') {
      if (key === '__proto__') throw matrixError('M_BAD_JSON', 'A key may not be "__proto__"');
      if (scanText) checkTree(key, depth, trust, scanText);
    }
    checkTree((value as Record<string, unknown>)[key], depth + 1, trust, scanText);
  }
};

/** Parses a body; `undefined` for an empty one. Throws `M_NOT_JSON` or `M_BAD_JSON`. */
export const parseJsonBody = (bytes: Buffer, trust: JsonTrust): JsonValue | undefined => {
  if (bytes.length === 0) return undefined;
  if (!isUtf8(bytes)) throw matrixError('M_NOT_JSON', 'The request body is not UTF-8');
  const text = bytes.toString('utf8');
  let value: JsonValue;
  try {
    value = JSON.parse(text) as JsonValue;
  } catch {
    throw matrixError('M_NOT_JSON', 'The request body is not valid JSON');
  }
  // Text that cannot be stored can only have come from an escape: raw, it is neither JSON nor UTF-8.
  checkTree(value, 0, trust, trust === 'client' && SUSPICIOUS_ESCAPE.test(text));
  return value;
};
