/**
 * What a handler returns when a plain JSON value with status 200 is not the answer.
 */
import type { Readable } from 'node:stream';

export type ReplyHeaders = Readonly<Record<string, string>>;

export class Reply {
  readonly status: number;
  readonly headers: ReplyHeaders;
  /** A JSON value, or with `raw` the bytes themselves. */
  readonly body: unknown;
  readonly raw: boolean;

  constructor(status: number, headers: ReplyHeaders, body: unknown, raw: boolean) {
    this.status = status;
    this.headers = headers;
    this.body = body;
    this.raw = raw;
  }
}

/** A JSON answer with a status or headers of its own; the body is `{}` unless given. */
export const reply = ({
  status = 200,
  headers = {},
  body = {},
}: {
  status?: number;
  headers?: ReplyHeaders;
  body?: unknown;
}): Reply => new Reply(status, headers, body, false);

/** An answer that is not JSON: text, bytes or a stream, with its own `Content-Type`. */
export const rawReply = ({
  status = 200,
  headers = {},
  body,
}: {
  status?: number;
  headers?: ReplyHeaders;
  body: string | Buffer | Readable;
}): Reply => new Reply(status, headers, body, true);

/** A temporary redirect (302). */
export const redirect = (location: string): Reply =>
  new Reply(302, { Location: location }, '', true);
