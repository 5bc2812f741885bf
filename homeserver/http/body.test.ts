import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { Type } from 'typebox';
import { MatrixError } from '../../spec/errors.ts';
import { BodyBudget } from './body-budget.ts';
import { exempt } from './rate-limits.ts';
import { route } from './route.ts';
import type { HttpServerOptions } from './server.ts';
import { serve, type TestServer } from './testing/serve.ts';

const MIB = 1_048_576;

const taking = (limits: { maxBodyBytes?: number; maxBodyValues?: number } = {}) =>
  route({
    operationId: 'taking',
    method: 'PUT',
    path: '/taking',
    rateLimit: exempt('a test'),
    jsonTrust: 'server',
    body: Type.Object({ x: Type.Unknown() }),
    handler: () => ({}),
    ...limits,
  });

let server: TestServer;
const start = async (
  limits: Parameters<typeof taking>[0],
  options: Partial<HttpServerOptions> = {},
) => {
  server = await serve([taking(limits)], options);
};
afterEach(() => server?.stop());

const put = async (body: string | Buffer) => {
  const answer = await server.request('PUT', '/taking', { body });
  return [answer.status, answer.body.errcode];
};

describe('the JSON values of a body', () => {
  it('are as many as the route declares', async () => {
    await start({ maxBodyValues: 5 });
    expect(await put('{"x":[1,{},[]]}')).toEqual([200, undefined]);
    expect(await put('{"x":[1,{},[],2]}')).toEqual([413, 'M_TOO_LARGE']);
    expect(await put('{"x":[1,{},[]]}')).toEqual([200, undefined]);
  });

  it('are 100,000 where it declares none', async () => {
    await start({});
    expect(await put(`{"x":[${'1,'.repeat(99_997)}1]}`)).toEqual([200, undefined]);
    expect(await put(`{"x":[${'1,'.repeat(99_998)}1]}`)).toEqual([413, 'M_TOO_LARGE']);
  });

  it('cost nearly nothing beyond that, however many are sent', async () => {
    const bodyBudget = { maxBytes: 100 * MIB, maxBytesPerAddress: 100 * MIB };
    await start({ maxBodyBytes: 12 * MIB }, { bodyBudget });
    const bomb = Buffer.from(`{"x":[${'{},'.repeat(4_000_000)}1]}`);
    const { user } = process.cpuUsage();
    const answers = await Promise.all(Array.from({ length: 8 }, () => put(bomb)));
    expect(answers).toEqual(Array(8).fill([413, 'M_TOO_LARGE']));
    // Parsing one of them alone takes longer; sending all 96 MiB is in this process too.
    expect(process.cpuUsage().user - user).toBeLessThan(2_000_000);
  });
});

describe('integers of clients', () => {
  const client = route({
    operationId: 'client',
    method: 'PUT',
    path: '/taking',
    rateLimit: exempt('a test'),
    body: Type.Object({ x: Type.Unknown() }),
    handler: ({ body }) => body,
  });

  it.each([
    ['9007199254740993', 400],
    ['[{"y":-12345678901234567890}]', 400],
    ['9007199254740991', 200],
    ['1.0', 200],
    ['"9007199254740993"', 200],
  ])('are kept as they are or refused: %s', async (x, status) => {
    server = await serve([client]);
    const answer = await server.request('PUT', '/taking', { body: `{"x":${x}}` });
    expect(answer.status).toBe(status);
    if (status === 400) expect(answer.body.errcode).toBe('M_BAD_JSON');
  });
});

describe('the memory of bodies', () => {
  const budget = { maxBytes: 9 * MIB, maxBytesPerAddress: 6 * MIB };

  const LARGE = `{"x":"${'x'.repeat(MIB)}"}`;

  /** Sends 1.5 MiB of a body but its end, and waits until that leaves no room for another. */
  const holding = async (): Promise<Socket> => {
    const bytes = 1.5 * MIB;
    for (;;) {
      const socket = connect(server.port, '127.0.0.1');
      let isRefused = false;
      socket.once('data', () => {
        isRefused = true;
      });
      socket.write(
        `PUT /taking HTTP/1.1\r\nHost: here\r\nConnection: close\r\nContent-Length: ${bytes + 1}\r\n\r\n`,
      );
      socket.write(`{"x":"${'x'.repeat(bytes - 8)}"}`);
      while (!isRefused) if ((await put(LARGE))[0] === 429) return socket;
      // The two are read in turns, and it was this one for which nothing was left.
      socket.destroy();
    }
  };
  const answerOf = async (socket: Socket): Promise<string> => {
    const chunks: Buffer[] = [];
    socket.on('data', (chunk: Buffer) => chunks.push(chunk));
    await once(socket, 'close');
    return Buffer.concat(chunks).toString();
  };

  it('has a bound for each address, which small bodies need nothing of', async () => {
    await start({ maxBodyBytes: 12 * MIB }, { bodyBudget: budget });
    const socket = await holding();
    const refused = await server.request('PUT', '/taking', { body: LARGE });
    expect(refused).toMatchObject({ status: 429, body: { errcode: 'M_LIMIT_EXCEEDED' } });
    expect(refused.headers.get('retry-after')).toBe('1');
    expect(await put(`{"x":"${'x'.repeat(60_000)}"}`)).toEqual([200, undefined]);
    const answer = answerOf(socket);
    socket.write(' ');
    expect(await answer).toMatch(/^HTTP\/1.1 200 /);
    expect(await put(LARGE)).toEqual([200, undefined]);
  });

  it('is free again when the sender leaves', async () => {
    await start({ maxBodyBytes: 12 * MIB }, { bodyBudget: budget });
    const socket = await holding();
    socket.destroy();
    while ((await put(LARGE))[0] !== 200);
  });

  it('counts values as what they become, and addresses of one network as one', () => {
    const bodies = new BodyBudget(budget);
    const a = bodies.open('2001:db8::1');
    const b = bodies.open('2001:db8::2');
    const c = bodies.open('2001:db8:0:1::1');
    a.grow(1, 16_384 + 3 * 1_024);
    expect(bodies.bytes).toBe(MIB + 3);
    b.grow(MIB, 0);
    expect(() => b.grow(2 * MIB, 0)).toThrow(MatrixError);
    c.grow(MIB, 0);
    expect(() => c.grow(1.8 * MIB, 0)).toThrow(MatrixError);
    a.release();
    a.release();
    c.grow(1.8 * MIB, 0);
    for (const charge of [b, c]) charge.release();
    expect(bodies.bytes).toBe(0);
  });

  it('has room for one of the largest transactions at a time, whoever sends them', () => {
    const bodies = new BodyBudget();
    const [first, second] = [bodies.open('192.0.2.1'), bodies.open('198.51.100.1')];
    first.grow(10 * MIB, 0);
    expect(() => second.grow(10 * MIB, 0)).toThrow(MatrixError);
    expect(bodies.bytes).toBeLessThan(32 * MIB);
  });
});
