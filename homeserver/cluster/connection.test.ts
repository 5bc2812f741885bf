import { matrixError } from '../../spec/errors.ts';
import { LogWriteFailed } from '../streams/log.ts';
import { eventually } from '../testing/server-process.ts';
import { CallLost, PeerSilent } from './connection.ts';
import { encodeFrame } from './frames.ts';
import { Wire, type Wiring } from './testing/connected.ts';

let wire: Wire | undefined;
afterEach(() => wire?.close());

const connect = async (wiring: Wiring) => {
  wire = await Wire.open(wiring);
  const near = await wire.dial();
  return { near, far: wire.accepted[0] as typeof near };
};

const never = () => new Promise(() => undefined);

describe('Connection', () => {
  it('answers calls in both directions, in whatever order they are done', async () => {
    const done: ((value: string) => void)[] = [];
    const { near, far } = await connect({
      near: { call: (method, args) => ({ method, args }) },
      far: { call: () => new Promise((resolve) => done.push(resolve)) },
    });
    const [first, second] = [near.call('a', 1), near.call('b', 2)];
    expect(await far.call('back', { x: ['ä'] })).toEqual({ method: 'back', args: { x: ['ä'] } });
    await eventually('both calls', () => done.length === 2);
    done[1]?.('second');
    expect(await second).toBe('second');
    done[0]?.('first');
    expect(await first).toBe('first');
  });

  it('keeps messages and answers in order', async () => {
    const heard: string[] = [];
    const { near, far } = await connect({
      near: { post: (kind, payload) => heard.push(`${kind} ${payload}`) },
      far: {
        call: () => {
          far.post(encodeFrame(100, 'before the answer'));
          return 1;
        },
      },
    });
    await near.call('tell', undefined).then(() => heard.push('answer'));
    expect(heard).toEqual(['100 before the answer', 'answer']);
  });

  it('brings errors over as what they are', async () => {
    const { near } = await connect({
      far: {
        call: async (method) => {
          if (method === 'matrix') {
            throw matrixError('M_LIMIT_EXCEEDED', 'slowly', { retry_after_ms: 5 }, { status: 429 });
          }
          if (method === 'log') throw new LogWriteFailed('not the owner');
          throw new TypeError('a bug');
        },
      },
    });
    await expect(near.call('matrix', null)).rejects.toEqual(
      matrixError('M_LIMIT_EXCEEDED', 'slowly', { retry_after_ms: 5 }),
    );
    await expect(near.call('log', null)).rejects.toBeInstanceOf(LogWriteFailed);
    const bug = await near.call('bug', null).catch((error: Error) => error);
    expect(bug).toMatchObject({ message: 'a bug' });
    expect((bug as Error).stack).toContain('in another process: TypeError: a bug');
  });

  it('says so when an answer cannot be sent', async () => {
    const circle: { self?: unknown } = {};
    circle.self = circle;
    const { near } = await connect({
      connection: { maxFrameBytes: 10_000 },
      far: { call: (method) => (method === 'circle' ? circle : 'x'.repeat(20_000)) },
    });
    await expect(near.call('circle', null)).rejects.toThrow('circular');
    await expect(near.call('large', null)).rejects.toThrow('An answer of 200');
    await expect(near.call('x', 'x'.repeat(20_000))).rejects.toMatchObject({ mayHaveRun: false });
    expect(await near.call('x', null).catch(() => 'still there')).toBe('still there');
  });

  it('gives up calls that take too long, and no others', async () => {
    const { near } = await connect({
      far: { call: (method) => (method === 'slow' ? never() : 1) },
    });
    const slow = near.call('slow', null, { timeoutMs: 60 });
    await expect(slow).rejects.toMatchObject({ name: 'CallLost', mayHaveRun: true });
    expect(await near.call('quick', null)).toBe(1);
  });

  it('has a bound of calls that wait', async () => {
    const { near } = await connect({ connection: { maxCalls: 3 }, far: { call: never } });
    for (let n = 0; n < 3; n++) near.call('wait', n).catch(() => undefined);
    await expect(near.call('wait', 3)).rejects.toMatchObject({ mayHaveRun: false });
  });

  it('fails every waiting call with one error when it is lost', async () => {
    const { near, far } = await connect({ far: { call: never } });
    const calls = [1, 2, 3].map((n) => near.call('wait', n).catch((error) => error));
    far.destroy(new Error('crash'));
    const errors = await Promise.all(calls);
    expect(errors[0]).toBeInstanceOf(CallLost);
    expect(errors[0]).toMatchObject({ mayHaveRun: true });
    expect(new Set(errors).size).toBe(1);
    await expect(near.call('late', null)).rejects.toMatchObject({ mayHaveRun: false });
  });

  it('lets calls under way finish when it is closed', async () => {
    let finish: (value: string) => void = () => undefined;
    const closed: unknown[] = [];
    const { near, far } = await connect({
      near: { closed: (reason) => closed.push(reason) },
      far: {
        call: () =>
          new Promise<string>((resolve) => {
            finish = resolve;
          }),
      },
    });
    const call = near.call('slow', null);
    await far.call('seen', null);
    near.close();
    far.close();
    await expect(near.call('more', null)).rejects.toMatchObject({ mayHaveRun: false });
    finish('done');
    expect(await call).toBe('done');
    await eventually('the end', () => closed.length > 0);
    expect(closed).toEqual([undefined]);
  });

  it('stays up while nobody says anything', async () => {
    const { near, far } = await connect({ connection: { tickMs: 10 } });
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect([near.isOpen, far.isOpen]).toEqual([true, true]);
  });

  it('ends when nothing is heard of the other side', async () => {
    const closed: unknown[] = [];
    const { near } = await connect({
      near: { closed: (reason) => closed.push(reason) },
      connection: { tickMs: 3_600_000 },
      nearTickMs: 10,
      far: { call: never },
    });
    const call = near.call('wait', null);
    await expect(call).rejects.toMatchObject({ mayHaveRun: true, cause: expect.any(PeerSilent) });
    expect(closed).toEqual([expect.any(PeerSilent)]);
  });
});
