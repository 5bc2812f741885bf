/**
 * What hostile servers answer. Each kind is given in the place of every answer that our server asks
 * for, in the shape that it reads furthest.
 */
import type { ServerResponse } from 'node:http';
import { gzipSync } from 'node:zlib';

const MEGABYTE = 1024 * 1024;
const PART_BYTES = 64 * 1024;
/** Beyond the largest answer that is ever taken. */
const MORE_THAN_IS_TAKEN = 160 * MEGABYTE;
const BOMB_BYTES = 128 * MEGABYTE;
const DRIBBLE_MS = 50;

/** Where the list or the text stands that goes on and on. */
export type Shape = (unit: string) => string;

/** Gives an answer whose hostile part begins after `head`. */
export type HostileAnswer = (response: ServerResponse, head: string) => void;

const start = (response: ServerResponse, headers: Record<string, string | number> = {}): void => {
  response.writeHead(200, { 'Content-Type': 'application/json', ...headers });
};

/** `unit` again and again, `totalBytes` of it, as fast as it is taken. */
const pour = (response: ServerResponse, unit: string, totalBytes: number): void => {
  const part = Buffer.from(unit.repeat(Math.ceil(PART_BYTES / unit.length)));
  let left = totalBytes;
  const more = (): void => {
    while (!response.destroyed) {
      if (left <= 0) {
        response.end();
        return;
      }
      left -= part.length;
      if (!response.write(part)) return;
    }
  };
  response.on('drain', more);
  more();
};

const list =
  (unit: string): HostileAnswer =>
  (response, head) => {
    start(response);
    response.write(`${head}[${unit.slice(0, -1)},`);
    pour(response, unit, MORE_THAN_IS_TAKEN);
  };

/** As a whole, and the same for all: nobody can say that its values differ. */
const bomb = (opening: string, unit: string): HostileAnswer => {
  const compressed = new Map<string, Buffer>();
  return (response, head) => {
    let body = compressed.get(head);
    if (body === undefined) {
      const text = Buffer.alloc(BOMB_BYTES, unit);
      // Level 1 makes it large enough to come in many pieces.
      body = gzipSync(Buffer.concat([Buffer.from(head + opening), text]), { level: 1 });
      compressed.set(head, body);
    }
    start(response, { 'Content-Encoding': 'gzip', 'Content-Length': body.length });
    response.end(body);
  };
};

const event = (bytes: number): string =>
  JSON.stringify({
    ...{ type: 'm.room.message', sender: '@x:localhost', room_id: '!x:localhost', depth: 1 },
    ...{ auth_events: [], prev_events: [], origin_server_ts: 1, hashes: { sha256: 'x' } },
    content: { body: 'x'.repeat(bytes) },
    signatures: { localhost: { 'ed25519:x': 'x' } },
  });

export const hostileAnswers: Readonly<Record<string, HostileAnswer>> = {
  'empty objects': list('{},'),
  numbers: list('0,'),
  'small events': list(`${event(10)},`),
  'large events': list(`${event(50_000)},`),
  nested: (response, head) => {
    start(response);
    response.write(head);
    pour(response, '[', MORE_THAN_IS_TAKEN);
  },
  'endless text': (response, head) => {
    start(response);
    response.write(`${head}"`);
    pour(response, 'a', Number.POSITIVE_INFINITY);
  },
  'gzip, values': bomb('[{}', ',{}'),
  'gzip, text': bomb('"', 'a'),
  'gzip, events': bomb('[{}', `,${event(1_000)}`),
  silent: () => undefined,
  'silent after its headers': (response) => {
    start(response);
    response.flushHeaders();
  },
  dribbling: (response, head) => {
    start(response);
    response.write(`${head}"`);
    const timer = setInterval(() => response.write('a'), DRIBBLE_MS);
    response.on('close', () => clearInterval(timer));
  },
  'longer than it says': (response, head) => {
    const body = `${head}"${'a'.repeat(PART_BYTES)}"}`;
    response.socket?.end(
      `HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n${body}`,
    );
  },
  'shorter than it says': (response, head) => {
    start(response, { 'Content-Length': 10_000_000_000 });
    response.write(`${head}"${'a'.repeat(PART_BYTES)}`);
    setTimeout(() => response.destroy(), DRIBBLE_MS);
  },
};
