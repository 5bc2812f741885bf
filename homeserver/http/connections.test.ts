import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { CONNECTION_LIMITS, type ConnectionLimits } from './connections.ts';
import { exempt } from './rate-limits.ts';
import { rawJson } from './raw-json.ts';
import { type Route, route } from './route.ts';
import type { HttpServerOptions } from './server.ts';
import { serve, type TestServer } from './testing/serve.ts';

const MIB = 1_048_576;

let server: TestServer;
let sockets: Socket[] = [];
const start = async (routes: Route[], options: Partial<HttpServerOptions>) => {
  server = await serve(routes, options);
};
const open = async (): Promise<Socket> => {
  const socket = connect(server.port, '127.0.0.1');
  socket.on('error', () => undefined);
  sockets.push(socket);
  await once(socket, 'connect');
  return socket;
};
afterEach(async () => {
  for (const socket of sockets) socket.destroy();
  sockets = [];
  await server.stop();
});

const ask = (path: string) => `GET ${path} HTTP/1.1\r\nHost: here\r\n\r\n`;
/** Whether a request on this connection is answered; not when it is closed instead. */
const isAnswered = async (socket: Socket): Promise<boolean> => {
  const closed = once(socket, 'close').then(() => false);
  const answered = once(socket, 'data').then(() => true);
  socket.write(ask('/quick'));
  return Promise.race([closed, answered]);
};
const quick = route({
  operationId: 'quick',
  method: 'GET',
  path: '/quick',
  rateLimit: exempt('a test'),
  handler: () => ({}),
});
const limited = (limits: Partial<ConnectionLimits>) => ({
  connections: { ...CONNECTION_LIMITS, ...limits },
});

/** Connections to a port that the system holds until the process accepts them. */
const unaccepted = (port: number): number => {
  const listening = readFileSync('/proc/net/tcp', 'utf8')
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .find(([, local, , state]) => {
      return state === '0A' && Number.parseInt(local?.split(':')[1] ?? '', 16) === port;
    });
  return Number.parseInt(listening?.[4]?.split(':')[1] ?? '', 16);
};

describe('connections', () => {
  it('wait by the thousand for a process that is busy', async () => {
    await start([quick], {});
    const connected: Promise<unknown>[] = [];
    for (let count = 0; count < 1000; count += 1) {
      const socket = connect(server.port, '127.0.0.1');
      sockets.push(socket);
      connected.push(once(socket, 'connect'));
    }
    // Nothing is accepted before the event loop has its turn.
    await new Promise<void>((resolve) => process.nextTick(resolve));
    // Only Linux tells; elsewhere it is seen that all of them come through.
    if (process.platform === 'linux') expect(unaccepted(server.port)).toBe(1000);
    await Promise.all(connected);
  });

  it('are as many to a listener as are allowed, and one that ends makes room', async () => {
    await start([quick], limited({ maxConnections: 2 }));
    const first = await open();
    expect(await isAnswered(first)).toBe(true);
    expect(await isAnswered(await open())).toBe(true);
    expect(await isAnswered(await open())).toBe(false);
    first.destroy();
    await once(first, 'close');
    while (!(await isAnswered(await open())));
  });

  it('are counted for each address', async () => {
    await start([quick], limited({ maxConnectionsPerAddress: 2 }));
    expect(await isAnswered(await open())).toBe(true);
    expect(await isAnswered(await open())).toBe(true);
    expect(await isAnswered(await open())).toBe(false);
  });

  it('are not counted where many share an address', async () => {
    const uncountedAddresses = ['127.0.0.0/8'];
    await start([quick], limited({ maxConnectionsPerAddress: 1, uncountedAddresses }));
    expect(await isAnswered(await open())).toBe(true);
    expect(await isAnswered(await open())).toBe(true);
  });

  it('end when a request does not arrive in time', async () => {
    await start([quick], limited({ requestTimeoutMs: 300 }));
    const silent = await open();
    silent.write('GET /quick HTTP/1.1\r\nHost: here\r\nX-Slow: ');
    const [answer] = (await once(silent, 'data')) as [Buffer];
    expect(answer.toString()).toMatch(/^HTTP\/1.1 408 .*"errcode":"M_UNKNOWN"/s);
    await once(silent, 'close');
  });
});

describe('answers that nobody reads', () => {
  const large = 8 * MIB;
  let made = 0;
  const answering = route({
    operationId: 'answering',
    method: 'GET',
    path: '/large',
    rateLimit: exempt('a test'),
    handler: () => {
      made++;
      return { x: rawJson(`"${'x'.repeat(large)}"`) };
    },
  });
  const limits = {
    maxBytes: 100 * MIB,
    maxBytesPerAddress: 20 * MIB,
    stalledAfterMs: 60_000,
  };
  beforeEach(() => {
    made = 0;
  });

  it('take a bounded share of memory, beyond which none are made', async () => {
    await start([answering, quick], { unreadAnswers: limits });
    const refused: string[] = [];
    for (let i = 0; i < 60; i++) {
      const socket = await open();
      // One that has its first bytes is read no further.
      socket.write(ask('/large'));
      const [start] = (await once(socket, 'data')) as [Buffer];
      socket.pause();
      if (start.includes(' 429 ')) refused.push(start.toString());
    }
    expect(refused).toHaveLength(57);
    expect(refused[0]).toMatch(/Retry-After: 1\r\n.*M_LIMIT_EXCEEDED/s);
    expect(made).toBe(3);
    for (const socket of sockets) socket.destroy();
    let status = 429;
    while (status === 429) status = (await server.request('GET', '/large')).status;
    expect(status).toBe(200);
  });

  it('may be larger than the share when alone, and arrive whole', async () => {
    await start([answering], { unreadAnswers: { ...limits, maxBytesPerAddress: MIB } });
    const { text, status } = await server.request('GET', '/large');
    expect([status, text.length]).toEqual([200, large + 8]);
    expect((await server.request('GET', '/large')).status).toBe(200);
  });

  it('are cut off when nothing of them is taken for long', async () => {
    await start([answering], { unreadAnswers: { ...limits, stalledAfterMs: 200 } });
    const socket = await open();
    socket.write(ask('/large'));
    await once(socket, 'readable');
    // Not read: closed by the other side in time.
    let got = 0;
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    socket.on('data', (chunk: Buffer) => {
      got += chunk.length;
    });
    await once(socket, 'close');
    expect(got).toBeLessThan(large);
  });
});
