/** What is ephemeral reaches a crowd merged, a few at once, and nobody misses any of it. */
import { compileFilter } from '../../spec/filter.ts';
import type { EventId, RoomId, UserId } from '../../spec/identifiers.ts';
import { holdMsFor } from '../streams/notifier.ts';
import { localUser, type TestCore, testCore } from '../testing/test-core.ts';
import { type TestRooms, testRooms } from '../testing/test-rooms.ts';
import { createSync } from './create-sync.ts';
import type { Sync } from './sync.ts';
import { parseSyncToken } from './tokens.ts';

let test: TestCore;
let rooms: TestRooms;
let sync: Sync;
beforeAll(async () => {
  test = await testCore();
  rooms = testRooms(test.core);
  sync = createSync(test.core);
});
afterAll(() => test.close());

const readerCount = 60;
let rounds = 0;

/** A room with one message and this many readers besides its maker. */
const crowd = async (size = readerCount) => {
  rounds += 1;
  const maker = localUser(`maker${rounds}`);
  const roomId = await rooms.roomCreator.create(maker, { preset: 'public_chat' });
  const readers = Array.from({ length: size }, (_, index) => localUser(`r${rounds}.${index}`));
  for (const reader of readers) await rooms.membership.join(reader, roomId);
  const eventId = await rooms.say(roomId, maker, 'first');
  return { maker, roomId, readers, eventId };
};

// biome-ignore lint/suspicious/noExplicitAny: tests look at the response as a client would.
type Answer = any;

const read = async (userId: UserId, since?: string, timeoutMs = 0): Promise<Answer> =>
  JSON.parse(
    await sync.sync({
      userId,
      deviceId: undefined,
      filter: compileFilter({}),
      since: since === undefined ? undefined : parseSyncToken(since),
      fullState: false,
      useStateAfter: false,
      timeoutMs,
    }),
  );

/** Polls on and on until `seenAll` says so of what it has seen; counts its answers. */
const follow = async (
  userId: UserId,
  since: string,
  seenAll: (answer: Answer) => boolean,
): Promise<number> => {
  let token = since;
  for (let answers = 1; ; answers += 1) {
    const answer = await read(userId, token, 30_000);
    token = answer.next_batch;
    if (seenAll(answer)) return answers;
  }
};

const everyoneWaits = async (count: number): Promise<void> => {
  while (test.core.notifier.waiting < count) await new Promise((done) => setImmediate(done));
  // They have registered; now they read, and then they wait.
  for (let step = 0; step < 5; step += 1) await new Promise((done) => setImmediate(done));
};

/** Who has a receipt in the room's part of an answer. */
const readersIn = (answer: Answer, roomId: RoomId, eventId: EventId): UserId[] =>
  (answer.rooms?.join?.[roomId]?.ephemeral.events ?? [])
    .filter(({ type }: { type: string }) => type === 'm.receipt')
    .flatMap(({ content }: Answer) => Object.keys(content[eventId]?.['m.read'] ?? {}));

const startOf = (users: readonly UserId[]): Promise<string[]> =>
  Promise.all(users.map(async (user) => (await read(user)).next_batch));

/** Again until a round took less time than news is held: a slower one tells nothing of that. */
const whileHeld = async <T>(round: () => Promise<{ tookMs: number; result: T }>): Promise<T> => {
  for (let tries = 0; tries < 20; tries += 1) {
    const { tookMs, result } = await round();
    if (tookMs < holdMsFor(readerCount)) return result;
  }
  throw new Error('no round was fast enough');
};

it('tells a crowd of each one who reads with few answers, and each of all', async () => {
  const { roomId, readers, eventId } = await crowd();
  const tokens = await startOf(readers);
  const following = readers.map((reader, index) => {
    const seen = new Set<UserId>();
    return follow(reader, tokens[index] as string, (answer) => {
      for (const who of readersIn(answer, roomId, eventId)) seen.add(who);
      return seen.size === readers.length;
    });
  });
  await everyoneWaits(readers.length);
  const startedMs = performance.now();
  for (const reader of readers) await test.core.receipts.set(reader, roomId, 'm.read', eventId);
  const answers = (await Promise.all(following)).reduce((sum, count) => sum + count, 0);
  const elapsedMs = performance.now() - startedMs;
  // One round for each time that ran out, and an answer for one's own receipt.
  const roundCount = Math.ceil(elapsedMs / holdMsFor(readers.length));
  expect(answers).toBeLessThanOrEqual(readers.length * (roundCount + 1));
});

it('tells a few at once, and in a crowd the user whose it is', async () => {
  const { maker, roomId, readers, eventId } = await crowd();
  const few = [maker, ...readers.slice(0, 5)];
  const tokens = await startOf([...few, ...readers]);
  const fewPolls = few.map((user, index) => read(user, tokens[index] as string, 30_000));
  await everyoneWaits(few.length);
  await test.core.receipts.set(maker, roomId, 'm.read', eventId);
  for (const answer of await Promise.all(fewPolls)) {
    expect(readersIn(answer, roomId, eventId)).toEqual([maker]);
  }

  const { own, first, answers } = await whileHeld(async () => {
    const crowdHere = await crowd();
    const [reader] = crowdHere.readers as [UserId];
    const later = await startOf(crowdHere.readers);
    const answered: UserId[] = [];
    const polls = crowdHere.readers.map(async (user, index) => {
      const answer = await read(user, later[index] as string, 30_000);
      answered.push(user);
      return readersIn(answer, crowdHere.roomId, crowdHere.eventId);
    });
    await everyoneWaits(polls.length);
    const startedMs = performance.now();
    await test.core.receipts.set(reader, crowdHere.roomId, 'm.read', crowdHere.eventId);
    await polls[0];
    const tookMs = performance.now() - startedMs;
    const found = [...answered];
    return { tookMs, result: { own: reader, first: found, answers: await Promise.all(polls) } };
  });
  expect(first).toEqual([own]);
  for (const answer of answers) expect(answer).toEqual([own]);
});

it('sends what is held along with a message, and at the end of a wait', async () => {
  const { maker, held, hurried, parts } = await whileHeld(async () => {
    const { maker: typist, roomId, readers } = await crowd();
    const tokens = await startOf(readers);
    const polls = readers.map((user, index) => read(user, tokens[index] as string, 30_000));
    await everyoneWaits(readers.length);
    const nid = (await test.core.registry.find(roomId))?.nid as number;
    const partOf = (answer: Answer) => answer.rooms.join[roomId];
    const startedMs = performance.now();
    await test.core.typing.setLocal(typist, roomId, true);
    const before = test.core.notifier.holds(nid);
    // Asked for with nothing to wait for, there is nothing to hold.
    const atOnce = partOf(await read(typist, tokens[0] as string, 0));
    await rooms.say(roomId, typist, 'second');
    const tookMs = performance.now() - startedMs;
    const result = {
      maker: typist,
      held: [before, test.core.notifier.holds(nid)],
      hurried: atOnce,
      parts: (await Promise.all(polls)).map(partOf),
    };
    return { tookMs, result };
  });
  expect(held).toEqual([true, false]);
  expect(hurried.ephemeral.events).toHaveLength(1);
  for (const part of parts) {
    expect(part.timeline.events).toHaveLength(1);
    expect(part.ephemeral.events).toEqual([{ type: 'm.typing', content: { user_ids: [maker] } }]);
  }
});

it('tells a crowd of those who come online with few answers', async () => {
  const { readers } = await crowd();
  const tokens = await startOf(readers);
  const following = readers.map((reader, index) => {
    const seen = new Set<UserId>();
    return follow(reader, tokens[index] as string, (answer) => {
      for (const { sender } of answer.presence?.events ?? []) seen.add(sender);
      return readers.every((user) => seen.has(user));
    });
  });
  await everyoneWaits(readers.length);
  const startedMs = performance.now();
  for (const reader of readers) {
    await test.core.presence.set(reader, undefined, 'online', undefined);
    await new Promise((done) => setTimeout(done, 5));
  }
  const answers = (await Promise.all(following)).reduce((sum, count) => sum + count, 0);
  const roundCount = Math.ceil((performance.now() - startedMs) / 100);
  expect(answers).toBeLessThanOrEqual(readers.length * (roundCount + 1));
});
