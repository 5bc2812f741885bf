/** What was written through one process is read through any other, at once. */
import { compileFilter } from '../../spec/filter.ts';
import type { RoomId, UserId } from '../../spec/identifiers.ts';
import type { Core } from '../core.ts';
import { createSync } from '../sync/create-sync.ts';
import { parseSyncToken } from '../sync/tokens.ts';
import { type LinkedCores, linkedCores } from '../testing/linked-cores.ts';
import { localUser } from '../testing/test-core.ts';
import { testRooms } from '../testing/test-rooms.ts';
import { Log, LogWriteFailed } from './log.ts';

const alice = localUser('alice');
const idle = {
  isOpen: true,
  append: () => Promise.resolve(),
  settled: () => Promise.resolve(),
  close: () => Promise.resolve(),
};

describe('what was written through another process', () => {
  let linked: LinkedCores;
  let roomId: RoomId;
  beforeAll(async () => {
    linked = await linkedCores(3);
    roomId = await testRooms(linked.cores[0] as Core).roomCreator.create(alice, {
      preset: 'public_chat',
    });
    await linked.settled();
  });
  afterAll(() => linked.close());

  const syncAt = (core: Core, userId: UserId, since?: string) =>
    createSync(core).sync({
      userId,
      deviceId: undefined,
      filter: compileFilter({}),
      since: since === undefined ? undefined : parseSyncToken(since),
      fullState: false,
      useStateAfter: false,
      timeoutMs: 0,
    });

  it('is read at once, two hundred times', async () => {
    const { cores } = linked;
    let since: string | undefined;
    for (let nth = 0; nth < 200; nth += 1) {
      const writer = cores[nth % 3] as Core;
      const reader = cores[(nth + 1 + (nth % 2)) % 3] as Core;
      await testRooms(writer).say(roomId, alice, `message ${nth}.`);
      await reader.log.caughtUp();
      const answer = await syncAt(reader, alice, since);
      expect(answer).toContain(`message ${nth}.`);
      since = JSON.parse(answer).next_batch;
    }
  });

  it('is not waited for in the process that writes the log', () => {
    expect((linked.cores[0] as Core).log.caughtUp()).toBeUndefined();
  });
});

describe('a log whose writer is lost', () => {
  it('is asked for again until there is another', async () => {
    let asked = 0;
    const ask = () => (++asked < 3 ? Promise.reject(new Error('lost')) : Promise.resolve(7));
    const log = Log.following(5, () => idle, ask);
    let isFresh = false;
    const fresh = log.caughtUp()?.then(() => {
      isFresh = true;
    });
    while (asked < 3) await new Promise((resolve) => setTimeout(resolve, 5));
    log.advance(6);
    await new Promise((resolve) => setImmediate(resolve));
    expect(isFresh).toBe(false);
    log.advance(8);
    await fresh;
    expect(asked).toBe(3);
  });

  it('is read as it is once this process writes it', async () => {
    let asked = 0;
    const log = Log.following(
      5,
      () => idle,
      () => (++asked === 1 ? Promise.reject(new Error('lost')) : undefined),
    );
    await log.caughtUp();
    expect(asked).toBe(2);
  });

  it('fails those who read in the end', async () => {
    const before = performance.now;
    const log = Log.following(
      5,
      () => idle,
      () => Promise.reject(new Error('lost')),
    );
    const failed = expect(log.caughtUp()).rejects.toThrow(LogWriteFailed);
    performance.now = () => before.call(performance) + 60_000;
    try {
      await failed;
    } finally {
      performance.now = before;
    }
  });
});
