/**
 * Homeservers that publish their keys as any other does and are hostile in everything else: what they
 * answer is one of `answers.ts`. They check nothing, and cost the machine little until they are asked.
 */
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Certificate } from '../../lib/authority.ts';
import { SigningKey } from '../../lib/peer/signing.ts';

const DAY_MS = 24 * 3600 * 1000;

/** Answers a request; nothing else is done with its response. */
export type Answer = (path: string, response: ServerResponse) => void;

export class HostileServer {
  readonly name: string;
  readonly key = new SigningKey('hostile');
  readonly #server: Server;

  private constructor(server: Server, answer: Answer) {
    this.name = `localhost:${(server.address() as AddressInfo).port}`;
    this.#server = server;
    server.on('request', (request, response) => {
      response.on('error', () => undefined);
      // What is asked is of no interest.
      request.resume();
      const path = request.url ?? '';
      if (path === '/_matrix/key/v2/server') json(response, this.#keys());
      else answer(path, response);
    });
    // A connection that the other end cuts is what hostile answers come to.
    server.on('tlsClientError', () => undefined);
  }

  static async start({ certPem, keyPem }: Certificate, answer: Answer): Promise<HostileServer> {
    const server = createServer({ cert: certPem, key: keyPem });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new HostileServer(server, answer);
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  #keys(): object {
    return this.key.signJson(
      {
        server_name: this.name,
        verify_keys: { [this.key.id]: { key: this.key.publicKey } },
        old_verify_keys: {},
        valid_until_ts: Date.now() + DAY_MS,
      },
      this.name,
    );
  }
}

export const json = (response: ServerResponse, body: object): void => {
  const bytes = Buffer.from(JSON.stringify(body));
  response.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': bytes.length });
  response.end(bytes);
};
