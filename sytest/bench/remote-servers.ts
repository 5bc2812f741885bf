/**
 * Many homeservers in one process, each with its own name, port and signing key: enough to publish
 * keys, to have members in a room and to take what is sent to them. They check nothing, so that the
 * processor time of a run is that of the server under test.
 */
import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Authority } from '../lib/authority.ts';
import type { Identity } from '../lib/peer/room.ts';
import { SigningKey } from '../lib/peer/signing.ts';
import { inParallel } from './measure.ts';

const DAY_MS = 24 * 3600 * 1000;
const STARTED_AT_A_TIME = 20;

export class RemoteServer implements Identity {
  readonly name: string;
  readonly key = new SigningKey('bench');
  /** How often each event has arrived, by the text of its `body`. */
  readonly received = new Map<string, number>();
  readonly #server: Server;

  constructor(server: Server) {
    this.name = `localhost:${(server.address() as AddressInfo).port}`;
    this.#server = server;
    server.on('request', (request, response) => void this.#take(request, response));
  }

  user(localpart: string): string {
    return `@${localpart}:${this.name}`;
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  async #take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const answer = this.#answer(request.url ?? '', Buffer.concat(chunks));
    const json = Buffer.from(JSON.stringify(answer ?? { errcode: 'M_UNRECOGNIZED' }));
    response.writeHead(answer === undefined ? 404 : 200, {
      'Content-Type': 'application/json',
      'Content-Length': json.length,
    });
    response.end(json);
  }

  #answer(path: string, body: Buffer): object | undefined {
    if (path.startsWith('/_matrix/key/v2/server')) {
      const document = {
        server_name: this.name,
        verify_keys: { [this.key.id]: { key: this.key.publicKey } },
        old_verify_keys: {},
        valid_until_ts: Date.now() + DAY_MS,
      };
      return this.key.signJson(document, this.name);
    }
    if (!path.startsWith('/_matrix/federation/v1/send/')) return undefined;
    const { pdus } = JSON.parse(body.toString()) as {
      pdus: { content: Record<string, unknown> }[];
    };
    for (const { content } of pdus) {
      const text = String(content['body']);
      this.received.set(text, (this.received.get(text) ?? 0) + 1);
    }
    return { pdus: {} };
  }
}

/** All with one certificate, which is of the machine and not of the port. */
export const startRemoteServers = async (
  authority: Authority,
  count: number,
): Promise<RemoteServer[]> => {
  const { certPem: cert, keyPem: key } = authority.issue('localhost', '127.0.0.1');
  return inParallel(Array.from({ length: count }), STARTED_AT_A_TIME, async () => {
    const server = createServer({ cert, key });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new RemoteServer(server);
  });
};
