import type { RequestListener } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { createAddressGuard } from '../../homeserver/outbound/address-guard.ts';
import { OutboundHttp } from '../../homeserver/outbound/outbound-http.ts';
import { DnsResolver } from '../../homeserver/outbound/resolver.ts';
import { createTestAuthority } from '../../homeserver/outbound/testing/test-authority.ts';
import { TestDns } from '../../homeserver/outbound/testing/test-dns.ts';
import { systemRandom } from '../../homeserver/random.ts';
import { FakeClock } from '../../homeserver/testing/fake-clock.ts';
import { Discovery, InvalidServerName } from './discovery.ts';
import { WellKnown } from './well-known.ts';

const MINUTE_MS = 60_000;
const authority = createTestAuthority();
const certificate = authority.issue(['example.test', 'www.example.test', 'other.test']);

describe('discovery', () => {
  let dns: TestDns;
  let server: Server;
  let outbound: OutboundHttp;
  let discovery: Discovery;
  let clock: FakeClock;
  let fetches: string[];
  let answer: RequestListener;

  const delegateTo = (name: unknown, headers: Record<string, string> = {}) => {
    answer = (_req, res) => {
      for (const [header, value] of Object.entries(headers)) res.setHeader(header, value);
      res.end(JSON.stringify({ 'm.server': name }));
    };
  };
  const fail = (status: number) => {
    answer = (_req, res) => {
      res.statusCode = status;
      res.end('{}');
    };
  };
  const target = (
    host: string,
    port: number,
    hostHeader: string,
    certificateName = hostHeader,
  ) => ({
    protocol: 'https:',
    host,
    port,
    hostHeader,
    certificateName,
  });
  const DEFAULT = [target('example.test', 8448, 'example.test')];

  beforeEach(async () => {
    dns = await TestDns.start({
      'example.test': { addresses: ['127.0.0.1'] },
      'www.example.test': { addresses: ['127.0.0.1'] },
    });
    fetches = [];
    fail(404);
    server = createServer(certificate, (req, res) => {
      fetches.push(`${req.headers.host?.split(':')[0]}${req.url}`);
      answer(req, res);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    clock = new FakeClock();
    const resolver = new DnsResolver({
      servers: [dns.server],
      timeoutMs: 150,
      hostsFile: '/none',
      clock,
    });
    outbound = new OutboundHttp({
      resolver,
      guard: createAddressGuard({ allowPrivateAddresses: true }),
      trust: authority.trust,
      userAgent: 'Test/1',
    });
    const wellKnown = new WellKnown({
      outbound,
      clock,
      port: (server.address() as AddressInfo).port,
    });
    discovery = new Discovery({ resolver, wellKnown, random: systemRandom });
  });
  afterEach(async () => {
    outbound.close();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    await dns.stop();
  });

  it.each([
    ['1.2.3.4', target('1.2.3.4', 8448, '1.2.3.4')],
    ['1.2.3.4:99', target('1.2.3.4', 99, '1.2.3.4:99', '1.2.3.4')],
    ['[2001:db8::1]', target('2001:db8::1', 8448, '[2001:db8::1]', '2001:db8::1')],
    ['[2001:db8::1]:443', target('2001:db8::1', 443, '[2001:db8::1]:443', '2001:db8::1')],
  ])('step 1: IP literal %s', async (name, expected) => {
    expect(await discovery.targetsOf(name)).toEqual([expected]);
    expect(fetches).toEqual([]);
  });

  it('step 2: explicit port, without asking anyone', async () => {
    expect(await discovery.targetsOf('example.test:8008')).toEqual([
      target('example.test', 8008, 'example.test:8008', 'example.test'),
    ]);
    expect(fetches).toEqual([]);
    expect(dns.queries).toEqual([]);
  });

  it.each(['bad name', 'a:b', 'a:99999', '300.1.1.1', '[::g]', '', 'a/b', 'a:0'])(
    'refuses %j',
    async (name) => {
      await expect(discovery.targetsOf(name)).rejects.toThrow(InvalidServerName);
    },
  );

  it.each([
    ['3.1', '9.8.7.6', target('9.8.7.6', 8448, '9.8.7.6')],
    ['3.1', '[2001:db8::2]:1', target('2001:db8::2', 1, '[2001:db8::2]:1', '2001:db8::2')],
    ['3.2', 'other.test:7', target('other.test', 7, 'other.test:7', 'other.test')],
    ['3.5', 'other.test', target('other.test', 8448, 'other.test')],
  ])('step %s: delegation to %s', async (_step, delegated, expected) => {
    delegateTo(delegated);
    expect(await discovery.targetsOf('example.test')).toEqual([expected]);
    expect(fetches).toEqual(['example.test/.well-known/matrix/server']);
  });

  it('steps 3.3 and 3.4: SRV records of the delegated name, the new service first', async () => {
    delegateTo('other.test');
    dns.names.set('_matrix._tcp.other.test', { srv: [{ target: 'old.test', port: 2 }] });
    expect(await discovery.targetsOf('example.test')).toEqual([
      target('old.test', 2, 'other.test'),
    ]);
    dns.names.set('_matrix-fed._tcp.other.test', { srv: [{ target: 'new.test', port: 1 }] });
    clock.advance(10 * MINUTE_MS);
    expect(await discovery.targetsOf('example.test')).toEqual([
      target('new.test', 1, 'other.test'),
    ]);
    expect(dns.queries.some((query) => query.startsWith('_matrix-fed._tcp.example.test'))).toBe(
      false,
    );
  });

  it('steps 4 to 6: SRV records of the name itself, in order, else port 8448', async () => {
    expect(await discovery.targetsOf('example.test')).toEqual(DEFAULT);
    dns.names.set('_matrix._tcp.example.test', { srv: [{ target: 'old.test', port: 2 }] });
    clock.advance(10 * MINUTE_MS);
    expect(await discovery.targetsOf('example.test')).toEqual([
      target('old.test', 2, 'example.test'),
    ]);
    dns.names.set('_matrix-fed._tcp.example.test', {
      srv: [
        { target: 'second.test', port: 2, priority: 2 },
        { target: 'first.test', port: 1, priority: 1 },
        { target: '.', port: 3, priority: 0 },
      ],
    });
    clock.advance(10 * MINUTE_MS);
    expect(await discovery.targetsOf('example.test')).toEqual([
      target('first.test', 1, 'example.test'),
      target('second.test', 2, 'example.test'),
    ]);
  });

  it('goes on to port 8448 when name servers fail', async () => {
    dns.names.set('_matrix-fed._tcp.example.test', { broken: true });
    dns.names.set('_matrix._tcp.example.test', { silent: true });
    expect(await discovery.targetsOf('example.test')).toEqual(DEFAULT);
  });

  describe('.well-known', () => {
    const DELEGATED = [target('other.test', 7, 'other.test:7', 'other.test')];

    it('follows redirects, but not in circles and not away from https', async () => {
      const hops: Record<string, string> = { '/.well-known/matrix/server': '/a', '/a': '/b' };
      answer = (req, res) => {
        const next = hops[req.url ?? ''];
        if (next !== undefined) res.writeHead(302, { location: next }).end();
        else res.end('{"m.server":"other.test:7"}');
      };
      expect(await discovery.targetsOf('example.test')).toEqual(DELEGATED);
      hops['/b'] = '/a';
      expect(await discovery.targetsOf('www.example.test')).toEqual([
        target('www.example.test', 8448, 'www.example.test'),
      ]);
    });

    it.each([
      ['bad JSON', '{'],
      ['a list', '[]'],
      ['null', 'null'],
      ['no property', '{}'],
      ['a number', '{"m.server":5}'],
      ['an invalid name', '{"m.server":"what ever"}'],
      ['an invalid port', '{"m.server":"a.test:70000"}'],
      ['too much', JSON.stringify({ 'm.server': 'other.test:7', pad: 'x'.repeat(60_000) })],
    ])('ignores %s', async (_what, body) => {
      answer = (_req, res) => void res.end(body);
      expect(await discovery.targetsOf('example.test')).toEqual(DEFAULT);
    });

    it('needs a valid certificate', async () => {
      delegateTo('other.test:7');
      dns.names.set('stranger.test', { addresses: ['127.0.0.1'] });
      expect(await discovery.targetsOf('stranger.test')).toEqual([
        target('stranger.test', 8448, 'stranger.test'),
      ]);
    });

    it('is fetched once for all who wait, case aside', async () => {
      delegateTo('other.test:7');
      await Promise.all(
        ['example.test', 'EXAMPLE.test', 'example.test'].map((name) => discovery.targetsOf(name)),
      );
      expect(fetches).toHaveLength(1);
    });

    const lifetimes: [string, Record<string, string>, number][] = [
      ['a day by default', {}, 24 * 60],
      ['max-age', { 'cache-control': 'public, max-age=7200' }, 120],
      ['at most two days', { 'cache-control': 'max-age=999999999' }, 48 * 60],
      ['at least five minutes', { 'cache-control': 'max-age=1' }, 5],
      ['five minutes without caching', { 'cache-control': 'no-store' }, 5],
      [
        'Expires',
        { expires: new Date(new FakeClock().nowMs() + 90 * MINUTE_MS).toUTCString() },
        90,
      ],
      ['an unreadable Expires', { expires: '0' }, 5],
      [
        'max-age before Expires',
        { 'cache-control': 'max-age=600', expires: new Date(2030, 1).toUTCString() },
        10,
      ],
    ];
    it.each(lifetimes)('is kept: %s', async (_what, headers, minutes) => {
      delegateTo('other.test:7', headers);
      await discovery.targetsOf('example.test');
      clock.advance(minutes * MINUTE_MS - 1);
      await discovery.targetsOf('example.test');
      expect(fetches).toHaveLength(1);
      clock.advance(1);
      await discovery.targetsOf('example.test');
      expect(fetches).toHaveLength(2);
    });

    it('is asked for less and less often while it fails, up to an hour', async () => {
      for (const minutes of [5, 10, 20, 40, 60, 60]) {
        fetches.length = 0;
        await discovery.targetsOf('example.test');
        clock.advance(minutes * MINUTE_MS - 1);
        await discovery.targetsOf('example.test');
        expect(fetches).toHaveLength(1);
        clock.advance(1);
      }
    });

    it('survives trouble of its server for two days, but not its own removal', async () => {
      delegateTo('other.test:7', { 'cache-control': 'max-age=3600' });
      expect(await discovery.targetsOf('example.test')).toEqual(DELEGATED);
      fail(503);
      clock.advance(60 * MINUTE_MS);
      expect(await discovery.targetsOf('example.test')).toEqual(DELEGATED);
      answer = (_req, res) => void res.destroy();
      clock.advance(60 * MINUTE_MS);
      expect(await discovery.targetsOf('example.test')).toEqual(DELEGATED);
      clock.advance(46 * 60 * MINUTE_MS);
      expect(await discovery.targetsOf('example.test')).toEqual(DEFAULT);

      delegateTo('other.test:7', { 'cache-control': 'max-age=3600' });
      clock.advance(60 * MINUTE_MS);
      expect(await discovery.targetsOf('example.test')).toEqual(DELEGATED);
      fail(404);
      clock.advance(60 * MINUTE_MS);
      expect(await discovery.targetsOf('example.test')).toEqual(DEFAULT);
    });
  });
});
