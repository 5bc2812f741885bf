/**
 * Routes behind a real listener on a free port, and a small client, for tests.
 */
import { silentLogger } from '../../ops/logger.ts';
import type { Route } from '../route.ts';
import { createHttpServer, type HttpServer, type HttpServerOptions } from '../server.ts';

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** The parsed body; tests look into it freely. */
  // biome-ignore lint/suspicious/noExplicitAny: a response's shape is what the test is about.
  readonly body: any;
}

export interface RequestOptions {
  readonly token?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Serialised as JSON unless it is text or bytes. */
  readonly body?: unknown;
  readonly signal?: AbortSignal;
}

export interface TestClient {
  readonly url: string;
  request(method: string, path: string, options?: RequestOptions): Promise<Answer>;
}

const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
};

export const testClient = (url: string): TestClient => ({
  url,
  request: async (method, path, { token, headers = {}, body, signal } = {}) => {
    const response = await fetch(`${url}${path}`, {
      method,
      headers: { ...headers, ...(token === undefined ? {} : { Authorization: `Bearer ${token}` }) },
      redirect: 'manual',
      ...(body === undefined
        ? {}
        : {
            body:
              typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body),
          }),
      ...(signal === undefined ? {} : { signal }),
    });
    const text = await response.text();
    return { status: response.status, headers: response.headers, text, body: parsed(text) };
  },
});

export interface TestServer extends TestClient {
  readonly port: number;
  readonly server: HttpServer;
  stop(): Promise<void>;
}

export const serve = async (
  routes: readonly Route[],
  options: Partial<HttpServerOptions> = {},
): Promise<TestServer> => {
  const server = createHttpServer({
    listeners: [{ port: 0, bind: '127.0.0.1', resources: ['test'] }],
    resources: { test: { routes, cors: true } },
    logger: silentLogger,
    checkResponses: true,
    ...options,
  });
  await server.start();
  const port = server.addresses()[0]?.port as number;
  return {
    ...testClient(`http://127.0.0.1:${port}`),
    port,
    server,
    stop: () => server.stop({ graceMs: 1_000 }),
  };
};
