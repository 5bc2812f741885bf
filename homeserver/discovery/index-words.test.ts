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

describe('the pause after a step', () => {
  const shareOf = (behind: number, idleness: number): number =>
    10 / (10 + pauseAfter({ tookMs: 10, behind, idleness }));

  it('leaves a busy process alone, and takes a quarter of the time that is left over', () => {
    expect(shareOf(50_000, 0)).toBeLessThanOrEqual(0.011);
    expect(shareOf(50_000, 0.1)).toBeCloseTo(0.025);
    expect(shareOf(50_000, 1)).toBeCloseTo(0.25);
  });

  it('is the shorter the further the index is behind, however busy the process', () => {
    expect(shareOf(250_000, 0)).toBeGreaterThan(0.08);
    expect(shareOf(500_000, 0)).toBeCloseTo(0.33);
    expect(shareOf(5_000_000, 0)).toBeCloseTo(0.33);
  });

  it('waits for more to do where little is left', () => {
    expect(pauseAfter({ tookMs: 1, behind: 500, idleness: 0.2 })).toBeGreaterThanOrEqual(1_000);
    expect(pauseAfter({ tookMs: 1, behind: 500, idleness: 1 })).toBe(100);
  });
});
