import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { eventually } from '../testing/server-process.ts';
import { encodeFrame, FrameSocket, PeerTooSlow } from './frames.ts';

const limits = { maxFrameBytes: 1_000_000, maxQueuedBytes: 4_000_000 };

interface End {
  readonly socket: Socket;
  readonly frames: FrameSocket;
  readonly got: [number, string][];
  readonly ended: (Error | undefined)[];
}

const sockets: Socket[] = [];
afterEach(() => {
  for (const socket of sockets.splice(0)) socket.destroy();
});

const pair = async (): Promise<[Socket, Socket]> => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const near = connect((server.address() as { port: number }).port, '127.0.0.1');
  const [far] = (await once(server, 'connection')) as [Socket];
  server.close();
  sockets.push(near, far);
  return [near, far];
};

const end = (socket: Socket, bounds = limits): End => {
  const got: [number, string][] = [];
  const ended: (Error | undefined)[] = [];
  const frames = new FrameSocket(socket, bounds, {
    onFrame: (kind, payload) => got.push([kind, payload.toString()]),
    onEnd: (reason) => ended.push(reason),
  });
  return { socket, frames, got, ended };
};

describe('FrameSocket', () => {
  it('brings frames of every size over in order', async () => {
    const [a, b] = await pair();
    const [from, to] = [end(a), end(b)];
    const texts = [
      '',
      'x',
      'ä€𝄞',
      'y'.repeat(16_383),
      'z'.repeat(70_000),
      '"',
      'w'.repeat(900_000),
    ];
    for (const [kind, text] of texts.entries()) from.frames.send(encodeFrame(kind + 1, text));
    await eventually('all frames', () => to.got.length === texts.length);
    expect(to.got).toEqual(texts.map((text, at) => [at + 1, text]));
  });

  it('writes what one turn of the event loop sends at once', async () => {
    const [a, b] = await pair();
    const { frames } = end(a);
    const chunks: Buffer[] = [];
    b.on('data', (chunk: Buffer) => chunks.push(chunk));
    for (let n = 0; n < 50; n++) frames.send(encodeFrame(9, `{"n":${n}}`));
    await eventually('something', () => chunks.length > 0);
    await sleep(20);
    expect(chunks).toHaveLength(1);
  });

  it('reads frames however they are cut', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.string({ maxLength: 300 }), { minLength: 1, maxLength: 20 }),
        fc.array(fc.integer({ min: 1, max: 64 }), { minLength: 1, maxLength: 30 }),
        async (texts, cuts) => {
          const [a, b] = await pair();
          const { got } = end(b);
          const bytes = Buffer.concat(texts.map((text) => encodeFrame(1, text)));
          for (let at = 0, n = 0; at < bytes.length; n++) {
            const piece = bytes.subarray(at, at + (cuts[n % cuts.length] as number));
            b.emit('data', Buffer.from(piece));
            at += piece.length;
          }
          expect(got.map(([, text]) => text)).toEqual(texts);
          a.destroy();
          b.destroy();
        },
      ),
      { numRuns: 60, seed: 7 },
    );
  });

  it.each([0, 1_000_001, 0xffffffff])(
    'ends at a frame that says it has %i bytes',
    async (bytes) => {
      const [a, b] = await pair();
      const { got, ended } = end(b);
      const header = Buffer.alloc(5);
      header.writeUInt32BE(bytes);
      a.write(Buffer.concat([encodeFrame(1, 'good'), header]));
      await eventually('the end', () => ended.length > 0);
      expect(got).toEqual([[1, 'good']]);
      expect(ended).toEqual([new Error(`A frame of ${bytes} bytes`)]);
    },
  );

  it('gives up a peer that does not read, and keeps nothing of what was meant for it', async () => {
    const [a, b] = await pair();
    b.pause();
    const { frames, ended, socket } = end(a);
    const frame = encodeFrame(1, 'x'.repeat(100_000));
    let sent = 0;
    while (ended.length === 0 && sent < 1_000) {
      frames.send(frame);
      sent += 1;
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(ended[0]).toBeInstanceOf(PeerTooSlow);
    // What the system's buffers took, and what may wait.
    expect(sent).toBeLessThan(200);
    expect(socket.writableLength).toBe(0);
  });

  it('ends with the reason where a frame makes no sense to its reader', async () => {
    const [a, b] = await pair();
    const ended: (Error | undefined)[] = [];
    new FrameSocket(b, limits, {
      onFrame: (_, payload) => JSON.parse(payload.toString()),
      onEnd: (reason) => ended.push(reason),
    });
    end(a).frames.send(encodeFrame(1, 'nonsense'));
    await eventually('the end', () => ended.length > 0);
    expect(ended[0]).toBeInstanceOf(SyntaxError);
  });

  it('sends what it has before it ends', async () => {
    const [a, b] = await pair();
    const to = end(b);
    const { frames } = end(a);
    frames.send(encodeFrame(1, 'last'));
    frames.end();
    await eventually('the end', () => to.ended.length > 0);
    expect(to.got).toEqual([[1, 'last']]);
    expect(to.ended).toEqual([undefined]);
  });
});
