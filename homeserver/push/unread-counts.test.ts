import type { JsonObject } from '../../spec/event.ts';
import { compileFilter } from '../../spec/filter.ts';
import type { EventId, RoomId, UserId } from '../../spec/identifiers.ts';
import { putRule } from '../../spec/push-rules/user-rules.ts';
import { parseUserRule } from '../../spec/push-rules/validate-rule.ts';
import type { Core } from '../core.ts';
import { createSync } from '../sync/create-sync.ts';
import type { Sync } from '../sync/sync.ts';
import { parseSyncToken } from '../sync/tokens.ts';
import { localUser, type TestCore, testCore } from '../testing/test-core.ts';
import { type TestRooms, testRooms } from '../testing/test-rooms.ts';

let test: TestCore;
let core: Core;
let rooms: TestRooms;
let sync: Sync;
let people = 0;

const use = (next: Core): void => {
  core = next;
  rooms = testRooms(core);
  sync = createSync(core);
};
beforeAll(async () => {
  test = await testCore();
  use(test.core);
});
afterAll(() => test.close());

const newPerson = (name: string): UserId => localUser(`${name}${people++}`);

// biome-ignore lint/suspicious/noExplicitAny: tests look at the response as a client would.
const read = async (userId: UserId, since?: string, timeline: JsonObject = {}): Promise<any> =>
  JSON.parse(
    await sync.sync({
      userId,
      deviceId: undefined,
      filter: compileFilter({ room: { timeline } }),
      since: since === undefined ? undefined : parseSyncToken(since),
      fullState: false,
      useStateAfter: false,
      timeoutMs: 0,
    }),
  );

const byThread = { unread_thread_notifications: true };

const say = (roomId: RoomId, sender: UserId, content: JsonObject = {}, type = 'm.room.message') =>
  core.localEvents.send(roomId, {
    type,
    sender,
    content: type === 'm.room.message' ? { msgtype: 'm.text', body: 'hello', ...content } : content,
  });

const inThread = (root: EventId): JsonObject => ({
  'm.relates_to': { rel_type: 'm.thread', event_id: root },
});

/** Alice and Bob in a room of Bob's, in which Alice has read everything. */
const sharedRoom = async (): Promise<{ alice: UserId; bob: UserId; roomId: RoomId }> => {
  const [alice, bob] = [newPerson('alice'), newPerson('bob')];
  const roomId = await rooms.roomCreator.create(bob, { preset: 'public_chat' });
  await rooms.membership.join(alice, roomId);
  return { alice, bob, roomId };
};

/** `[notifications, highlights]` as a first sync gives them. */
const counts = async (userId: UserId, roomId: RoomId): Promise<[number, number]> => {
  const { unread_notifications: unread } = (await read(userId)).rooms.join[roomId];
  return [unread.notification_count, unread.highlight_count];
};

describe('unread notifications', () => {
  it('are none in a room just joined, whatever was said before', async () => {
    const { bob, roomId } = await sharedRoom();
    await say(roomId, bob);
    const carol = newPerson('carol');
    await rooms.membership.join(carol, roomId);
    expect(await counts(carol, roomId)).toEqual([0, 0]);
  });

  it('count what others say, by the rules, and not what one says oneself', async () => {
    const { alice, bob, roomId } = await sharedRoom();
    await say(roomId, bob);
    await say(roomId, bob, { msgtype: 'm.notice' });
    await say(roomId, bob, { 'm.mentions': { user_ids: [alice] } });
    expect(await counts(alice, roomId)).toEqual([2, 1]);
    expect(await counts(bob, roomId)).toEqual([0, 0]);
  });

  it('follow in incremental syncs, event by event', async () => {
    const { alice, bob, roomId } = await sharedRoom();
    let since = (await read(alice)).next_batch;
    for (let count = 1; count <= 3; count += 1) {
      await say(roomId, bob);
      const { rooms: shown, next_batch: next } = await read(alice, since);
      expect(shown.join[roomId].unread_notifications).toEqual({
        notification_count: count,
        highlight_count: 0,
      });
      since = next;
    }
    expect((await read(alice, since)).rooms).toBeUndefined();
  });

  it('end with a receipt, public or private, whichever is ahead', async () => {
    const { alice, bob, roomId } = await sharedRoom();
    const first = await say(roomId, bob);
    const second = await say(roomId, bob);
    await say(roomId, bob);
    let since = (await read(alice)).next_batch;
    const unreadAfter = async (
      type: 'm.read' | 'm.read.private',
      eventId: EventId,
    ): Promise<number> => {
      await core.receipts.set(alice, roomId, type, eventId);
      const answer = await read(alice, since);
      since = answer.next_batch;
      return answer.rooms.join[roomId].unread_notifications.notification_count;
    };
    expect(await unreadAfter('m.read', first)).toBe(2);
    expect(await unreadAfter('m.read.private', second)).toBe(1);
    expect(await unreadAfter('m.read', second)).toBe(1);
    expect(await counts(alice, roomId)).toEqual([1, 0]);
  });

  it('end when one speaks', async () => {
    const { alice, bob, roomId } = await sharedRoom();
    await say(roomId, bob);
    expect(await counts(alice, roomId)).toEqual([1, 0]);
    await say(roomId, alice);
    expect(await counts(alice, roomId)).toEqual([0, 0]);
    await say(roomId, bob);
    expect(await counts(alice, roomId)).toEqual([1, 0]);
  });

  it('leave out those one ignores', async () => {
    const { alice, bob, roomId } = await sharedRoom();
    const content = { ignored_users: { [bob]: {} } };
    await core.accountData.put(alice, undefined, 'm.ignored_user_list', content);
    await say(roomId, bob);
    expect(await counts(alice, roomId)).toEqual([0, 0]);
  });

  it('obey the rules one has made, from then on', async () => {
    const { alice, bob, roomId } = await sharedRoom();
    await say(roomId, bob, { body: 'cake' });
    expect(await counts(alice, roomId)).toEqual([1, 0]);
    const actions = ['notify', { set_tweak: 'highlight' }];
    const rule = parseUserRule('content', 'cake', { actions, pattern: 'cake' });
    await core.pushRules.change(alice, (stored) => putRule(stored, 'content', rule));
    await say(roomId, bob, { body: 'There is CAKE.' });
    expect(await counts(alice, roomId)).toEqual([2, 1]);
    const muted = parseUserRule('room', roomId, { actions: [] });
    await core.pushRules.change(alice, (stored) => putRule(stored, 'room', muted));
    await say(roomId, bob, { body: 'quiet' });
    expect(await counts(alice, roomId)).toEqual([2, 1]);
  });

  it('let only those mention the room who may', async () => {
    const { alice, bob, roomId } = await sharedRoom();
    const carol = newPerson('carol');
    await rooms.membership.join(carol, roomId);
    await say(roomId, carol, { 'm.mentions': { room: true } });
    expect(await counts(alice, roomId)).toEqual([1, 0]);
    await say(roomId, bob, { 'm.mentions': { room: true } });
    expect(await counts(alice, roomId)).toEqual([2, 1]);
  });

  it('are given where the timeline itself is filtered out', async () => {
    const { alice, bob, roomId } = await sharedRoom();
    const since = (await read(alice)).next_batch;
    await say(roomId, bob);
    const { rooms: shown } = await read(alice, since, { types: [] });
    expect(shown.join[roomId].unread_notifications.notification_count).toBe(1);
  });

  it('are counted from the database where memory does not reach back', async () => {
    const { alice, bob, roomId } = await sharedRoom();
    const since = (await read(alice)).next_batch;
    for (let count = 0; count < 150; count += 1) await say(roomId, bob);
    const { rooms: shown } = await read(alice, since);
    expect(shown.join[roomId].unread_notifications.notification_count).toBe(150);
  });

  it('stop at a thousand unread events of a room', async () => {
    const { alice, bob, roomId } = await sharedRoom();
    const saying = [];
    for (let count = 0; count < 1010; count += 1) saying.push(say(roomId, bob));
    await Promise.all(saying);
    expect(await counts(alice, roomId)).toEqual([1000, 0]);
  });
});

describe('threads', () => {
  it('are counted apart where the filter asks for it', async () => {
    const { alice, bob, roomId } = await sharedRoom();
    const root = await say(roomId, bob);
    const reply = await say(roomId, bob, inThread(root));
    await say(roomId, bob, { ...inThread(root), 'm.mentions': { user_ids: [alice] } });
    // A reply to a message in the thread, by a client that knows of no threads.
    await say(roomId, bob, { 'm.relates_to': { rel_type: 'org.example', event_id: reply } });
    const apart = (await read(alice, undefined, byThread)).rooms.join[roomId];
    expect(apart.unread_notifications).toEqual({ notification_count: 1, highlight_count: 0 });
    expect(apart.unread_thread_notifications).toEqual({
      [root]: { notification_count: 3, highlight_count: 1 },
    });
    const together = (await read(alice)).rooms.join[roomId];
    expect(together.unread_notifications).toEqual({ notification_count: 4, highlight_count: 1 });
    expect(together.unread_thread_notifications).toBeUndefined();
  });

  it('have receipts of their own, beside those for the whole room', async () => {
    const { alice, bob, roomId } = await sharedRoom();
    const root = await say(roomId, bob);
    const reply = await say(roomId, bob, inThread(root));
    await say(roomId, bob, inThread(root));
    const seen = async (): Promise<unknown> => {
      const room = (await read(alice, undefined, byThread)).rooms.join[roomId];
      return [
        room.unread_notifications.notification_count,
        room.unread_thread_notifications?.[root]?.notification_count,
      ];
    };
    expect(await seen()).toEqual([1, 2]);
    await core.receipts.set(alice, roomId, 'm.read', reply, root);
    expect(await seen()).toEqual([1, 1]);
    await core.receipts.set(alice, roomId, 'm.read', root, 'main');
    expect(await seen()).toEqual([0, 1]);
    await say(roomId, alice);
    expect(await seen()).toEqual([0, 1]);
    await say(roomId, alice, inThread(root));
    expect(await seen()).toEqual([0, undefined]);
    const last = await say(roomId, bob, inThread(root));
    const end = await say(roomId, bob);
    await core.receipts.set(alice, roomId, 'm.read', last);
    expect(await seen()).toEqual([1, undefined]);
    await core.receipts.set(alice, roomId, 'm.read', end);
    expect(await seen()).toEqual([0, undefined]);
  });
});

describe('after a restart', () => {
  it('counts go on, with what happened while nobody counted', async () => {
    const { alice, bob, roomId } = await sharedRoom();
    const root = await say(roomId, bob);
    await say(roomId, bob, inThread(root));
    const middle = await say(roomId, bob);
    const since = (await read(alice)).next_batch;
    use(await test.restart());
    await say(roomId, bob);
    await core.receipts.set(alice, roomId, 'm.read', middle, 'main');
    const room = (await read(alice, since, byThread)).rooms.join[roomId];
    expect(room.unread_notifications.notification_count).toBe(1);
    expect(room.unread_thread_notifications[root].notification_count).toBe(1);
  });

  it('what was not saved is counted again', async () => {
    const { alice, bob, roomId } = await sharedRoom();
    await say(roomId, bob);
    await read(alice);
    await core.unreadCounts.close();
    await say(roomId, bob);
    expect(await counts(alice, roomId)).toEqual([2, 0]);
    await core.database.query({ text: 'DELETE FROM unread_counts' });
    core.unreadCounts.reset();
    expect(await counts(alice, roomId)).toEqual([2, 0]);
    core.unreadCounts.reset();
    expect(await counts(alice, roomId)).toEqual([2, 0]);
  });

  it('syncs of one person at the same time count nothing twice', async () => {
    const { alice, bob, roomId } = await sharedRoom();
    for (let count = 0; count < 20; count += 1) await say(roomId, bob);
    use(await test.restart());
    const seen = await Promise.all(Array.from({ length: 8 }, () => counts(alice, roomId)));
    expect(seen).toEqual(Array.from({ length: 8 }, () => [20, 0]));
  });
});
