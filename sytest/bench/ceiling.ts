/**
 * The yardstick: the least a homeserver can do for a send and still keep its promises. A throw-away
 * Koa server in its own process, on its own PostgreSQL with fsync on: each request is parsed, signed
 * once with Ed25519 and answered after the commit it shares with all others that were waiting.
 *
 * Started with an IPC channel and the folder for its database as argument; it sends one `CeilingReady`
 * and ends when the channel does.
 */
import { generateKeyPairSync, sign } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import Koa from 'koa';
import type pg from 'pg';
import { startCeilingDatabase } from './ceiling-database.ts';

export interface CeilingReady {
  readonly url: string;
  /** PostgreSQL's version and the settings that make a commit durable. */
  readonly database: Readonly<Record<'version' | 'fsync' | 'synchronousCommit', string>>;
}

interface Waiting {
  readonly roomId: string;
  readonly json: string;
  readonly done: () => void;
  readonly failed: (error: unknown) => void;
}

/** Writes all that waits in one statement, which is one transaction; one write at a time. */
class GroupCommit {
  readonly #client: pg.Client;
  #waiting: Waiting[] = [];
  #writing = false;

  constructor(client: pg.Client) {
    this.#client = client;
  }

  append(roomId: string, json: string): Promise<void> {
    return new Promise((done, failed) => {
      this.#waiting.push({ roomId, json, done, failed });
      if (!this.#writing) void this.#write();
    });
  }

  async #write(): Promise<void> {
    this.#writing = true;
    while (this.#waiting.length > 0) {
      const batch = this.#waiting;
      this.#waiting = [];
      try {
        await this.#client.query({
          name: 'append',
          text: 'INSERT INTO events (room_id, json) SELECT * FROM unnest($1::text[], $2::text[])',
          values: [batch.map(({ roomId }) => roomId), batch.map(({ json }) => json)],
        });
        for (const { done } of batch) done();
      } catch (error) {
        for (const { failed } of batch) failed(error);
      }
    }
    this.#writing = false;
  }
}

/** Times `count` commits of one row, one after another, with nothing between: milliseconds each. */
const timeBareCommits = async (client: pg.Client, count: number): Promise<number[]> => {
  const durationsMs: number[] = [];
  for (let index = 0; index < count; index++) {
    const startedMs = performance.now();
    await client.query({
      name: 'bare-commit',
      text: 'INSERT INTO events (room_id, json) VALUES ($1, $2)',
      values: ['!bare:ceiling', `{"body":"${index}"}`],
    });
    durationsMs.push(performance.now() - startedMs);
  }
  return durationsMs;
};

const readBody = (request: IncomingMessage): Promise<Buffer> =>
  new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => resolve(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks)));
    request.on('error', reject);
  });

const createCeilingApp = (client: pg.Client): Koa => {
  const { privateKey } = generateKeyPairSync('ed25519');
  const log = new GroupCommit(client);
  let appended = 0;
  const app = new Koa();
  app.use(async (ctx) => {
    const body = JSON.parse((await readBody(ctx.req)).toString()) as Record<string, unknown>;
    if (ctx.path === '/bare-commits') {
      ctx.body = { durationsMs: await timeBareCommits(client, Number(body['count'])) };
      return;
    }
    const json = JSON.stringify(body);
    const signature = sign(null, Buffer.from(json), privateKey).toString('base64');
    await log.append(ctx.path, `{"content":${json},"signature":"${signature}"}`);
    ctx.body = { event_id: `$${++appended}` };
  });
  return app;
};

const setting = async (client: pg.Client, name: string): Promise<string> => {
  const { rows } = await client.query<{ value: string }>('SELECT current_setting($1) AS value', [
    name,
  ]);
  return rows[0]?.value ?? 'unknown';
};

const main = async (folder: string): Promise<void> => {
  const database = await startCeilingDatabase(folder);
  const { client } = database;
  await client.query(
    'CREATE TABLE events (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, room_id text, json text)',
  );
  const handle = createCeilingApp(client).callback();
  const server = createServer((request, response) => {
    // What the load program alone can do: an answer that costs next to nothing.
    if (request.url === '/nothing') response.end('{}');
    else void handle(request, response);
  });
  server.keepAliveTimeout = 60_000;
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');

  const ready: CeilingReady = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    database: {
      version: await setting(client, 'server_version'),
      fsync: await setting(client, 'fsync'),
      synchronousCommit: await setting(client, 'synchronous_commit'),
    },
  };
  process.send?.(ready);
  await once(process, 'disconnect');
  server.close();
  server.closeAllConnections();
  await database.stop();
};

await main(process.argv[2] ?? '.');
process.exit(0);
