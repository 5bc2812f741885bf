import { connect } from 'node:net';
import { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { Type } from 'typebox';
import { matrixError } from '../../spec/errors.ts';
import { createLogger } from '../ops/logger.ts';
import { createMetricsRegistry } from '../ops/metrics.ts';
import { FakeClock } from '../testing/fake-clock.ts';
import { UserIdSchema } from './identifier-schemas.ts';
import { exempt, perIp, perUser, RateLimits } from './rate-limits.ts';
import { rawJson } from './raw-json.ts';
import { rawReply, redirect, reply } from './reply.ts';
import { type Auth, type Route, route } from './route.ts';
import type { HttpServerOptions } from './server.ts';
import { serve, type TestServer } from './testing/serve.ts';

const user: Auth<string> = {
  name: 'accessTokenBearer',
  authenticate: (request) => {
    const name = request.header('authorization')?.slice('Bearer '.length);
    if (name === undefined) throw matrixError('M_MISSING_TOKEN', 'Missing access token');
    return name;
  },
  limitKey: (name) => (name === 'exempt' ? undefined : name),
};

const echo = route({
  rateLimit: exempt('a test'),
  operationId: 'echo',
  method: 'POST',
  path: ['/v3/echo/{userId}', '/r0/echo/{userId}'],
  params: Type.Object({ userId: UserIdSchema }),
  query: Type.Object({
    limit: Type.Integer({ default: 10, minimum: 1 }),
    full: Type.Optional(Type.Boolean()),
    via: Type.Optional(Type.Array(Type.String())),
    dir: Type.Optional(Type.Union([Type.Literal('b'), Type.Literal('f')])),
  }),
  body: Type.Object({
    name: Type.String({ maxLength: 20 }),
    inner: Type.Optional(Type.Object({ list: Type.Array(Type.Integer()) })),
    more: Type.Optional(Type.Unknown()),
  }),
  handler: ({ params, query, body }) => ({ params, query, body }),
});

const optionalBody = route({
  rateLimit: exempt('a test'),
  operationId: 'optionalBody',
  method: 'POST',
  path: '/optional',
  body: Type.Object({ reason: Type.Optional(Type.String()) }),
  handler: ({ body }) => body,
});

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

const ECHO = '/v3/echo/@a:b.example';

describe('a request that is well formed', () => {
  it('reaches the handler typed, with defaults, under every path', async () => {
    const { request } = await start([echo]);
    const path = '/r0/echo/%40a%3Ab.example?full=true&via=x&via=y%2Fz+1&dir=b&unknown=1&unknown=2';
    const answer = await request('POST', path, { body: { name: 'n', extra: 1 } });
    expect(answer.body).toEqual({
      params: { userId: '@a:b.example' },
      query: { limit: 10, full: true, via: ['x', 'y/z 1'], dir: 'b' },
      body: { name: 'n', extra: 1 },
    });
    expect(answer.status).toBe(200);
    expect(answer.headers.get('content-type')).toBe('application/json');
    expect(answer.headers.get('access-control-allow-origin')).toBe('*');
  });

  it('may leave the body empty where nothing in it is required', async () => {
    const { request } = await start([optionalBody, echo]);
    expect((await request('POST', '/optional')).body).toEqual({});
    expect((await request('POST', ECHO)).body).toMatchObject({ errcode: 'M_NOT_JSON' });
  });

  it('gets its own request id back when it is sane, and one of ours otherwise', async () => {
    const { request } = await start([optionalBody]);
    const mine = await request('POST', '/optional', { headers: { 'X-Request-Id': 'abc-1' } });
    expect(mine.headers.get('x-request-id')).toBe('abc-1');
    const bad = await request('POST', '/optional', { headers: { 'X-Request-Id': 'a b"' } });
    expect(bad.headers.get('x-request-id')).toMatch(/^[0-9a-f]{10}-/);
  });
});

describe('a request that is not', () => {
  const deep = `{"name":"n","more":${'['.repeat(200)}${']'.repeat(200)}}`;
  it.each([
    ['not JSON', '{"name":', 'M_NOT_JSON', 'valid JSON'],
    ['not UTF-8', Buffer.from([0x22, 0xff, 0x22]), 'M_NOT_JSON', 'UTF-8'],
    ['no object', '[]', 'M_BAD_JSON', 'body must be object'],
    ['a required key missing', '{}', 'M_MISSING_PARAM', "'name' in the body is missing"],
    ['a wrong type', '{"name":1}', 'M_BAD_JSON', "'name' in the body must be string"],
    [
      'a wrong type deep inside',
      '{"name":"n","inner":{"list":[1,"2"]}}',
      'M_BAD_JSON',
      "'inner.list.1' in the body must be integer",
    ],
    ['a wrong value', `{"name":"${'n'.repeat(21)}"}`, 'M_INVALID_PARAM', "'name' in the body"],
    ['NUL in text', '{"name":"a\\u0000"}', 'M_BAD_JSON', 'NUL'],
    ['NUL in a key', '{"name":"a","more":{"\\u0000":1}}', 'M_BAD_JSON', 'NUL'],
    ['a lone surrogate', '{"name":"\\uD800"}', 'M_BAD_JSON', 'surrogates'],
    ['a __proto__ key', '{"name":"n","more":{"__proto__":{"x":1}}}', 'M_BAD_JSON', '__proto__'],
    ['a number no double holds', '{"name":"n","more":[1e999]}', 'M_BAD_JSON', 'number'],
    ['nesting too deep', deep, 'M_BAD_JSON', 'nested deeper'],
  ])('is told so: %s', async (_, body, errcode, message) => {
    const { request } = await start([echo]);
    const answer = await request('POST', ECHO, { body });
    expect(answer.body).toEqual({ errcode, error: expect.stringContaining(message) });
    expect(answer.status).toBe(400);
  });

  it('is not mistaken for one: an escaped backslash, a surrogate pair, __proto__ as text', async () => {
    const { request } = await start([echo]);
    const body = '{"name":"\\\\u0000","more":["\\ud83d\\ude00","__proto__"]}';
    expect((await request('POST', ECHO, { body })).status).toBe(200);
  });

  it.each([
    ['/v3/echo/nobody', 'matrix-user-id'],
    ['/v3/echo/%zz', "'userId' in the path is not valid percent-encoded"],
    ['/v3/echo/@a%00:b', 'NUL'],
    [`${ECHO}?limit=x`, "'limit' in the query must be integer"],
    [`${ECHO}?limit=0`, "'limit' in the query must be >= 1"],
    [`${ECHO}?limit=1&limit=2`, "'limit' is given more than once"],
    [`${ECHO}?full=1`, "'full' in the query must be boolean"],
    [`${ECHO}?dir=x`, `'dir' in the query must be one of "b", "f"`],
    [`${ECHO}?dir=%ff`, "'dir' is not valid percent-encoded UTF-8"],
  ])('in its address: %s', async (path, message) => {
    const { request } = await start([echo]);
    const answer = await request('POST', path, { body: { name: 'n' } });
    expect(answer.body).toEqual({
      errcode: 'M_INVALID_PARAM',
      error: expect.stringContaining(message),
    });
    expect(answer.status).toBe(400);
    expect(answer.headers.get('access-control-allow-origin')).toBe('*');
  });

  it('is refused with 413 when too large, announced or not, and the connection lives', async () => {
    const { request } = await start([echo], { maxBodyBytes: 1_000 });
    const body = JSON.stringify({ name: 'x'.repeat(200_000) });
    const answer = await request('POST', ECHO, { body });
    expect(answer).toMatchObject({ status: 413, body: { errcode: 'M_TOO_LARGE' } });
    const { url } = running[0] as TestServer;
    const chunked = await fetch(`${url}${ECHO}`, {
      method: 'POST',
      body: Readable.toWeb(Readable.from([body.slice(0, 5_000), body.slice(5_000)])) as never,
      duplex: 'half',
    } as never);
    expect(chunked.status).toBe(413);
    expect((await request('POST', ECHO, { body: { name: 'n' } })).status).toBe(200);
  });

  it('gets 404 where nothing is and 405 where another method is', async () => {
    const { request } = await start([echo]);
    expect(await request('GET', '/nothing')).toMatchObject({
      status: 404,
      body: { errcode: 'M_UNRECOGNIZED' },
    });
    const wrong = await request('PUT', ECHO, { body: {} });
    expect(wrong).toMatchObject({ status: 405, body: { errcode: 'M_UNRECOGNIZED' } });
    expect(wrong.headers.get('allow')).toBe('POST, OPTIONS');
    const unknownMethod = await request('PROPFIND', '/nothing');
    expect(unknownMethod.status).toBe(404);
  });

  it('that is not even HTTP is answered and closed', async () => {
    const { port } = await start([echo]);
    const text = await new Promise<string>((resolve) => {
      let received = '';
      const socket = connect(port, '127.0.0.1', () => socket.write('NONSENSE\r\n\r\n'));
      socket.on('data', (data) => {
        received += data.toString();
      });
      socket.on('close', () => resolve(received));
    });
    expect(text).toMatch(/^HTTP\/1\.1 400 Bad Request\r\n/);
    expect(text).toContain('"errcode"');
  });
});

describe('OPTIONS and HEAD', () => {
  it('answers a preflight without running anything', async () => {
    const { request } = await start([echo]);
    const answer = await request('OPTIONS', ECHO);
    expect(answer.status).toBe(204);
    expect(answer.headers.get('access-control-allow-methods')).toContain('PUT');
    expect(answer.headers.get('access-control-allow-headers')).toBe(
      'X-Requested-With, Content-Type, Authorization',
    );
    expect(answer.headers.get('allow')).toBe('POST, OPTIONS');
  });

  it('gives no permission to web pages where a route set does not', async () => {
    const closed = { test: { routes: [optionalBody], cors: false } };
    const { request } = await start([], { resources: closed });
    const answer = await request('POST', '/optional');
    expect(answer.status).toBe(200);
    expect(answer.headers.get('access-control-allow-origin')).toBeNull();
    const options = await request('OPTIONS', '/optional');
    expect(options.headers.get('access-control-allow-origin')).toBeNull();
  });

  it('answers HEAD as GET without the body', async () => {
    const get = route({
      rateLimit: exempt('a test'),
      operationId: 'get',
      method: 'GET',
      path: '/get',
      handler: () => ({ a: 1 }),
    });
    const { request } = await start([get]);
    const answer = await request('HEAD', '/get');
    expect(answer).toMatchObject({ status: 200, text: '' });
    expect(answer.headers.get('content-length')).toBe('7');
  });
});

describe('the order of things', () => {
  const steps = (auth: Auth<string>, rateLimit = perUser('send')) =>
    route({
      operationId: 'steps',
      method: 'PUT',
      path: '/steps/{userId}',
      auth,
      rateLimit,
      params: Type.Object({ userId: UserIdSchema }),
      query: Type.Object({ n: Type.Integer() }),
      body: Type.Object({ b: Type.Integer() }),
      handler: ({ requester }) => ({ requester }),
    });

  it('is authentication, path, query, body', async () => {
    const { request } = await start([steps(user)]);
    const errorOf = async (path: string, token?: string) =>
      (await request('PUT', path, { body: '{', ...(token === undefined ? {} : { token }) })).body;
    expect(await errorOf('/steps/x')).toMatchObject({ errcode: 'M_MISSING_TOKEN' });
    expect(await errorOf('/steps/x', 'a')).toMatchObject({
      error: expect.stringContaining('in the path'),
    });
    expect(await errorOf('/steps/@a:b', 'a')).toEqual({
      errcode: 'M_MISSING_PARAM',
      error: "'n' in the query is missing",
    });
    expect(await errorOf('/steps/@a:b?n=1', 'a')).toMatchObject({ errcode: 'M_NOT_JSON' });
  });

  it('counts per user, with exemptions, and says when to come back', async () => {
    const clock = new FakeClock();
    const rateLimits = new RateLimits(
      { general: { perSecond: 1, burst: 1 }, ip: { perSecond: 100, burst: 100 } },
      clock,
    );
    const { request } = await start([steps(user)], { rateLimits });
    const send = (token: string) => request('PUT', '/steps/@a:b?n=1', { token, body: { b: 1 } });
    expect((await send('alice')).body).toEqual({ requester: 'alice' });
    const refused = await send('alice');
    expect(refused).toMatchObject({
      status: 429,
      body: { errcode: 'M_LIMIT_EXCEEDED', retry_after_ms: 1_000 },
    });
    expect(refused.headers.get('retry-after')).toBe('1');
    expect((await send('bob')).status).toBe(200);
    expect((await send('exempt')).status).toBe(200);
    expect((await send('exempt')).status).toBe(200);
  });

  it('counts what a request asks for, and lets the last one owe', async () => {
    const clock = new FakeClock();
    const rateLimits = new RateLimits({ general: { perSecond: 1, burst: 3 } }, clock);
    const many = route({
      operationId: 'many',
      method: 'POST',
      path: '/many',
      rateLimit: perIp('general'),
      rateCost: ({ n }, bytes) => n + (bytes > 100 ? 1 : 0),
      body: Type.Object({ n: Type.Integer() }),
      handler: () => ({}),
    });
    const { request } = await start([many], { rateLimits });
    const ask = (n: number, more = '') => request('POST', '/many', { body: { n, more } });
    expect((await ask(9)).status).toBe(200);
    expect((await ask(0)).body.retry_after_ms).toBe(8_000);
    clock.advance(8_000);
    expect((await ask(0, 'x'.repeat(100))).status).toBe(200);
    expect((await ask(0)).body.retry_after_ms).toBe(2_000);
  });

  it('counts somebody before reading what they send', async () => {
    const rateLimits = new RateLimits({ general: { perSecond: 1, burst: 1 } }, new FakeClock());
    const { request } = await start([steps(user)], { rateLimits });
    await request('PUT', '/steps/@a:b?n=1', { token: 'alice', body: '{' });
    const answer = await request('PUT', '/steps/@a:b?n=1', { token: 'alice', body: '{' });
    expect(answer.body.errcode).toBe('M_LIMIT_EXCEEDED');
  });

  it('counts an address before everything, unknown endpoints too', async () => {
    const limits = { general: { perSecond: 1, burst: 9 }, ip: { perSecond: 1, burst: 2 } };
    const rateLimits = new RateLimits(limits, new FakeClock());
    const { request } = await start([steps(user, perIp('general'))], { rateLimits });
    await request('GET', '/nothing');
    await request('GET', '/nothing');
    const answer = await request('PUT', '/steps/x');
    expect(answer.status).toBe(429);
    expect(answer.headers.get('access-control-allow-origin')).toBe('*');
  });

  it('lets authentication read the body it signs for, once for all', async () => {
    const signed: Auth<unknown> = {
      name: 'signedRequest',
      authenticate: async (request) => ({ seen: await request.json(), url: request.url }),
    };
    const both = route({
      rateLimit: exempt('a test'),
      operationId: 'both',
      method: 'PUT',
      path: '/both',
      auth: signed,
      jsonTrust: 'server',
      body: Type.Object({}),
      handler: ({ requester, body }) => ({ requester, body }),
    });
    const { request } = await start([both]);
    const body = '{"pdus":["\\u0000"]}';
    expect((await request('PUT', '/both?x=1', { body })).body).toEqual({
      requester: { seen: { pdus: ['\u0000'] }, url: '/both?x=1' },
      body: { pdus: ['\u0000'] },
    });
  });
});

describe('answers', () => {
  const answering = (handler: () => unknown) =>
    route({
      rateLimit: exempt('a test'),
      operationId: 'answering',
      method: 'GET',
      path: '/answer',
      handler,
    });

  it.each([
    ['a status and headers', () => reply({ status: 201, headers: { 'X-A': 'b' } }), 201, '{}'],
    ['raw JSON', () => ({ a: rawJson('[1.0]') }), 200, '{"a":[1.0]}'],
    ['bytes', () => rawReply({ body: Buffer.from('abc') }), 200, 'abc'],
    ['a stream', () => rawReply({ body: Readable.from(['a', 'b']) }), 200, 'ab'],
    ['a redirect', () => redirect('https://example.org/'), 302, ''],
  ])('may be %s', async (_, handler, status, text) => {
    const { request } = await start([answering(handler)]);
    const answer = await request('GET', '/answer');
    expect(answer).toMatchObject({ status, text });
    expect(answer.headers.get('x-request-id')).not.toBeNull();
  });

  it('are Matrix errors as thrown, and a bug is told only to the log, once', async () => {
    const lines: string[] = [];
    const logger = createLogger(
      { level: 'warn', format: 'json' },
      { write: (line) => lines.push(line) },
    );
    const failing = answering(() => {
      throw new Error('the secret detail');
    });
    const { request } = await start([failing], { logger });
    const answer = await request('GET', '/answer?access_token=hidden');
    expect(answer).toMatchObject({ status: 500, body: { errcode: 'M_UNKNOWN' } });
    expect(answer.text).not.toContain('secret');
    expect(lines).toHaveLength(1);
    expect(JSON.parse(lines[0] as string)).toMatchObject({
      requestId: answer.headers.get('x-request-id'),
      operation: 'answering',
      err: { message: 'the secret detail', stack: expect.stringContaining('server.test.ts') },
    });
  });

  it('that break their own schema fail where responses are checked', async () => {
    const wrong = route({
      rateLimit: exempt('a test'),
      operationId: 'wrong',
      method: 'GET',
      path: '/wrong',
      response: Type.Object({ n: Type.Integer() }),
      handler: () => ({ n: 1.5 }),
    });
    expect((await (await start([wrong])).request('GET', '/wrong')).status).toBe(500);
    const lax = await start([wrong], { checkResponses: false });
    expect((await lax.request('GET', '/wrong')).body).toEqual({ n: 1.5 });
  });

  it('of those who have said who they are wait until memory has what others were told', async () => {
    let follow: () => void = () => undefined;
    let isBehind = true;
    const caughtUp = () => {
      if (!isBehind) return undefined;
      return new Promise<void>((resolve) => {
        follow = () => {
          isBehind = false;
          resolve();
        };
      });
    };
    const reading = route({
      rateLimit: exempt('a test'),
      operationId: 'reading',
      method: 'GET',
      path: '/reading',
      auth: { name: undefined, authenticate: () => 'somebody' },
      handler: () => ({ isBehind }),
    });
    const { request } = await start([reading, answering(() => ({ isBehind }))], { caughtUp });
    expect((await request('GET', '/answer')).body).toEqual({ isBehind: true });
    const answer = request('GET', '/reading');
    setTimeout(() => follow(), 200);
    expect((await answer).body).toEqual({ isBehind: false });
    expect((await request('GET', '/reading')).body).toEqual({ isBehind: false });
  });

  it('leave one line each, without the query, and are counted by operation', async () => {
    const lines: string[] = [];
    const logger = createLogger(
      { level: 'debug', format: 'json' },
      { write: (line) => lines.push(line) },
    );
    const metrics = createMetricsRegistry({ processMetrics: false });
    const { request } = await start([answering(() => ({}))], { logger, metrics });
    await request('GET', '/answer?access_token=hidden');
    await request('GET', '/nothing');
    while (lines.length < 2) await delay(5);
    expect(lines.map((line) => JSON.parse(line))).toEqual([
      expect.objectContaining({ operation: 'answering', path: '/answer', status: 200 }),
      expect.objectContaining({ operation: 'unknown', status: 404, errcode: 'M_UNRECOGNIZED' }),
    ]);
    expect(lines.join()).not.toContain('hidden');
    const text = await metrics.metrics();
    expect(text).toContain('parley_http_requests_total{operation="answering",status="200"} 1');
    expect(text).toContain('parley_http_requests_in_flight 0');
  });
});

describe('route', () => {
  it('refuses a path and a schema that name different parameters', () => {
    const declare = (path: string, params: ReturnType<typeof Type.Object>) => () =>
      route({
        rateLimit: exempt('a test'),
        operationId: 'x',
        method: 'GET',
        path,
        params,
        handler: () => ({}),
      });
    expect(declare('/{a}', Type.Object({ b: Type.String() }))).toThrow('x: /{a}');
    expect(declare('/{a}', Type.Object({}))).toThrow('x: /{a}');
    expect(declare('/a', Type.Object({ key: Type.String({ default: '' }) }))).not.toThrow();
  });
});
