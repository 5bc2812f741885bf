import type { RequestListener } from 'node:http';
import { createServer } from 'node:https';
import {
  type AddressInfo,
  createServer as createTcpServer,
  type Server,
  type Socket,
} from 'node:net';
import type { SecureContext, TLSSocket } from 'node:tls';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import { createAddressGuard } from './address-guard.ts';
import type { OutboundFailure } from './failures.ts';
import { fetchUrl } from './fetch-url.ts';
import { OutboundHttp, type OutboundRequest } from './outbound-http.ts';
import { DnsResolver } from './resolver.ts';
import type { HttpTarget } from './target.ts';
import { createTestAuthority } from './testing/test-authority.ts';
import { TestDns } from './testing/test-dns.ts';

const authority = createTestAuthority();
const certificate = authority.issue(['peer.test', '127.0.0.1']);
const GET: OutboundRequest = { method: 'GET', path: '/', maxBytes: 10_000, timeoutMs: 3000 };

describe('outbound HTTP', () => {
  let dns: TestDns;
  let outbound: OutboundHttp;
  let outcomes: string[];
  let handler: RequestListener;
  let connections: number;
  let port: number;
  let indications: (string | false | null)[];
  const servers: Server[] = [];
  const sockets = new Set<Socket>();

  const make = (options: { trust?: SecureContext; private?: boolean; connectMs?: number } = {}) =>
    new OutboundHttp({
      resolver: new DnsResolver({ servers: [dns.server], timeoutMs: 200, hostsFile: '/none' }),
      guard: createAddressGuard({ allowPrivateAddresses: options.private ?? true }),
      trust: options.trust ?? authority.trust,
      userAgent: 'Test/1',
      connectTimeoutMs: options.connectMs ?? 1000,
      observe: (outcome) => outcomes.push(outcome),
    });
  const target = (changes: Partial<HttpTarget> = {}): HttpTarget => ({
    protocol: 'https:',
    host: 'peer.test',
    port,
    hostHeader: 'peer.test',
    certificateName: 'peer.test',
    ...changes,
  });
  const failing = (work: Promise<unknown>): Promise<OutboundFailure> =>
    work.then(
      () => {
        throw new Error('expected a failure');
      },
      (error: OutboundFailure) => error,
    );
  const listen = async (server: Server): Promise<number> => {
    servers.push(server);
    server.on('connection', (socket) => {
      sockets.add(socket);
      // Peers in these tests break off; what their own end makes of it is of no interest.
      socket.on('error', () => undefined);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return (server.address() as AddressInfo).port;
  };

  beforeEach(async () => {
    dns = await TestDns.start({ 'peer.test': { addresses: ['127.0.0.1'] } });
    outcomes = [];
    connections = 0;
    indications = [];
    outbound = make();
    const server = createServer({ ...certificate, keepAliveTimeout: 5000 }, (req, res) =>
      handler(req, res),
    );
    server.on('secureConnection', (socket: TLSSocket) => {
      connections++;
      indications.push(socket.servername ?? null);
    });
    port = await listen(server);
  });
  afterEach(async () => {
    outbound.close();
    for (const socket of sockets) socket.destroy();
    sockets.clear();
    for (const server of servers.splice(0)) await new Promise((resolve) => server.close(resolve));
    await dns.stop();
  });

  it('sends method, path, body and headers, and keeps the connection', async () => {
    handler = (req, res) => {
      const chunks: Buffer[] = [];
      req.on('data', (chunk: Buffer) => chunks.push(chunk));
      req.on('end', () => {
        res.statusCode = 418;
        res.end(
          JSON.stringify({
            method: req.method,
            url: req.url,
            headers: req.headers,
            body: `${Buffer.concat(chunks)}`,
          }),
        );
      });
    };
    const request = {
      ...GET,
      method: 'PUT',
      path: '/a%2Fb?c=d',
      body: '{"é":1}',
      headers: { 'x-one': '1' },
    };
    const response = await outbound.send(target({ hostHeader: 'other.test:99' }), request);
    expect(response.status).toBe(418);
    expect(JSON.parse(response.body.toString())).toMatchObject({
      method: 'PUT',
      url: '/a%2Fb?c=d',
      body: '{"é":1}',
      headers: {
        host: 'other.test:99',
        'x-one': '1',
        'content-length': '8',
        'user-agent': 'Test/1',
      },
    });
    await outbound.send(target(), request);
    expect(connections).toBe(1);
    expect(outcomes).toEqual(['ok', 'ok']);
  });

  it('checks the certificate against the name given, not the host connected to', async () => {
    handler = (_req, res) => void res.end('{}');
    dns.names.set('elsewhere.test', { addresses: ['127.0.0.1'] });
    const ok = await outbound.send(target({ host: 'elsewhere.test' }), GET);
    expect(ok.status).toBe(200);
    expect(indications).toEqual(['peer.test']);
    const wrong = target({ host: 'elsewhere.test', certificateName: 'elsewhere.test' });
    expect(await failing(outbound.send(wrong, GET))).toMatchObject({
      reason: 'tls',
      nothingSent: true,
    });
  });

  it('sends no SNI for an IP literal, and checks the certificate for the address', async () => {
    handler = (_req, res) => void res.end('{}');
    const literal = target({
      host: '127.0.0.1',
      certificateName: '127.0.0.1',
      hostHeader: `127.0.0.1:${port}`,
    });
    expect((await outbound.send(literal, GET)).status).toBe(200);
    expect(indications).toEqual([false]);
  });

  it('refuses certificates that expired or come from an authority it does not trust', async () => {
    handler = (_req, res) => void res.end('{}');
    const stranger = make({ trust: createTestAuthority('Other').trust });
    expect(await failing(stranger.send(target(), GET))).toMatchObject({ reason: 'tls' });
    stranger.close();
    const expired = await listen(
      createServer(authority.issue(['peer.test'], { expired: true }), (req, res) =>
        handler(req, res),
      ),
    );
    expect(await failing(outbound.send(target({ port: expired }), GET))).toMatchObject({
      reason: 'tls',
    });
  });

  it('refuses private addresses, as literal, behind a name and behind a redirect', async () => {
    handler = (_req, res) => void res.end('{}');
    const strict = make({ private: false });
    const literal = target({ host: '127.0.0.1', certificateName: '127.0.0.1' });
    for (const refused of [literal, target(), target({ host: '::1' })]) {
      expect(await failing(strict.send(refused, GET))).toMatchObject({ reason: 'address_refused' });
    }
    dns.names.set('rebind.test', { addresses: ['127.0.0.1', '::ffff:10.0.0.1', '::1'] });
    expect(await failing(strict.send(target({ host: 'rebind.test' }), GET))).toMatchObject({
      reason: 'address_refused',
    });
    for (const url of ['https://0x7f.1/', 'https://2130706433/', 'http://[::ffff:127.0.0.1]/']) {
      const request = { maxBytes: 10, timeoutMs: 1000, maxRedirects: 0 };
      expect(await failing(fetchUrl(strict, url, request))).toMatchObject({
        reason: 'address_refused',
      });
    }
    expect(connections).toBe(0);
    strict.close();
  });

  it('types what goes wrong before anything is sent', async () => {
    const closed = createTcpServer();
    const closedPort = await listen(closed);
    await new Promise((resolve) => servers.pop()?.close(resolve));
    expect(await failing(outbound.send(target({ port: closedPort }), GET))).toMatchObject({
      reason: 'connect',
      nothingSent: true,
    });
    expect(await failing(outbound.send(target({ host: 'missing.test' }), GET))).toMatchObject({
      reason: 'dns',
      nothingSent: true,
    });
    const mute = await listen(createTcpServer(() => undefined));
    const hasty = make({ connectMs: 100 });
    expect(await failing(hasty.send(target({ port: mute }), GET))).toMatchObject({
      reason: 'connect',
    });
    hasty.close();
    expect(outcomes).toEqual(['connect', 'dns', 'connect']);
  });

  it('gives up on silent, dripping and endless answers', async () => {
    handler = () => undefined;
    expect(await failing(outbound.send(target(), { ...GET, timeoutMs: 150 }))).toMatchObject({
      reason: 'timeout',
    });
    expect(await failing(outbound.send(target(), { ...GET, headersTimeoutMs: 150 }))).toMatchObject(
      { reason: 'timeout' },
    );
    handler = (_req, res) => {
      res.write('x');
      const drip = setInterval(() => res.write('x'), 20);
      res.on('close', () => clearInterval(drip));
    };
    const started = Date.now();
    expect(
      await failing(outbound.send(target(), { ...GET, timeoutMs: 300, headersTimeoutMs: 200 })),
    ).toMatchObject({ reason: 'timeout' });
    expect(Date.now() - started).toBeLessThan(1500);
    handler = (_req, res) => {
      const more = () => {
        while (!res.destroyed && res.write(Buffer.alloc(1000)));
      };
      res.on('drain', more);
      more();
    };
    expect(await failing(outbound.send(target(), GET))).toMatchObject({ reason: 'too_large' });
  });

  it('bounds announced, actual and unpacked size', async () => {
    handler = (_req, res) => void res.end(Buffer.alloc(10_001));
    expect(await failing(outbound.send(target(), GET))).toMatchObject({ reason: 'too_large' });
    handler = (_req, res) => void res.end(Buffer.alloc(10_000));
    expect((await outbound.send(target(), GET)).body).toHaveLength(10_000);
    for (const [coding, bomb] of [
      ['gzip', gzipSync(Buffer.alloc(5_000_000))],
      ['br', brotliCompressSync(Buffer.alloc(5_000_000))],
    ] as const) {
      handler = (_req, res) => {
        res.setHeader('content-encoding', coding);
        res.end(bomb);
      };
      expect(await failing(outbound.send(target(), GET))).toMatchObject({ reason: 'too_large' });
    }
  });

  it('undoes compression and refuses what it cannot read', async () => {
    handler = (_req, res) => {
      res.setHeader('content-encoding', 'gzip');
      res.end(gzipSync('{"a":1}'));
    };
    expect((await outbound.send(target(), GET)).body.toString()).toBe('{"a":1}');
    handler = (_req, res) => {
      res.setHeader('content-encoding', 'gzip');
      res.end('not gzip at all');
    };
    expect(await failing(outbound.send(target(), GET))).toMatchObject({ reason: 'bad_response' });
    handler = (_req, res) => {
      res.setHeader('content-encoding', 'secret');
      res.end('x');
    };
    expect(await failing(outbound.send(target(), GET))).toMatchObject({ reason: 'bad_response' });
  });

  it('notices an answer that breaks off', async () => {
    handler = (_req, res) => {
      res.setHeader('content-length', '100');
      res.write('half');
      setTimeout(() => res.destroy(), 20);
    };
    expect(await failing(outbound.send(target(), GET))).toMatchObject({ reason: 'reset' });
    const gibberish = await listen(createTcpServer((socket) => void socket.end('hello?\r\n\r\n')));
    const plain = target({ protocol: 'http:', port: gibberish });
    expect(await failing(outbound.send(plain, GET))).toMatchObject({ reason: 'bad_response' });
  });

  it('tries once more when a kept connection was closed meanwhile', async () => {
    let requests = 0;
    handler = (req, res) => {
      requests++;
      if (req.url === '/die' && requests === 2) req.socket.destroy();
      else res.end('{}');
    };
    await outbound.send(target(), GET);
    // The second request reuses the connection, which dies under it; the repetition succeeds.
    expect((await outbound.send(target(), { ...GET, path: '/die' })).status).toBe(200);
    expect(connections).toBe(2);
    requests = 1;
    await expect(
      outbound.send(target(), { ...GET, method: 'POST', path: '/die', body: '{}' }),
    ).rejects.toMatchObject({ reason: 'reset' });
  });

  it('stops when the caller or the module stops', async () => {
    handler = () => undefined;
    const abort = new AbortController();
    const aborted = failing(outbound.send(target(), { ...GET, signal: abort.signal }));
    setTimeout(() => abort.abort(), 50);
    expect(await aborted).toMatchObject({ reason: 'aborted' });
    const closed = failing(outbound.send(target(), GET));
    setTimeout(() => outbound.close(), 50);
    expect(await closed).toMatchObject({ reason: 'aborted' });
  });

  it('streams a body within its bounds', async () => {
    handler = (_req, res) => void res.end(Buffer.alloc(5000, 'a'));
    const { status, body } = await outbound.open(target(), GET);
    let bytes = 0;
    for await (const chunk of body) bytes += (chunk as Buffer).length;
    expect([status, bytes]).toEqual([200, 5000]);
    const tight = await outbound.open(target(), { ...GET, maxBytes: 4999 });
    const drained = (async () => {
      for await (const _chunk of tight.body);
    })();
    await expect(drained).rejects.toMatchObject({ reason: 'too_large' });
    handler = (_req, res) => void res.write('a');
    const slow = await outbound.open(target(), { ...GET, timeoutMs: 200 });
    const late = (async () => {
      for await (const _chunk of slow.body);
    })();
    await expect(late).rejects.toMatchObject({ reason: 'timeout' });
    expect(outcomes).toEqual(['ok', 'too_large', 'timeout']);
  });

  describe('fetchUrl', () => {
    const request = { maxBytes: 1000, timeoutMs: 2000, maxRedirects: 3 };
    const redirecting = (locations: Record<string, string>) => {
      handler = (req, res) => {
        const location = locations[req.url ?? ''];
        if (location === undefined) res.end(req.url);
        else res.writeHead(302, { location }).end();
      };
    };

    it('follows redirects as far as allowed', async () => {
      redirecting({ '/1': '/2', '/2': `https://peer.test:${port}/3?x=1`, '/a': '/b', '/b': '/a' });
      const url = (path: string) => `https://peer.test:${port}${path}`;
      const found = await fetchUrl(outbound, url('/1'), request);
      expect([found.url, found.body.toString()]).toEqual([url('/3?x=1'), '/3?x=1']);
      for (const [path, maxRedirects] of [
        ['/1', 1],
        ['/a', 10],
      ] as const) {
        expect(
          await failing(fetchUrl(outbound, url(path), { ...request, maxRedirects })),
        ).toMatchObject({ reason: 'redirect' });
      }
    });

    it('leaves https for nothing else, and accepts only URLs it can fetch', async () => {
      redirecting({
        '/http': 'http://peer.test/',
        '/file': 'file:///etc/passwd',
        '/bad': 'https://[/',
      });
      const outcome = async (path: string) =>
        (await failing(fetchUrl(outbound, `https://peer.test:${port}${path}`, request))).reason;
      expect(await outcome('/http')).toBe('redirect');
      expect(await outcome('/file')).toBe('bad_url');
      expect(await outcome('/bad')).toBe('bad_url');
      expect(await failing(fetchUrl(outbound, 'https://u:p@peer.test/', request))).toMatchObject({
        reason: 'bad_url',
      });
    });
  });
});
