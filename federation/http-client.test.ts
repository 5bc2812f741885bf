import { createTestAuthority } from '../homeserver/outbound/testing/test-authority.ts';
import type { ServerName } from '../spec/identifiers.ts';
import { verifyBytes } from '../spec/signing.ts';
import { signedRequest } from './auth/signed-request.ts';
import { parseXMatrix } from './auth/x-matrix-header.ts';
import {
  FederationError,
  RefusedByServer,
  RequestImpossible,
  ServerUnreachable,
} from './federation-error.ts';
import { ANY_REQUEST } from './testing/any-request.ts';
import { HERE, TestFederation } from './testing/test-federation.ts';
import { TestPeer } from './testing/test-peer.ts';
import { uri } from './uri.ts';

const authority = createTestAuthority();
const ANY = { ...ANY_REQUEST, timeoutMs: 400 };
const DENIED = 'denied.test' as ServerName;

describe('federation client', () => {
  let our: TestFederation;
  let peer: TestPeer;

  beforeAll(async () => {
    our = await TestFederation.start({
      authority,
      denied: new Set([DENIED]),
      policy: { firstDelayMs: 1000, maxDelayMs: 8000 },
      timeoutMs: 400,
    });
  });
  beforeEach(async () => {
    peer = await TestPeer.start(authority, () => our.clock.nowMs());
  });
  afterEach(() => peer.stop());
  afterAll(() => our.stop());

  const get = (more: { essential?: boolean; maxBytes?: number } = {}, destination = peer.name) =>
    our.client.request({ destination, method: 'GET', path: '/x', ...ANY, ...more });

  it('signs what it sends so that the other side can check it', async () => {
    peer.handler = () => ({ ok: true });
    const answer = await our.client.request({
      destination: peer.name,
      method: 'PUT',
      path: uri`/_matrix/federation/v1/thing/${'!a/b:c'}`,
      query: { ver: ['1', '2'], x: 'é&', no: undefined },
      body: { z: 1, a: 'é' },
      ...ANY,
    });
    expect(answer).toEqual({ ok: true });
    const request = peer.received[0];
    expect(request?.url).toBe('/_matrix/federation/v1/thing/!a%2Fb%3Ac?ver=1&ver=2&x=%C3%A9%26');
    expect(request?.headers['content-type']).toBe('application/json');
    expect(request?.headers.host).toBe(peer.name);
    const header = parseXMatrix(request?.headers.authorization ?? '');
    expect(header).toMatchObject({ origin: HERE, destination: peer.name });
    const { publicKey } = our.signingKeys.current;
    const target = { origin: HERE, destination: peer.name, method: 'PUT', uri: request?.url ?? '' };
    const signed = signedRequest(target, Buffer.from(request?.text ?? ''));
    expect(verifyBytes(signed, header?.sig ?? '', publicKey)).toBe(true);
  });

  it('types refusals and keeps their meaning', async () => {
    peer.handler = () => ({ status: 403, body: '{"errcode":"M_FORBIDDEN","error":"no","x":1}' });
    const refusal = await get().catch((error: unknown) => error);
    expect(refusal).toBeInstanceOf(RefusedByServer);
    expect(refusal).toMatchObject({
      status: 403,
      errcode: 'M_FORBIDDEN',
      retryable: false,
      body: { x: 1 },
    });
    expect(our.health.isFailing(peer.name)).toBe(false);
    peer.handler = () => ({ status: 404, body: 'nginx' });
    await expect(get()).rejects.toMatchObject({ status: 404, errcode: 'M_UNKNOWN' });
    peer.handler = () => ({ status: 500, body: '{}' });
    await expect(get()).rejects.toMatchObject({ retryable: true });
    expect(our.health.isFailing(peer.name)).toBe(false);
  });

  it('leaves a server alone that does not answer, and tries again in time', async () => {
    peer.handler = () => 'hang';
    await expect(get()).rejects.toThrow(ServerUnreachable);
    const sent = peer.received.length;
    await expect(get()).rejects.toThrow('left alone');
    expect(peer.received).toHaveLength(sent);
    peer.handler = () => ({});
    expect(await get({ essential: true })).toEqual({});
    expect(await get()).toEqual({});
  });

  it('counts failures together as one, and backs off further each time', async () => {
    our.health.know(peer.name);
    peer.handler = () => ({ status: 503, body: '{}' });
    const delays = [];
    for (let i = 0; i < 5; i++) {
      await Promise.allSettled([get({ essential: true }), get({ essential: true })]);
      delays.push(our.health.retryAtMs(peer.name) - our.clock.nowMs());
      our.clock.set(our.health.retryAtMs(peer.name));
    }
    for (const [index, expected] of [1000, 2000, 4000, 8000, 8000].entries()) {
      expect(delays[index]).toBeGreaterThanOrEqual(expected * 0.8);
      expect(delays[index]).toBeLessThanOrEqual(expected);
    }
    await our.health.close();
    const { rows } = await our.database.query({
      text: 'SELECT failure_count, retry_at_ms FROM destinations WHERE destination = $1',
      values: [peer.name],
    });
    expect(rows).toEqual([{ failure_count: 5, retry_at_ms: our.health.retryAtMs(peer.name) }]);
    peer.handler = () => ({});
    await get();
    await our.health.close();
    const after = await our.database.query({
      text: 'SELECT failure_count, last_success_ms FROM destinations WHERE destination = $1',
      values: [peer.name],
    });
    expect(after.rows).toEqual([{ failure_count: 0, last_success_ms: our.clock.nowMs() }]);
  });

  it('waits as long as an overloaded server asks for, within bounds', async () => {
    peer.handler = () => ({
      status: 429,
      body: '{"errcode":"M_LIMIT_EXCEEDED","retry_after_ms":5000}',
    });
    await expect(get()).rejects.toMatchObject({ status: 429, retryable: true });
    expect(our.health.retryAtMs(peer.name)).toBe(our.clock.nowMs() + 5000);
  });

  it('takes heart when it hears from the server, but not too often', async () => {
    const hopes: string[] = [];
    our.health.onHope((name) => hopes.push(name));
    peer.handler = () => 'hang';
    for (let i = 0; i < 4; i++) {
      await expect(get({ essential: true })).rejects.toThrow(ServerUnreachable);
      our.clock.advance(1);
    }
    our.health.heardFrom(peer.name);
    our.health.heardFrom(peer.name);
    expect(our.health.retryAtMs(peer.name) - our.clock.nowMs()).toBeLessThanOrEqual(5000);
    expect(hopes).toEqual([peer.name]);
    our.health.heardFrom('unknown.test' as ServerName);
    expect(hopes).toHaveLength(1);
  });

  it('refuses senseless requests without sending any', async () => {
    for (const name of [HERE, DENIED, 'not a name', 'a:b:c']) {
      await expect(get({}, name as ServerName)).rejects.toThrow(RequestImpossible);
    }
  });

  it('refuses answers beyond bounds or not of JSON objects', async () => {
    peer.handler = () => ({ pad: 'x'.repeat(2000) });
    await expect(get({ maxBytes: 1000 })).rejects.toThrow(RequestImpossible);
    for (const body of ['[]', '"x"', '<html>', '']) {
      peer.handler = () => ({ status: 200, body });
      await expect(get({ essential: true })).rejects.toThrow(ServerUnreachable);
    }
  });

  it('reads the answers of first versions', async () => {
    const ask = () =>
      our.client.requestFirstVersion({ destination: peer.name, method: 'PUT', path: '/x', ...ANY });
    peer.handler = () => ({ status: 200, body: '[200,{"event":{}}]' });
    expect(await ask()).toEqual({ event: {} });
    for (const body of ['[200]', '[200,[]]', '{}', '[200,{}']) {
      peer.handler = () => ({ status: 200, body });
      await expect(ask()).rejects.toBeInstanceOf(FederationError);
      our.health.succeeded(peer.name);
    }
  });

  it('writes nothing of servers that anyone may have named, and little in memory', async () => {
    const names = Array.from({ length: 30 }, (_, n) => `127.0.0.1:${n + 1}` as ServerName);
    await Promise.allSettled(names.map((name) => get({}, name)));
    expect(names.filter((name) => our.health.isLeftAlone(name))).toHaveLength(names.length);
    await our.health.close();
    const { rows } = await our.database.query({
      text: "SELECT destination FROM destinations WHERE destination LIKE '127.0.0.1:_'",
    });
    expect(rows).toEqual([]);
  });

  const NOTARY = { ...ANY, purpose: 'notary', timeoutMs: 1000 } as const;
  const ask = (destination: ServerName, timeoutMs: number) =>
    our.client.request({ destination, method: 'GET', path: '/x', ...NOTARY, timeoutMs });

  it('starts to wait no sooner than its turn, and holds that against nobody', async () => {
    const others = await Promise.all(
      Array.from({ length: 3 }, () => TestPeer.start(authority, () => our.clock.nowMs())),
    );
    for (const other of others) other.handler = () => 'hang';
    // The share of notaries is one of ten; eight requests to one server at a time.
    const busy = others.map(({ name }) =>
      our.client.request({ destination: name, method: 'GET', path: '/x', ...NOTARY }),
    );
    busy.push(...others.map(({ name }) => ask(name, 100)), ask(peer.name, 100));
    await Promise.allSettled(busy);
    expect(our.health.isFailing(peer.name)).toBe(false);
    expect(peer.received).toEqual([]);
    await Promise.all(others.map((other) => other.stop()));
  });
});
