/** How the peer takes requests: authenticates them, finds the answer, counts everything. */

import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Body } from '../http.ts';
import type { FederationAnswer } from './outbound.ts';
import type { JsonObject } from './signing.ts';
import { isAuthentic, parseAuthorization } from './x-matrix.ts';

export interface PeerRequest {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  /** Values of `{…}` in the route, in order, unescaped. */
  readonly params: readonly string[];
  readonly body: Body;
  /** The server that signed it; empty for requests that need no signature. */
  readonly origin: string;
  readonly raw: { readonly request: IncomingMessage; readonly response: ServerResponse };
}

export class PeerRefusal extends Error {
  readonly status: number;
  readonly errcode: string;

  constructor(status: number, errcode: string, message: string) {
    super(message);
    this.status = status;
    this.errcode = errcode;
  }
}

/** Gives the JSON to answer with, or `undefined` after answering on `raw.response` itself. */
export type PeerHandler = (
  request: PeerRequest,
) => JsonObject | undefined | Promise<JsonObject | undefined>;

export interface PeerRoute {
  readonly method: string;
  /** Path with `{…}` for a parameter. */
  readonly path: string;
  /** Answers requests that nobody signed. */
  readonly open?: boolean;
  readonly handler: PeerHandler;
}

/** What taking a request needs of the peer. */
interface Host {
  readonly name: string;
  asks(server: { name: string }, method: string, uri: string): Promise<FederationAnswer>;
}

export class Inbound {
  readonly requests: string[] = [];
  readonly #host: Host;
  readonly #routes: PeerRoute[];
  /** Published keys by server name and key id. */
  readonly #keys = new Map<string, string>();

  constructor(host: Host, routes: readonly PeerRoute[]) {
    this.#host = host;
    this.#routes = [...routes];
  }

  override(route: PeerRoute): void {
    const honest = this.#routes.find(
      ({ method, path }) => method === route.method && path === route.path,
    );
    this.#routes.unshift({ open: honest?.open ?? false, ...route });
  }

  async take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const answer = await this.#answer(request, response);
      if (answer !== undefined) reply(response, 200, answer);
    } catch (error) {
      const { status = 500, errcode = 'M_UNKNOWN', message } = error as Partial<PeerRefusal>;
      reply(response, status, { errcode, error: message });
    }
  }

  async #answer(
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<JsonObject | undefined> {
    const method = request.method!;
    const url = new URL(request.url!, 'https://peer');
    this.requests.push(`${method} ${url.pathname}`);
    const body = await readJson(request);
    for (const route of this.#routes) {
      const params = route.method === method ? match(route.path, url.pathname) : undefined;
      if (params === undefined) continue;
      const origin = route.open ? '' : await this.#authenticate(request, body);
      return route.handler({
        ...{ method, path: url.pathname, query: url.searchParams, params, body, origin },
        raw: { request, response },
      });
    }
    throw new PeerRefusal(404, 'M_UNRECOGNIZED', `the peer does not answer ${url.pathname}`);
  }

  async #authenticate(request: IncomingMessage, content: Body): Promise<string> {
    const signature = parseAuthorization(request.headers.authorization);
    if (signature === undefined) throw new PeerRefusal(401, 'M_UNAUTHORIZED', 'not signed');
    const { origin, key } = signature;
    const signed = {
      method: request.method!,
      uri: request.url!,
      origin,
      destination: this.#host.name,
      ...(content === undefined ? {} : { content }),
    };
    if (!isAuthentic(signed, signature, await this.#keyOf(origin, key))) {
      throw new PeerRefusal(401, 'M_UNAUTHORIZED', `the signature of ${origin} is wrong`);
    }
    return origin;
  }

  async #keyOf(server: string, keyId: string): Promise<string | undefined> {
    const cached = this.#keys.get(`${server} ${keyId}`);
    if (cached !== undefined) return cached;
    const { body } = await this.#host.asks({ name: server }, 'GET', '/_matrix/key/v2/server');
    const key: string | undefined = body?.verify_keys?.[keyId]?.key;
    if (key !== undefined) this.#keys.set(`${server} ${keyId}`, key);
    return key;
  }
}

/** The unescaped values of a route's parameters, or `undefined` if the path is another. */
function match(route: string, path: string): string[] | undefined {
  const [wanted, given] = [route.split('/'), path.split('/')];
  if (wanted.length !== given.length) return undefined;
  const params: string[] = [];
  for (const [i, part] of wanted.entries()) {
    if (part.startsWith('{')) params.push(decodeURIComponent(given[i]!));
    else if (part !== given[i]) return undefined;
  }
  return params;
}

async function readJson(request: IncomingMessage): Promise<Body> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return chunks.length === 0 ? undefined : JSON.parse(Buffer.concat(chunks).toString('utf8'));
}

function reply(response: ServerResponse, status: number, body: JsonObject): void {
  if (response.headersSent) return;
  response.writeHead(status, { 'Content-Type': 'application/json' });
  response.end(JSON.stringify(body));
}
