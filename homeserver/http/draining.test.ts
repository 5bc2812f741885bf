import { get } from 'node:https';
import { connect } from 'node:net';
import { createTestAuthority } from '../outbound/testing/test-authority.ts';
import { exempt } from './rate-limits.ts';
import { type Route, route } from './route.ts';
import type { HttpServerOptions } from './server.ts';
import { serve, type TestServer } from './testing/serve.ts';

const deferred = () => {
  let resolve = (): void => undefined;
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  return { promise, resolve };
};

let running: TestServer[] = [];
const start = async (routes: Route[], options: Partial<HttpServerOptions> = {}) => {
  const server = await serve(routes, options);
  running.push(server);
  return server;
};
afterEach(async () => {
  await Promise.all(running.map((server) => server.stop()));
  running = [];
});

const quick = route({
  rateLimit: exempt('a test'),
  operationId: 'quick',
  method: 'GET',
  path: '/quick',
  handler: () => ({}),
});

describe('going away', () => {
  it('aborts the signal when the client leaves', async () => {
    const left = deferred();
    const entered = deferred();
    const waiting = route({
      rateLimit: exempt('a test'),
      operationId: 'waiting',
      method: 'GET',
      path: '/wait',
      handler: async ({ signal }) => {
        entered.resolve();
        await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
        left.resolve();
        return {};
      },
    });
    const { request } = await start([waiting]);
    const client = new AbortController();
    const pending = request('GET', '/wait', { signal: client.signal });
    await entered.promise;
    client.abort();
    await expect(pending).rejects.toThrow();
    await left.promise;
  });

  it('finishes what is under way when the server stops, and takes nothing new', async () => {
    const entered = deferred();
    const poll = route({
      rateLimit: exempt('a test'),
      operationId: 'poll',
      method: 'GET',
      path: '/poll',
      handler: async ({ draining }) => {
        entered.resolve();
        await new Promise<void>((resolve) => draining.addEventListener('abort', () => resolve()));
        return { returned: 'early' };
      },
    });
    const { request, server } = await start([poll]);
    const pending = request('GET', '/poll');
    await entered.promise;
    const startedMs = performance.now();
    const stopped = server.stop({ graceMs: 20_000 });
    const answer = await pending;
    expect(answer.body).toEqual({ returned: 'early' });
    expect(answer.headers.get('connection')).toBe('close');
    await stopped;
    expect(performance.now() - startedMs).toBeLessThan(10_000);
    await expect(request('GET', '/poll')).rejects.toThrow();
  });

  it('answers the first request of a connection that was made before', async () => {
    const { port, server } = await start([quick]);
    const socket = connect(port, '127.0.0.1');
    await new Promise<void>((resolve) => socket.once('connect', () => resolve()));
    await fetch(`http://127.0.0.1:${port}/quick`, { method: 'GET' });
    const stopped = server.stop({ graceMs: 20_000 });
    let answer = '';
    socket.on('data', (data) => {
      answer += data;
    });
    const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
    socket.write('GET /quick HTTP/1.1\r\nHost: localhost\r\n\r\n');
    await Promise.all([closed, stopped]);
    expect(answer).toMatch(/^HTTP\/1.1 200 /);
    expect(answer).toMatch(/^connection: close\r$/im);
  });

  it('does not wait for connections over which nothing was asked', async () => {
    const { port, server } = await start([quick]);
    const socket = connect(port, '127.0.0.1');
    await new Promise<void>((resolve) => socket.once('connect', () => resolve()));
    // A second connection answered means that the first has been accepted.
    await fetch(`http://127.0.0.1:${port}/quick`, { method: 'GET' });
    const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
    const startedMs = performance.now();
    await server.stop({ graceMs: 20_000 });
    await closed;
    expect(performance.now() - startedMs).toBeLessThan(10_000);
  });

  it('finishes what is under way over TLS too', async () => {
    const authority = createTestAuthority();
    const tls = authority.issue(['localhost']);
    const entered = deferred();
    const poll = route({
      rateLimit: exempt('a test'),
      operationId: 'poll',
      method: 'GET',
      path: '/poll',
      handler: async ({ draining }) => {
        entered.resolve();
        await new Promise<void>((resolve) => draining.addEventListener('abort', () => resolve()));
        return { returned: 'early' };
      },
    });
    const { port, server } = await start([poll], {
      listeners: [{ port: 0, bind: '127.0.0.1', tls, resources: ['test'] }],
    });
    const pending = new Promise<string>((resolve, reject) => {
      const options = { port, host: '127.0.0.1', path: '/poll', servername: 'localhost' };
      get({ ...options, ca: authority.caPem }, (response) => {
        response.setEncoding('utf8').on('data', resolve);
      }).on('error', reject);
    });
    await entered.promise;
    await server.stop({ graceMs: 20_000 });
    expect(await pending).toBe('{"returned":"early"}');
  });

  it('cuts what does not finish within the grace', async () => {
    const entered = deferred();
    const stuck = route({
      rateLimit: exempt('a test'),
      operationId: 'stuck',
      method: 'GET',
      path: '/stuck',
      handler: async () => {
        entered.resolve();
        await new Promise(() => undefined);
        return {};
      },
    });
    const { request, server } = await start([stuck]);
    const pending = request('GET', '/stuck');
    await entered.promise;
    await Promise.all([expect(pending).rejects.toThrow(), server.stop({ graceMs: 20 })]);
  });
});
