/** What clients find after a restart: the same answers, and a server that is not overrun. */
import { compileFilter } from '../../spec/filter.ts';
import type { DeviceId, UserId } from '../../spec/identifiers.ts';
import type { Core } from '../core.ts';
import { localUser, type TestCore, testCore } from '../testing/test-core.ts';
import { type TestRooms, testRooms } from '../testing/test-rooms.ts';
import { createSync } from './create-sync.ts';
import type { Sync } from './sync.ts';
import { parseSyncToken } from './tokens.ts';

const device = 'PHONE' as DeviceId;

let test: TestCore;
let core: Core;
let rooms: TestRooms;
let sync: Sync;
const use = (next: Core): void => {
  core = next;
  rooms = testRooms(core);
  sync = createSync(core);
};
beforeEach(async () => {
  test = await testCore();
  use(test.core);
});
afterEach(() => test.close());

// biome-ignore lint/suspicious/noExplicitAny: tests look at the response as a client would.
const read = async (userId: UserId, since?: string, timeoutMs = 0): Promise<any> => {
  await sync.prepare(userId);
  const body = await sync.sync({
    userId,
    deviceId: device,
    filter: compileFilter({}),
    since: since === undefined ? undefined : parseSyncToken(since),
    fullState: false,
    useStateAfter: false,
    timeoutMs,
  });
  return JSON.parse(body);
};

const statementsOf = async (work: () => Promise<unknown>): Promise<number> => {
  const before = core.database.statementCount;
  await work();
  return core.database.statementCount - before;
};

const makeDevices = (users: readonly UserId[]) =>
  core.database.query({
    text: `WITH made AS (INSERT INTO users (user_id, created_at_ms) SELECT u, 0
        FROM unnest($1::text[]) AS u)
      INSERT INTO devices (user_id, device_id, created_at_ms) SELECT u, $2, 0
      FROM unnest($1::text[]) AS u`,
    values: [users, device],
  });

/** A room of `size` who have synced before, and then everything that there is to tell of. */
const crowd = async (size: number) => {
  const users = Array.from({ length: size }, (_, index) => localUser(`u${index}`));
  await makeDevices(users);
  const [maker, ...others] = users as [UserId, ...UserId[]];
  const roomId = await rooms.roomCreator.create(maker, { preset: 'public_chat' });
  for (const user of others) await rooms.membership.join(user, roomId);
  await rooms.roomCreator.create(maker, { preset: 'private_chat' });
  const tokens = await Promise.all(users.map(async (user) => (await read(user)).next_batch));
  const eventId = await rooms.say(roomId, maker, 'one');
  await core.receipts.set(maker, roomId, 'm.read', eventId);
  await core.localEvents.send(roomId, {
    type: 'm.room.topic',
    sender: maker,
    stateKey: '',
    content: { topic: 'changed' },
  });
  const late = localUser('late');
  await rooms.membership.join(late, roomId);
  await rooms.say(roomId, maker, 'two');
  for (const user of users) await core.accountData.put(user, undefined, 'org.example', { user });
  const { toDevice, deviceLists } = core.encryption;
  const messages = Object.fromEntries(users.map((user) => [user, { [device]: { hi: user } }]));
  await toDevice.send(maker, device, 'm.test', 'txn', messages);
  await deviceLists.change(maker, [device], 'everyone');
  return { users, roomId, tokens: tokens as string[] };
};

it('gives the answers it would have given, from memory', async () => {
  const { users, roomId, tokens } = await crowd(12);
  const before: unknown[] = [];
  for (const [index, user] of users.entries()) before.push(await read(user, tokens[index]));
  use(await test.restart());
  const after: unknown[] = [];
  const statements: number[] = [];
  for (const [index, user] of users.entries()) {
    statements.push(await statementsOf(async () => after.push(await read(user, tokens[index]))));
  }
  // Presence is not kept; all else is as it was.
  const shown = (answers: unknown[]) =>
    answers.map((answer) => ({
      ...(answer as object),
      presence: undefined,
      next_batch: undefined,
    }));
  expect(shown(after)).toEqual(shown(before));
  // biome-ignore lint/suspicious/noExplicitAny: as above.
  const part = (after[3] as any).rooms.join[roomId];
  expect(part.timeline.limited).toBe(false);
  expect(part.timeline.events).toHaveLength(4);
  // The user's rooms, ignored users, keys, push rules, unread counts and messages: of their own.
  // What the room has is read by the first and shared by all.
  expect(Math.max(...statements.slice(1))).toBeLessThanOrEqual(8);
});

it('asks little of the database for a client with nothing new', async () => {
  const { users } = await crowd(6);
  const tokens = await Promise.all(
    users.map(async (user) => {
      const { next_batch: first } = await read(user);
      return (await read(user, first)).next_batch as string;
    }),
  );
  use(await test.restart());
  const statements: number[] = [];
  for (const [index, user] of users.entries()) {
    statements.push(await statementsOf(() => read(user, tokens[index])));
  }
  // The user's rooms, whom they ignore, their push rules and the keys they have left.
  expect(Math.max(...statements)).toBeLessThanOrEqual(4);
  const warm = await statementsOf(() => read(users[0] as UserId, tokens[0]));
  expect(warm).toBe(0);
});

it('asks together for what a crowd that comes back at once needs', async () => {
  const { users, roomId } = await crowd(100);
  const tokens: string[] = [];
  for (const user of users) {
    const { next_batch: first } = await read(user);
    tokens.push((await read(user, first)).next_batch);
  }
  use(await test.restart());
  await rooms.say(roomId, users[0] as UserId, 'to all');
  const answers: unknown[] = [];
  const statements = await statementsOf(async () => {
    const reading = users.map((user, index) => read(user, tokens[index]));
    answers.push(...(await Promise.all(reading)));
  });
  for (const answer of answers) {
    // biome-ignore lint/suspicious/noExplicitAny: as above.
    expect((answer as any).rooms.join[roomId].timeline.events).toHaveLength(1);
  }
  // Rooms, ignored users, rules, keys, counts and receipts: some of each, and none for each user.
  expect(statements).toBeLessThanOrEqual(30);
}, 60_000);

it('lets a crowd that comes back at once take turns at the database', async () => {
  const { users, tokens } = await crowd(60);
  use(await test.restart());
  let mostWaiting = 0;
  let isDone = false;
  const watching = (async () => {
    while (!isDone) {
      mostWaiting = Math.max(mostWaiting, core.database.pool.waitingCount);
      await new Promise((resolve) => setImmediate(resolve));
    }
  })();
  const answers = await Promise.all([
    ...users.map((user, index) => read(user, tokens[index])),
    ...users.map((user) => read(user)),
  ]);
  isDone = true;
  await watching;
  expect(answers).toHaveLength(2 * users.length);
  // Each of those at work may ask several things at a time.
  expect(mostWaiting).toBeLessThan(60);
});
