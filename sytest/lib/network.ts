/**
 * A network that can be cut. Each server's public address is a proxy here, which
 * passes federation requests on to the server unless the two are apart. Who asks
 * is read from the request's `X-Matrix` header; requests without one (for keys)
 * always pass. Clients are not affected: they use their server's own listener.
 */

import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import {
  Agent,
  createServer,
  type Server as HttpsServer,
  request as httpsRequest,
} from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Authority } from './authority.ts';
import { parseAuthorization } from './peer/x-matrix.ts';
import { type Host, type Recipe, Server, type ServerAddress } from './server.ts';

/** A request that went through, with its answer. */
export interface Crossing {
  readonly from: string;
  readonly to: string;
  readonly method: string;
  readonly path: string;
  readonly status: number;
}

export class Network {
  /** What has crossed this network signed, in the order of the answers. */
  readonly crossings: Crossing[] = [];
  readonly #authority: Authority;
  readonly #agent: Agent;
  readonly #servers: Server[] = [];
  readonly #proxies: HttpsServer[] = [];
  /** Server names by the side they are on; empty when the network is whole. */
  #sides: readonly ReadonlySet<string>[] = [];

  constructor(authority: Authority) {
    this.#authority = authority;
    this.#agent = new Agent({ ca: authority.certPem, keepAlive: true });
  }

  /** Starts a server whose name leads to it through this network. */
  async adds(recipe: Recipe, host?: Host): Promise<Server> {
    const { certPem, keyPem } = this.#authority.issue('localhost', '127.0.0.1');
    const proxy = createServer({ cert: certPem, key: keyPem });
    proxy.listen(0, '127.0.0.1');
    await once(proxy, 'listening');
    this.#proxies.push(proxy);
    const { port } = proxy.address() as AddressInfo;
    const server = await Server.create(recipe, this.#authority, port, host);
    proxy.on('request', (request, response) => this.#pass(server, request, response));
    this.#servers.push(server);
    return server.start();
  }

  /** From now on, servers on different sides cannot reach each other. */
  splits(...sides: readonly (readonly ServerAddress[])[]): void {
    this.#sides = sides.map((side) => new Set(side.map((server) => server.name)));
  }

  heals(): void {
    this.#sides = [];
  }

  async close(): Promise<void> {
    await Promise.all(this.#servers.map((server) => server.destroy()));
    this.#agent.destroy();
    for (const proxy of this.#proxies) {
      proxy.close();
      proxy.closeAllConnections();
    }
  }

  #areApart(a: string, b: string): boolean {
    const sideOf = (name: string) => this.#sides.findIndex((side) => side.has(name));
    return this.#sides.length > 0 && sideOf(a) !== sideOf(b);
  }

  #pass(server: Server, request: IncomingMessage, response: ServerResponse): void {
    const origin = parseAuthorization(request.headers.authorization)?.origin;
    if (origin !== undefined && this.#areApart(origin, server.name)) {
      request.socket.destroy();
      return;
    }
    const onward = httpsRequest(
      {
        ...{ agent: this.#agent, host: '127.0.0.1', port: server.site.tlsPort },
        ...{ servername: 'localhost', method: request.method!, path: request.url! },
        headers: request.headers,
      },
      (answer) => {
        const status = answer.statusCode!;
        const [to, method, path] = [server.name, request.method!, request.url!];
        if (origin !== undefined) this.crossings.push({ from: origin, to, method, path, status });
        response.writeHead(answer.statusCode!, answer.headers);
        answer.pipe(response);
      },
    );
    onward.on('error', () => request.socket.destroy());
    request.pipe(onward);
  }
}
