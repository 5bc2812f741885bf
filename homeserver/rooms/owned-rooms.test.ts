/** A server of several processes: whoever is asked, a room is written by its owner. */
import type { EventId, RoomAlias, RoomId, UserId } from '../../spec/identifiers.ts';
import { knownOf } from '../testing/known-room.ts';
import { type LinkedCores, linkedCores } from '../testing/linked-cores.ts';
import { localUser, testServerName } from '../testing/test-core.ts';
import { type TestRooms, testRooms } from '../testing/test-rooms.ts';
import type { Sender } from './event-sender.ts';

const alice = localUser('alice');
const bob = localUser('bob');
const carol = localUser('carol');

let linked: LinkedCores;
let all: readonly TestRooms[];
beforeAll(async () => {
  linked = await linkedCores(3);
  all = linked.cores.map((core) => testRooms(core, '11'));
});
afterAll(() => linked.close());
beforeEach(() => linked.clock.advance(1));

let turn = 0;
/** Whoever is next. */
const next = (): TestRooms => all[turn++ % all.length]!;
const coreOf = (nth: number) => linked.cores[nth]!;

const sender = (userId: UserId): Sender => ({
  userId,
  deviceId: 'DEVICE' as Sender['deviceId'],
  isGuest: false,
  isAdmin: false,
  suspended: false,
});

/** All have the same in memory, and it is what the database has. */
const agreeOn = async (roomId: RoomId): Promise<void> => {
  await linked.settled();
  const rooms = await Promise.all(linked.cores.map(({ registry }) => registry.find(roomId)));
  const known = rooms.map((room) => knownOf(room!));
  const { registry } = coreOf(1);
  registry.drop(rooms[1]!);
  const fresh = knownOf((await registry.find(roomId))!);
  for (const each of known) expect(each).toEqual(fresh);
  expect(fresh.heads).toHaveLength(1);
};

/** The bodies of a room's messages in the order of the log; fails where they are no chain. */
const chainOf = async (roomId: RoomId): Promise<unknown[]> => {
  const { database, events } = coreOf(0);
  const { rows } = await database.query<{ event_id: EventId }>({
    text: `SELECT event_id FROM events JOIN rooms USING (room_nid)
      WHERE room_id = $1 ORDER BY stream_pos`,
    values: [roomId],
  });
  let before: EventId[] = [];
  const bodies: unknown[] = [];
  for (const { event_id: eventId } of rows) {
    const { prevEventIds, type, content } = (await events.byId(eventId))!.event;
    expect(prevEventIds).toEqual(before);
    before = [eventId];
    if (type === 'm.room.message') bodies.push(content['body']);
  }
  return bodies;
};

const say = (at: TestRooms, roomId: RoomId, body: string, txnId = body, by = alice) =>
  at.eventSender.message(sender(by), {
    roomId,
    type: 'm.room.message',
    txnId,
    content: { msgtype: 'm.text', body },
  });

describe('whatever people do to a room through any process', () => {
  it('is done by its owner, and known to all', async () => {
    const before = linked.ownership.calls;
    const roomId = await next().roomCreator.create(alice, {
      preset: 'public_chat',
      aliasName: 'lobby',
    });
    const alias = `#lobby:${testServerName}` as RoomAlias;
    for (const user of [bob, carol]) {
      const at = next();
      await linked.settled();
      expect((await at.roomAliases.locate(alias, user)).roomId).toBe(roomId);
      await at.membership.join(user, roomId);
    }
    const said = await say(next(), roomId, 'hello');
    await next().membership.kick(alice, roomId, carol, 'out');
    await next().membership.ban(alice, roomId, carol);
    await next().membership.unban(alice, roomId, carol);
    await next().membership.invite(alice, roomId, carol);
    await next().membership.join(carol, roomId);
    await next().eventSender.redaction(
      sender(alice),
      { roomId, txnId: 'redaction', content: {} },
      said,
    );
    await next().eventSender.state(sender(alice), {
      roomId,
      type: 'm.room.name',
      stateKey: '',
      content: { name: 'ours' },
    });
    await next().membership.leave(bob, roomId);
    await agreeOn(roomId);
    await chainOf(roomId);
    for (const rooms of all) {
      expect(await rooms.stateOf(roomId, 'm.room.member', carol)).toMatchObject({
        membership: 'join',
      });
      expect(await rooms.stateOf(roomId, 'm.room.member', bob)).toEqual({ membership: 'leave' });
      expect(await rooms.stateOf(roomId, 'm.room.name')).toEqual({ name: 'ours' });
    }
    for (const { events } of linked.cores) {
      expect((await events.byId(said))?.event.content).toEqual({});
    }
    const tried = next().membership.kick(bob, roomId, alice);
    await expect(tried).rejects.toMatchObject({ errcode: 'M_FORBIDDEN', status: 403 });
    expect(linked.ownership.calls).toBeGreaterThan(before);
  });

  it.each(['10', '12'])('goes on in another room, of version %s', async (version) => {
    const roomId = await next().roomCreator.create(alice, { preset: 'public_chat', version: '11' });
    await next().membership.join(bob, roomId);
    await next().roomAliases.add(alice, `#moving${version}:${testServerName}` as RoomAlias, roomId);
    const newId = await next().roomUpgrader.upgrade(alice, roomId, version);
    await agreeOn(newId);
    await agreeOn(roomId);
    await next().membership.join(bob, newId);
    await agreeOn(newId);
    expect(await all[2]!.stateOf(roomId, 'm.room.tombstone')).toMatchObject({
      replacement_room: newId,
    });
    expect(await all[1]!.roomAliases.ofRoom(newId)).toEqual([
      `#moving${version}:${testServerName}`,
    ]);
  });

  it.each(['11', '12'])('begins with a room of its own, in version %s', async (version) => {
    const [first, second] = [all[0]!, all[1]!];
    // The same person, the same moment, the same wish.
    const made = await Promise.all(
      [first, second, first, second].map((rooms) => rooms.roomCreator.create(alice, { version })),
    );
    expect(new Set(made).size).toBe(4);
    const owners = made.map((roomId) => linked.ownership.ownerOf(0, roomId));
    expect(new Set(owners)).toEqual(new Set([linked.ownership.ownerOf(0, alice)]));
    for (const roomId of made) await agreeOn(roomId);
  });

  it('shows the newest of a profile’s changes', async () => {
    const roomId = await next().roomCreator.create(alice, { preset: 'public_chat' });
    const { database } = coreOf(0);
    for (let nth = 0; nth < 6; nth += 1) {
      const displayName = `Alice ${nth}`;
      await database.query({
        text: `INSERT INTO profile_fields (user_id, field, value) VALUES ($1, 'displayname', $2)
          ON CONFLICT (user_id, field) DO UPDATE SET value = EXCLUDED.value`,
        values: [alice, JSON.stringify(displayName)],
      });
      await next().memberUpkeep.profileChanged(alice, { displayname: displayName });
    }
    for (const rooms of all) await rooms.idle();
    await agreeOn(roomId);
    expect(await all[1]!.stateOf(roomId, 'm.room.member', alice)).toMatchObject({
      displayname: 'Alice 5',
    });
  });
});

describe('a request that is repeated at another process', () => {
  it('is answered with the event it made', async () => {
    const roomId = await next().roomCreator.create(alice, { preset: 'public_chat' });
    const sent = await say(all[0]!, roomId, 'once');
    for (const rooms of all) expect(await say(rooms, roomId, 'once')).toBe(sent);
    await linked.move({ pins: { [roomId]: 2 } });
    expect(await say(all[1]!, roomId, 'once')).toBe(sent);
    await linked.move({ pins: { [roomId]: 0 } });
    expect(await say(all[1]!, roomId, 'once')).toBe(sent);
    await agreeOn(roomId);
    expect(await chainOf(roomId)).toEqual(['once']);
  });
});

describe('a room that gets another owner while people speak', () => {
  it('keeps all that they say, once and in order', async () => {
    const rooms = await Promise.all(
      [alice, bob, carol].map((user) => next().roomCreator.create(user, { preset: 'public_chat' })),
    );
    for (const roomId of rooms) {
      for (const user of [alice, bob, carol]) await next().membership.join(user, roomId);
    }
    const perPerson = 25;
    let isDone = false;
    const moving = (async () => {
      for (let round = 0; !isDone; round += 1) {
        const members = [[0, 1, 2], [1, 2], [0, 2], [0], [0, 1], [2]][round % 6]!;
        const pins = Object.fromEntries(
          rooms.map((id, nth) => [id, members[nth % members.length]!]),
        );
        await linked.move({ members, pins });
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    })();
    await Promise.all(
      rooms.flatMap((roomId) =>
        [alice, bob, carol].map(async (user) => {
          for (let nth = 0; nth < perPerson; nth += 1) {
            // A client repeats what it was not answered, wherever that takes it.
            for (let tries = 0; ; tries += 1) {
              try {
                await say(next(), roomId, `${user} ${nth}`, `${nth}`, user);
                break;
              } catch (error) {
                if (tries > 20) throw error;
              }
            }
          }
        }),
      ),
    );
    isDone = true;
    await moving;
    await linked.move({ members: [0, 1, 2] });
    for (const roomId of rooms) {
      await agreeOn(roomId);
      const said = (await chainOf(roomId)) as string[];
      for (const user of [alice, bob, carol]) {
        const theirs = said.filter((body) => body.startsWith(user));
        expect(theirs).toEqual(Array.from({ length: perPerson }, (_, nth) => `${user} ${nth}`));
      }
    }
  }, 60_000);
});

describe('what people keep', () => {
  it('loses no change, whichever processes are asked at once', async () => {
    const changes = 15;
    await Promise.all(
      Array.from({ length: changes }, (_, nth) =>
        linked.cores[nth % 3]!.accountData.update(alice, undefined, 'list', (content) => ({
          ...content,
          [`entry${nth}`]: nth,
        })),
      ),
    );
    const kept = await coreOf(0).accountData.get(alice, undefined, 'list');
    expect(Object.keys(kept!)).toHaveLength(changes);
    await Promise.all(
      Array.from({ length: changes }, (_, nth) =>
        linked.cores[nth % 3]!.pushRules.change(alice, (stored) => ({
          ...stored,
          changes: { ...stored.changes, [`rule${nth}`]: { enabled: false } },
        })),
      ),
    );
    await linked.settled();
    for (const { pushRules } of linked.cores) {
      const { stored } = await pushRules.of(alice);
      expect(Object.keys(stored.changes)).toHaveLength(changes);
    }
  });
});
