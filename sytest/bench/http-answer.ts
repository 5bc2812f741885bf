/**
 * Reads one HTTP/1.1 answer after another from the bytes of a connection (RFC 9112): bodies with a
 * Content-Length and chunked ones. One answer at a time, as the connection never pipelines.
 */

export interface HttpAnswer {
  readonly status: number;
  readonly body: Buffer;
  /** The server said that it ends the connection after this answer. */
  readonly closes: boolean;
}

interface Head {
  readonly status: number;
  readonly closes: boolean;
  /** Undefined for a chunked body. */
  readonly length: number | undefined;
}

const HEAD_END = '\r\n\r\n';
const MAX_HEAD_BYTES = 65_536;

export class AnswerReader {
  #head: Head | undefined;
  /** Bytes received and not yet given a meaning. */
  #rest: Buffer | undefined;
  #body: Buffer[] = [];
  #bodyBytes = 0;
  /** Bytes of the current chunk still to come, its line end included; undefined between chunks. */
  #chunkBytes: number | undefined;

  /** Whether part of an answer has arrived. */
  get started(): boolean {
    return this.#head !== undefined || this.#rest !== undefined;
  }

  /** Takes the next bytes; returns the answer once it is complete. @throws on malformed answers. */
  push(chunk: Buffer): HttpAnswer | undefined {
    let bytes = this.#rest === undefined ? chunk : Buffer.concat([this.#rest, chunk]);
    this.#rest = undefined;
    if (this.#head === undefined) {
      const end = bytes.indexOf(HEAD_END);
      if (end < 0) {
        if (bytes.length > MAX_HEAD_BYTES) throw new Error('the head of the answer has no end');
        this.#rest = bytes;
        return undefined;
      }
      this.#head = parseHead(bytes.toString('latin1', 0, end));
      bytes = bytes.subarray(end + HEAD_END.length);
    }
    const complete =
      this.#head.length === undefined
        ? this.#takeChunks(bytes)
        : this.#takeBody(bytes, this.#head.length);
    return complete ? this.#finish(this.#head) : undefined;
  }

  #takeBody(bytes: Buffer, length: number): boolean {
    this.#body.push(bytes);
    this.#bodyBytes += bytes.length;
    if (this.#bodyBytes > length) throw new Error('the answer is longer than its Content-Length');
    return this.#bodyBytes === length;
  }

  #takeChunks(received: Buffer): boolean {
    let bytes = received;
    for (;;) {
      if (this.#chunkBytes === undefined) {
        const end = bytes.indexOf('\r\n');
        if (end < 0) break;
        const size = Number.parseInt(bytes.toString('latin1', 0, end), 16);
        if (Number.isNaN(size)) throw new Error('a chunk of the answer has no size');
        if (size === 0) {
          // The last chunk; no server under test sends trailers, so an empty line follows.
          if (bytes.length < end + HEAD_END.length) break;
          return true;
        }
        bytes = bytes.subarray(end + 2);
        this.#chunkBytes = size + 2;
      }
      const taken = bytes.subarray(0, this.#chunkBytes);
      // The two bytes of the line end may be split over two reads.
      const data = taken.subarray(0, Math.max(0, this.#chunkBytes - 2));
      this.#body.push(data);
      this.#bodyBytes += data.length;
      this.#chunkBytes -= taken.length;
      bytes = bytes.subarray(taken.length);
      if (this.#chunkBytes > 0) return false;
      this.#chunkBytes = undefined;
    }
    if (bytes.length > 0) this.#rest = bytes;
    return false;
  }

  #finish({ status, closes }: Head): HttpAnswer {
    const body = this.#body.length === 1 ? this.#body[0]! : Buffer.concat(this.#body);
    this.#head = undefined;
    this.#rest = undefined;
    this.#chunkBytes = undefined;
    this.#body = [];
    this.#bodyBytes = 0;
    return { status, body, closes };
  }
}

const parseHead = (head: string): Head => {
  const status = Number(head.slice(9, 12));
  if (!head.startsWith('HTTP/1.') || !(status >= 200)) {
    throw new Error(`not an HTTP answer: ${head.slice(0, 60)}`);
  }
  const closes = /\r\nconnection: *close/i.test(head);
  if (status === 204 || status === 304) return { status, closes, length: 0 };
  const length = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1];
  if (length !== undefined) return { status, closes, length: Number(length) };
  if (/\r\ntransfer-encoding: *chunked/i.test(head)) return { status, closes, length: undefined };
  throw new Error('the answer says neither its length nor that it is chunked');
};
