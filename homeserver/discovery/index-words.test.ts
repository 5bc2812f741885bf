import type { EventId, RoomId } from '../../spec/identifiers.ts';
import { pauseAfter } from '../streams/log-reader.ts';
import { localUser, type TestCore, testCore } from '../testing/test-core.ts';
import { type TestRooms, testRooms } from '../testing/test-rooms.ts';
import { eventsPerStep, indexWords } from './index-words.ts';

let test: TestCore;
let rooms: TestRooms;
let roomId: RoomId;
const alice = localUser('alice');
beforeAll(async () => {
  test = await testCore();
  rooms = testRooms(test.core);
  roomId = await rooms.roomCreator.create(alice, {});
});
afterAll(() => test.close());

/** Indexes everything after a position; the steps it takes. */
const indexAfter = async (after: number): Promise<number> => {
  const { log, database } = test.core;
  let steps = 0;
  for (let position = after; position < log.position; steps += 1) {
    const from = position;
    position = await database.transaction((tx) => indexWords(tx, from, log.position));
    expect(position).toBeGreaterThan(from);
  }
  return steps;
};

const indexed = async (word: string): Promise<number> => {
  const { rows: found } = await test.core.database.query({
    text: `SELECT 1 FROM event_words WHERE words @@ '${word}'::tsquery`,
  });
  return found.length;
};

it('a step takes many short messages', async () => {
  const after = test.core.log.position;
  await Promise.all(Array.from({ length: 1_500 }, (_, n) => rooms.say(roomId, alice, `short${n}`)));
  expect(await indexAfter(after)).toBe(Math.ceil(1_500 / eventsPerStep));
  expect([await indexed('short0'), await indexed('short1499')]).toEqual([1, 1]);
});

it('a step takes few long ones, by their bytes, and leaves none out', async () => {
  const after = test.core.log.position;
  const long = 'long '.repeat(10_000);
  for (let n = 0; n < 60; n += 1) await rooms.say(roomId, alice, `${long}`);
  expect(await indexAfter(after)).toBe(3);
  expect(await indexed('long')).toBe(60);
});

it('words of what is redacted are forgotten', async () => {
  const after = test.core.log.position;
  const eventId: EventId = await rooms.say(roomId, alice, 'secret regret');
  await rooms.say(roomId, alice, 'secret kept');
  await indexAfter(after);
  expect(await indexed('secret')).toBe(2);
  const redacting = test.core.log.position;
  await test.core.localEvents.send(roomId, {
    type: 'm.room.redaction',
    sender: alice,
    redacts: eventId,
    content: {},
  });
  await indexAfter(redacting);
  expect([await indexed('secret'), await indexed('regret')]).toEqual([1, 0]);
});

it('an index that is behind keeps up with two thousand events a second', () => {
  const rate = (step: Parameters<typeof pauseAfter>[0]) =>
    (eventsPerStep * 1000) / (step.tookMs + pauseAfter(step));
  expect(rate({ tookMs: 10, behind: 100_000, isBusy: true })).toBeGreaterThan(2_000);
  // It takes a tenth of the time, and a third only where it is very far behind.
  expect(pauseAfter({ tookMs: 10, behind: 100_000, isBusy: false })).toBe(90);
  expect(rate({ tookMs: 40, behind: 1_000_000, isBusy: true })).toBeGreaterThan(2_000);
  // Where little is left, people come first.
  expect(pauseAfter({ tookMs: 150, behind: 500, isBusy: true })).toBeGreaterThanOrEqual(1_000);
});
