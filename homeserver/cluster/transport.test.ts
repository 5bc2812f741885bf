import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect as netConnect, type Socket } from 'node:net';
import { connect as tlsConnect } from 'node:tls';
import { seededRandom } from '../testing/seeded-random.ts';
import { eventually } from '../testing/server-process.ts';
import { frameKind } from './frame-kinds.ts';
import { encodeFrame } from './frames.ts';
import { HandshakeFailed } from './handshake.ts';
import { Wire, type Wiring } from './testing/connected.ts';

let wire: Wire;
const strangers: Socket[] = [];
afterEach(async () => {
  for (const socket of strangers.splice(0)) socket.destroy();
  await wire.close();
});

const transports: [string, Pick<Wiring, 'tcp'>][] = [
  ['a Unix socket', {}],
  ['TCP', { tcp: true }],
];

/** Says this to the listener, and tells what it hears until the listener hangs up. */
const stranger = async (said: Buffer): Promise<Buffer> => {
  const [address] = wire.far.addresses;
  const socket = netConnect(address as { path: string });
  strangers.push(socket);
  const heard: Buffer[] = [];
  socket.on('data', (data: Buffer) => heard.push(data));
  socket.on('error', () => undefined);
  const closed = once(socket, 'close');
  await once(socket, 'connect');
  socket.write(said);
  await closed;
  return Buffer.concat(heard);
};

describe.each(transports)('a connection over %s', (_, wiring) => {
  it('is made between those who know the secret', async () => {
    wire = await Wire.open({ ...wiring, far: { call: (method) => `${method}!` } });
    const near = await wire.dial();
    expect(near.peer.id).toBe('far');
    expect(wire.accepted[0]?.peer).toEqual({ id: 'near', addresses: [] });
    expect(await near.call('hello', null)).toBe('hello!');
  });

  it.each([
    ['another secret', { secret: Buffer.alloc(32, 2) }],
    ['another server name', { serverName: 'other.test' }],
  ])('is refused to one with %s', async (_what, dialer) => {
    wire = await Wire.open({ ...wiring, dialer });
    await expect(wire.dial()).rejects.toThrow();
    expect(wire.accepted).toEqual([]);
  });

  it('is refused where another process is found than was looked for', async () => {
    wire = await Wire.open(wiring);
    const found = wire.dial({ ...wire.far, id: 'somebody else' });
    await expect(found).rejects.toThrow('Found far, not somebody else');
  });
});

describe('a listener', () => {
  it('is found at the second address where nobody is at the first', async () => {
    wire = await Wire.open({});
    const addresses = [{ path: '/nowhere/to.sock' }, ...wire.far.addresses];
    expect((await wire.dial({ id: 'far', addresses })).isOpen).toBe(true);
  });

  it.each([
    ['HTTP', Buffer.from('GET / HTTP/1.1\r\nhost: x\r\n\r\n')],
    ['a call', encodeFrame(frameKind.call, '[1,"log.append",null]')],
    ['a large frame', Buffer.from([0, 1, 0, 0, 1])],
    ['random bytes', randomBytes(64).fill(0xff, 0, 1)],
  ])('hangs up at once on a stranger who says %s, without a word', async (_what, said) => {
    wire = await Wire.open({ handshakeMs: 3_600_000 });
    expect(await stranger(said)).toEqual(Buffer.alloc(0));
  });

  it('hangs up on a stranger who greets and then gives back what it was told', async () => {
    wire = await Wire.open({});
    const [address] = wire.far.addresses;
    const socket = netConnect(address as { path: string });
    strangers.push(socket);
    const closed = once(socket, 'close');
    socket.on('error', () => undefined);
    socket.write(encodeFrame(frameKind.hello, '{"protocol":1}'));
    socket.on('data', (data: Buffer) => socket.write(data.subarray(data.readUInt32BE() + 4)));
    await closed;
    expect(wire.accepted).toEqual([]);
  });

  it('hangs up on strangers who say nothing, and lets members in meanwhile', async () => {
    wire = await Wire.open({});
    const [address] = wire.far.addresses;
    let gone = 0;
    for (let n = 0; n < 400; n++) {
      const socket = netConnect(address as { path: string });
      socket.on('error', () => undefined).on('close', () => (gone += 1));
      // The beginning of a frame that never ends.
      socket.write(Buffer.from([0, 0, 15, 255, frameKind.hello, 0x7b]));
      strangers.push(socket);
    }
    expect((await wire.dial()).isOpen).toBe(true);
    await eventually('the end of the strangers', () => gone === 400);
  });

  it('lets nobody in by chance, and goes on', async () => {
    wire = await Wire.open({});
    const random = seededRandom('strangers');
    const kinds = [0, 1, 1, 2, 3, 4, 5, 16, 255];
    const strange = Array.from({ length: 200 }, () => {
      const frames = Array.from({ length: 1 + ((random.bytes(1)[0] as number) % 5) }, () => {
        const [kind, length, shift] = random.bytes(3) as unknown as [number, number, number];
        const frame = encodeFrame(kinds[kind % kinds.length] as number, '');
        frame.writeUInt32BE(1 + length);
        return Buffer.concat([frame, random.bytes(shift % 8 === 0 ? shift : length)]);
      });
      return stranger(Buffer.concat(frames));
    });
    await Promise.all(strange);
    expect(wire.accepted).toEqual([]);
    expect((await wire.dial()).isOpen).toBe(true);
  });

  it('hangs up on a member whose messages make no sense, and goes on', async () => {
    const ended: unknown[] = [];
    wire = await Wire.open({ far: { closed: (reason) => ended.push(reason) } });
    for (const [kind, text] of [
      [frameKind.call, 'nonsense'],
      [frameKind.call, 'null'],
      [frameKind.failure, '[1]'],
      [frameKind.answer, '{'],
    ] as const) {
      const member = await wire.dial();
      if (kind === frameKind.failure)
        wire.accepted
          .at(-1)
          ?.call('x', null)
          .catch(() => undefined);
      member.post(encodeFrame(kind, text));
      await eventually('the end', () => !member.isOpen);
    }
    expect(ended).toHaveLength(4);
    expect((await wire.dial()).isOpen).toBe(true);
  });

  it('speaks TLS alone over TCP, and only with those who know the key', async () => {
    wire = await Wire.open({ tcp: true });
    expect((await stranger(encodeFrame(frameKind.hello, '{}'))).length).toBeLessThan(32);
    const [address] = wire.far.addresses as [{ host: string; port: number }];
    const failed = new Promise<Error>((resolve) => {
      const socket = tlsConnect({
        ...address,
        ciphers: 'ECDHE-PSK-CHACHA20-POLY1305',
        maxVersion: 'TLSv1.2',
        pskCallback: () => ({ psk: Buffer.alloc(32), identity: 'parley' }),
        checkServerIdentity: () => undefined,
      });
      strangers.push(socket);
      socket.on('error', resolve);
    });
    expect((await failed).message).toMatch(/decrypt|mac|alert/i);
    expect(wire.accepted).toEqual([]);
  });

  it('gives up a process that accepts and says nothing', async () => {
    wire = await Wire.open({});
    const frozen = (await import('node:net')).createServer();
    await new Promise<void>((resolve) => frozen.listen(0, '127.0.0.1', resolve));
    const { port } = frozen.address() as { port: number };
    const silent = wire.dial({ id: 'frozen', addresses: [{ host: '127.0.0.1', port }] });
    await expect(silent).rejects.toBeInstanceOf(HandshakeFailed);
    frozen.close();
  });
});
