import { once } from 'node:events';
import { connect } from 'node:net';
import { Type } from 'typebox';
import { exempt } from '../../homeserver/http/rate-limits.ts';
import { route } from '../../homeserver/http/route.ts';
import { serve, type TestServer } from '../../homeserver/http/testing/serve.ts';
import { createTestAuthority } from '../../homeserver/outbound/testing/test-authority.ts';
import type { ServerName } from '../../spec/identifiers.ts';
import { HERE, TestFederation } from '../testing/test-federation.ts';
import { newKey, TestPeer } from '../testing/test-peer.ts';
import { serverAuth } from './server-auth.ts';

const authority = createTestAuthority();
const PATH = '/_matrix/federation/v1/echo/a%2Fb?x=1&y=%20';
const BODY = '{"b":1,"a":[]}';
const CANONICAL = '{"a":[],"b":1}';

describe('authentication of servers', () => {
  let our: TestFederation;
  let peer: TestPeer;
  let server: TestServer;
  let heard: ServerName[];
  const denied = new Set(['denied.test' as ServerName]);

  beforeAll(async () => {
    our = await TestFederation.start({ authority });
    peer = await TestPeer.start(authority, () => our.clock.nowMs());
    const auth = serverAuth({
      serverName: HERE,
      keys: our.keyRing,
      clock: our.clock,
      isAllowed: (name) => !denied.has(name),
      heardFrom: (name) => heard.push(name),
    });
    const declare = (method: 'GET' | 'PUT') =>
      route({
        rateLimit: exempt('a test'),
        operationId: `echo${method}`,
        method,
        path: '/_matrix/federation/v1/echo/{name}',
        auth,
        params: Type.Object({ name: Type.String() }),
        jsonTrust: 'signed',
        ...(method === 'GET' ? {} : { body: Type.Object({ b: Type.Integer() }) }),
        handler: ({ requester }) => ({ requester }),
      });
    server = await serve([declare('GET'), declare('PUT')]);
  });
  beforeEach(() => {
    heard = [];
  });
  afterAll(async () => {
    await server.stop();
    await peer.stop();
    await our.stop();
  });

  const put = (authorization: string | undefined, { path = PATH, body = BODY } = {}) =>
    server.request('PUT', path, {
      body,
      headers: authorization === undefined ? {} : { authorization },
    });
  const header = (destination: string = HERE) =>
    peer.authorization(destination, 'PUT', PATH, CANONICAL);

  it('knows who has signed method, target and body', async () => {
    expect((await put(header())).body).toEqual({ requester: peer.name });
    const get = peer.authorization(HERE, 'GET', PATH);
    const answer = await server.request('GET', PATH, { headers: { authorization: get } });
    expect(answer.body).toEqual({ requester: peer.name });
    expect(heard).toEqual([peer.name, peer.name]);
  });

  it('accepts a header without destination', async () => {
    const older = header().replace(/,destination="[^"]*"/, '');
    expect((await put(older)).status).toBe(200);
  });

  it('refuses any other method, target, body or key', async () => {
    const get = peer.authorization(HERE, 'GET', PATH, CANONICAL);
    const usual = peer.key;
    peer.key = newKey('p_1');
    const forged = header();
    peer.key = usual;
    for (const answer of [
      await put(get),
      await put(header(), { path: PATH.replace('x=1', 'x=2') }),
      await put(header(), { path: PATH.replace('%20', '+') }),
      await put(header(), { body: '{"b":2,"a":[]}' }),
      await put(peer.authorization(HERE, 'PUT', PATH)),
      await put(forged),
      await put(header().replace(peer.key.keyId, 'ed25519:nope')),
    ]) {
      expect([answer.status, answer.body.errcode]).toEqual([401, 'M_UNAUTHORIZED']);
    }
    expect(heard).toEqual([]);
  });

  it('refuses what is meant for another server or claims to be this one', async () => {
    for (const authorization of [
      header('other.test'),
      header('other.test').replace(/,destination="[^"]*"/, ''),
      header().replaceAll(peer.name, HERE),
      undefined,
      'Bearer token',
      'X-Matrix nonsense',
    ]) {
      const { status, body } = await put(authorization);
      expect([status, body.errcode]).toEqual([401, 'M_UNAUTHORIZED']);
    }
  });

  it('refuses names that cannot be servers and servers the operator does not want', async () => {
    for (const [name, status, errcode] of [
      ['localhost:http', 400, 'M_INVALID_PARAM'],
      ['a b', 400, 'M_INVALID_PARAM'],
      ['denied.test', 403, 'M_FORBIDDEN'],
    ] as const) {
      const answer = await put(header().replaceAll(peer.name, name));
      expect([answer.status, answer.body.errcode]).toEqual([status, errcode]);
    }
  });

  it('refuses a body that is not JSON', async () => {
    expect((await put(header(), { body: 'oops' })).body.errcode).toBe('M_NOT_JSON');
  });

  // As Python's json and Go's encoding/json write numbers.
  const NUMBERS =
    '[1.0,1e-07,-0,-0.0,1e+16,1e+22,200.0,9007199254740993,9223372036854775808,12345678901234567890]';
  it.each([
    ['as they came', `{"b":1,"n":${NUMBERS}}`, `{"b":1,"n":${NUMBERS}}`],
    ['in the canonical form', '{"n":-0, "b":1}', '{"b":1,"n":0}'],
    ['as the specification writes them', '{"n":1e10, "b":1}', '{"b":1,"n":10000000000}'],
    [
      'as they came, in another order',
      '{ "n" : [1.0,1e-07,12345678901234567890], "b":1 }',
      '{"b":1,"n":[1.0,1e-07,12345678901234567890]}',
    ],
  ])('checks the signature over numbers %s', async (_how, body, canonicalBody) => {
    const authorization = peer.authorization(HERE, 'PUT', PATH, canonicalBody);
    expect((await put(authorization, { body })).status).toBe(200);
    const other = peer.authorization(HERE, 'PUT', PATH, canonicalBody.replace('1', '2'));
    expect((await put(other, { body })).status).toBe(401);
  });

  it('is not deceived by bytes that go on behind the body', async () => {
    const body = '{"b":1},"x":{}';
    const authorization = peer.authorization(HERE, 'PUT', PATH, body);
    const answer = await put(authorization, { body });
    expect([answer.status, answer.body.errcode]).toEqual([400, 'M_NOT_JSON']);
  });

  it('refuses who has no key before taking the body from the connection', async () => {
    const silent = await TestPeer.start(authority, () => our.clock.nowMs());
    silent.keyDocument = () => ({ status: 404, body: '' });
    const socket = connect(server.port, '127.0.0.1');
    const authorization = silent.authorization(HERE, 'PUT', PATH, '{}');
    // 10 MiB are announced, and one byte of them is sent.
    socket.write(
      `PUT ${PATH} HTTP/1.1\r\nHost: here\r\nContent-Length: 10485760\r\n` +
        `Authorization: ${authorization}\r\n\r\n{`,
    );
    const [answer] = (await once(socket, 'data')) as [Buffer];
    expect(answer.toString()).toMatch(/^HTTP\/1.1 401 .*M_UNAUTHORIZED/s);
    socket.destroy();
    await silent.stop();
  });

  it('takes nothing of the bodies while it looks for a key', async () => {
    const silent = await TestPeer.start(authority, () => our.clock.nowMs());
    const asked = new Promise<void>((resolve) => {
      silent.keyDocument = () => {
        resolve();
        return 'hang';
      };
    });
    const body = Buffer.from(`{"x":[${'{},'.repeat(4_000_000)}1]}`);
    const sockets = Array.from({ length: 30 }, () => {
      const socket = connect(server.port, '127.0.0.1');
      socket.on('error', () => undefined);
      socket.write(
        `PUT ${PATH} HTTP/1.1\r\nHost: here\r\nContent-Length: ${body.length}\r\n` +
          `Authorization: ${silent.authorization(HERE, 'PUT', PATH, '{}')}\r\n\r\n`,
      );
      socket.write(body);
      return socket;
    });
    await asked;
    // What a connection does not take stays with the sender.
    await Promise.all(
      sockets.map(async (socket) => {
        await new Promise((resolve) => setImmediate(resolve));
        expect(socket.writableLength).toBeGreaterThan(0);
      }),
    );
    for (const socket of sockets) socket.destroy();
    await silent.stop();
  });
});
