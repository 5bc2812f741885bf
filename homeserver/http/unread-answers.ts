/**
 * Large answers on their way: handed to their connection piece by piece as it takes them, cut where
 * it takes nothing, and bounded in memory for each address and all together. What is counted belongs
 * to this process and its connections, and ends with them.
 */
import type { ServerResponse } from 'node:http';
import { limitExceeded } from '../../spec/errors.ts';
import { addressKey } from './rate-limits.ts';

export interface UnreadAnswerLimits {
  /** Of all answers together; the last one may reach beyond, however large it is. */
  readonly maxBytes: number;
  /** Of the answers to one address (an IPv6 network of 64 bits counts as one); as above. */
  readonly maxBytesPerAddress: number;
  /** In which a connection must take {@link PIECE_BYTES}: some 2 KB a second. */
  readonly stalledAfterMs: number;
}

export const UNREAD_ANSWERS: UnreadAnswerLimits = {
  maxBytes: 256 * 1_048_576,
  maxBytesPerAddress: 64 * 1_048_576,
  stalledAfterMs: 30_000,
};

/** An answer up to this is sent in one piece and not counted: the system's buffers are as large. */
export const PIECE_BYTES = 65_536;
/** For when one of the answers before may have been read. */
const RETRY_AFTER_MS = 1_000;

export class UnreadAnswers {
  readonly #limits: UnreadAnswerLimits;
  readonly #isUncounted: (address: string) => boolean;
  readonly #byAddress = new Map<string, number>();
  #bytes = 0;

  /** Addresses that speak for many others have no share of their own. */
  constructor(
    limits: UnreadAnswerLimits = UNREAD_ANSWERS,
    isUncounted: (address: string) => boolean = () => false,
  ) {
    this.#limits = limits;
    this.#isUncounted = isUncounted;
  }

  /**
   * Before anything is done for a request.
   * @throws MatrixError M_LIMIT_EXCEEDED while its address leaves too much unread
   */
  require(ip: string): void {
    if (this.#bytes > 0) this.#requireKey(this.#keyOf(ip));
  }

  /**
   * Counts an answer from now until its response is closed.
   * @throws MatrixError M_LIMIT_EXCEEDED when there is no room for it
   */
  admit(ip: string, bytes: number, res: ServerResponse): void {
    if (bytes <= PIECE_BYTES) return;
    const key = this.#keyOf(ip);
    if (this.#bytes >= this.#limits.maxBytes) throw limitExceeded(RETRY_AFTER_MS);
    this.#requireKey(key);
    this.#count(key, bytes);
    res.once('close', () => this.#count(key, -bytes));
  }

  #keyOf(ip: string): string | undefined {
    return this.#isUncounted(ip) ? undefined : addressKey(ip);
  }

  #requireKey(key: string | undefined): void {
    const ofAddress = key === undefined ? 0 : (this.#byAddress.get(key) ?? 0);
    if (ofAddress >= this.#limits.maxBytesPerAddress) throw limitExceeded(RETRY_AFTER_MS);
  }

  #count(key: string | undefined, bytes: number): void {
    this.#bytes += bytes;
    if (key === undefined) return;
    const ofAddress = (this.#byAddress.get(key) ?? 0) + bytes;
    if (ofAddress > 0) this.#byAddress.set(key, ofAddress);
    else this.#byAddress.delete(key);
  }

  /** Ends a response, whose headers are written, with these bytes. */
  send(res: ServerResponse, body: string | Buffer): void {
    if (body.length <= PIECE_BYTES) {
      res.end(body);
      // What the system has taken at once needs no watching.
      if ((res.socket?.writableLength ?? 0) > 0) this.#watch(res);
      return;
    }
    const bytes = typeof body === 'string' ? Buffer.from(body, 'utf8') : body;
    const timer = this.#watch(res);
    let at = 0;
    const sendMore = (): void => {
      timer.refresh();
      for (;;) {
        const piece = bytes.subarray(at, at + PIECE_BYTES);
        at += PIECE_BYTES;
        if (at >= bytes.length) {
          res.end(piece);
          return;
        }
        if (!res.write(piece)) break;
      }
      res.once('drain', sendMore);
    };
    sendMore();
  }

  #watch(res: ServerResponse): NodeJS.Timeout {
    const timer = setTimeout(() => res.destroy(), this.#limits.stalledAfterMs);
    timer.unref();
    res.once('close', () => clearTimeout(timer));
    return timer;
  }
}
