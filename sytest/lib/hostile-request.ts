/**
 * Requests made to cost more than they say: written on a bare socket, because a client that obeys
 * HTTP cannot make them.
 */

import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';

export interface HostileTarget {
  readonly host: string;
  readonly port: number;
  /** Set for TLS: the authority to trust. */
  readonly ca?: string;
  /** The address to ask from, where it matters. */
  readonly localAddress?: string;
}

export interface HostileRequest {
  readonly method: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** What is said of the body's length: in bytes, or that it comes in chunks without an end. */
  readonly declared: number | 'chunked';
  /** Called for the next part of the body until it gives none. */
  readonly next: () => Buffer | undefined;
  /** Between two parts. */
  readonly pauseMs?: number;
}

export interface HostileOutcome {
  /** Undefined where the connection was closed without an answer. */
  readonly status: number | undefined;
  readonly errcode: string | undefined;
  /** Of the body, handed to the operating system until the answer or the end. */
  readonly sentBytes: number;
  readonly tookMs: number;
  /** The server closed the connection. */
  readonly closed: boolean;
}

/**
 * Sends it and goes on sending, whatever is answered, until the server closes the connection, the
 * body ends and is answered, or `giveUpMs` have passed.
 */
export const sendHostile = (
  target: HostileTarget,
  request: HostileRequest,
  giveUpMs: number,
): Promise<HostileOutcome> =>
  new Promise((resolve) => {
    const startedMs = performance.now();
    const socket: Socket =
      target.ca === undefined
        ? connectTcp(target)
        : connectTls({ ...target, servername: target.host });
    let sentBytes = 0;
    let answer = '';
    let closed = false;
    let bodyEnded = false;
    let settled = false;
    const settle = (): void => {
      if (settled) return;
      settled = true;
      clearTimeout(timer);
      socket.destroy();
      const status = /^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1];
      resolve({
        status: status === undefined ? undefined : Number(status),
        errcode: /"errcode":\s*"([^"]+)"/.exec(answer)?.[1],
        sentBytes,
        tookMs: performance.now() - startedMs,
        closed,
      });
    };
    const timer = setTimeout(settle, giveUpMs);
    const isAnswered = (): boolean => /^HTTP\/1\.1 2|"errcode"|"flows"/.test(answer);
    const write = (): void => {
      for (;;) {
        if (settled) return;
        const part = request.next();
        if (part === undefined) {
          bodyEnded = true;
          if (request.declared === 'chunked') socket.write('0\r\n\r\n');
          if (isAnswered()) settle();
          return;
        }
        const framed =
          request.declared === 'chunked'
            ? Buffer.concat([Buffer.from(`${part.length.toString(16)}\r\n`), part, CRLF])
            : part;
        const hasRoom = socket.write(framed);
        sentBytes += part.length;
        if (request.pauseMs !== undefined) {
          setTimeout(write, request.pauseMs);
          return;
        }
        if (!hasRoom) {
          socket.once('drain', write);
          return;
        }
      }
    };
    socket.once(target.ca === undefined ? 'connect' : 'secureConnect', () => {
      const { declared, headers = {} } = request;
      const length =
        declared === 'chunked' ? 'Transfer-Encoding: chunked' : `Content-Length: ${declared}`;
      const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
      socket.write(
        `${request.method} ${request.path} HTTP/1.1\r\nHost: ${target.host}:${target.port}\r\n` +
          `Content-Type: application/json\r\n${lines.join('')}${length}\r\n\r\n`,
      );
      write();
    });
    socket.on('data', (chunk: Buffer) => {
      answer += chunk.toString('latin1');
      if (bodyEnded && isAnswered()) settle();
    });
    socket.on('error', () => undefined);
    socket.on('close', () => {
      closed = true;
      settle();
    });
  });

const CRLF = Buffer.from('\r\n');
const PART_BYTES = 64 * 1024;

/** `total` bytes of one text again and again, after `head` and before `tail`. */
const repeated = (head: string, unit: string, total: number, tail: string) => {
  const part = Buffer.from(unit.repeat(Math.ceil(PART_BYTES / unit.length)));
  let left = total;
  let isHeadDue = true;
  let isTailDue = true;
  return (): Buffer | undefined => {
    if (isHeadDue) {
      isHeadDue = false;
      return Buffer.from(head);
    }
    if (left > 0) {
      left -= part.length;
      return part;
    }
    if (!isTailDue) return undefined;
    isTailDue = false;
    return Buffer.from(tail);
  };
};

/** A body that is small to send and large to hold, or never whole; each is used once. */
export interface HostileBody {
  readonly what: string;
  readonly body: () => Pick<HostileRequest, 'declared' | 'next' | 'pauseMs'>;
}

const chunked = (next: () => Buffer | undefined) => ({ declared: 'chunked' as const, next });
const MEGABYTE = 1024 * 1024;

/** Bodies that must be refused whoever sends them, and after how many bytes at the latest. */
export const hostileBodies: readonly HostileBody[] = [
  {
    what: 'a list of empty objects',
    body: () => chunked(repeated('{"x":[', '{},', 12 * MEGABYTE, '{}]}')),
  },
  {
    what: 'a list of numbers',
    body: () => chunked(repeated('{"x":[', '0,', 4 * MEGABYTE, '0]}')),
  },
  {
    what: 'lists in lists',
    body: () => chunked(repeated('{"x":', '[', 4 * MEGABYTE, '')),
  },
  {
    what: 'objects in objects',
    body: () => chunked(repeated('{"x":', '{"a":', 4 * MEGABYTE, '')),
  },
  {
    what: 'a text without an end',
    body: () => chunked(repeated('{"x":"', 'a', Number.POSITIVE_INFINITY, '')),
  },
  {
    what: 'white space without an end',
    body: () => chunked(repeated('{', ' ', Number.POSITIVE_INFINITY, '')),
  },
  {
    what: 'a length of 10 GB',
    body: () => ({
      declared: 10_000_000_000,
      next: repeated('{"x":"', 'a', Number.POSITIVE_INFINITY, ''),
    }),
  },
];
