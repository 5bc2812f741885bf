/**
 * Another server, as far as tests need one: a real HTTPS server on a free port of loopback, named
 * `127.0.0.1:port`, with a signing key, that publishes its keys and records what it is sent.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import type { TestAuthority } from '../../homeserver/outbound/testing/test-authority.ts';
import { systemRandom } from '../../homeserver/random.ts';
import type { JsonObject } from '../../spec/event.ts';
import type { ServerName } from '../../spec/identifiers.ts';
import { type SigningKey, signingKeyFromSeed, signJson } from '../../spec/signing.ts';
import { authorizationHeader } from '../auth/signed-request.ts';

export interface ReceivedRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingMessage['headers'];
  readonly text: string;
}

/**
 * An answer: a body with status 200, a status of its own, `hang` for none at all, or whatever the
 * function writes.
 */
export type PeerAnswer =
  | JsonObject
  | { readonly status: number; readonly body: string }
  | 'hang'
  | ((outgoing: ServerResponse) => void);

export const newKey = (version: string): SigningKey =>
  signingKeyFromSeed(version, systemRandom.bytes(32));

export class TestPeer {
  readonly name: ServerName;
  key: SigningKey = newKey('p_1');
  /** What `/_matrix/key/v2/server` says instead of the usual. */
  keyDocument: ((usual: JsonObject) => PeerAnswer) | undefined;
  validForMs = 24 * 60 * 60_000;
  /** Everything but requests for keys. */
  handler: (request: ReceivedRequest) => PeerAnswer | Promise<PeerAnswer> = () => ({});
  readonly requests: ReceivedRequest[] = [];
  readonly #nowMs: () => number;
  readonly #server: Server;
  readonly #sockets = new Set<Duplex>();

  private constructor(server: Server, nowMs: () => number) {
    this.#server = server;
    this.#nowMs = nowMs;
    this.name = `127.0.0.1:${(server.address() as AddressInfo).port}` as ServerName;
  }

  static async start(
    authority: TestAuthority,
    nowMs: () => number,
    { port = 0 }: { port?: number } = {},
  ): Promise<TestPeer> {
    const server = createServer(authority.issue(['127.0.0.1']));
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
    const peer = new TestPeer(server, nowMs);
    server.on('connection', (socket) => {
      peer.#sockets.add(socket);
      socket.on('close', () => peer.#sockets.delete(socket));
    });
    server.on('request', (incoming, outgoing) => {
      const chunks: Buffer[] = [];
      incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
      incoming.on('end', async () => {
        const request = {
          method: incoming.method ?? '',
          url: incoming.url ?? '',
          headers: incoming.headers,
          text: Buffer.concat(chunks).toString('utf8'),
        };
        peer.requests.push(request);
        const answer = await peer.#answer(request);
        if (answer === 'hang') return;
        if (typeof answer === 'function') return answer(outgoing);
        const isRaw = typeof answer['status'] === 'number' && typeof answer['body'] === 'string';
        outgoing.statusCode = isRaw ? (answer['status'] as number) : 200;
        outgoing.end(isRaw ? answer['body'] : JSON.stringify(answer));
      });
    });
    return peer;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** The key document as it should be. */
  usualKeyDocument(extra: JsonObject = {}): JsonObject {
    const document = {
      server_name: this.name,
      valid_until_ts: this.#nowMs() + this.validForMs,
      verify_keys: { [this.key.keyId]: { key: this.key.publicKey } },
      old_verify_keys: {},
      ...extra,
    };
    return signJson(document, this.name, this.key);
  }

  /** The `Authorization` header of a request of this server to another. */
  authorization(destination: string, method: string, uri: string, canonicalBody?: string): string {
    return authorizationHeader(
      { origin: this.name, destination, method, uri, canonicalBody },
      this.key,
    );
  }

  /** Requests other than those for keys. */
  get received(): ReceivedRequest[] {
    return this.requests.filter(({ url }) => !url.startsWith('/_matrix/key/v2/server'));
  }

  #answer(request: ReceivedRequest): PeerAnswer | Promise<PeerAnswer> {
    if (!request.url.startsWith('/_matrix/key/v2/server')) return this.handler(request);
    const usual = this.usualKeyDocument();
    return this.keyDocument?.(usual) ?? usual;
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
