import { compileFilter } from '../../spec/filter.ts';
import type { EventId, RoomId } from '../../spec/identifiers.ts';
import { localUser, type TestCore, testCore } from '../testing/test-core.ts';
import { type TestRooms, testRooms } from '../testing/test-rooms.ts';
import { createSync } from './create-sync.ts';
import { parsePlace, parseSyncToken } from './tokens.ts';

const alice = localUser('alice');

let test: TestCore;
let rooms: TestRooms;
let roomId: RoomId;
beforeEach(async () => {
  test = await testCore();
  rooms = testRooms(test.core);
  roomId = await rooms.roomCreator.create(alice, { preset: 'public_chat' });
});
afterEach(() => test.close());

const read = async (since?: string) => {
  const text = await createSync(test.core).sync({
    userId: alice,
    deviceId: undefined,
    filter: compileFilter({}),
    since: since === undefined ? undefined : parseSyncToken(since),
    fullState: false,
    useStateAfter: false,
    timeoutMs: 0,
  });
  return JSON.parse(text);
};

/** An event that names one before it that this server does not have. */
const sayAfterGap = async (body: string): Promise<EventId> => {
  const { core } = test;
  const [id, committed] = await core.localEvents.inRoom(roomId, async (room) => {
    const content = { msgtype: 'm.text', body };
    const built = await core.localEvents.build(room, {
      type: 'm.room.message',
      sender: alice,
      content,
    });
    const missingPrevEvents = ['$missing' as EventId];
    const arrival = { ...built, stateBefore: room.state, missingPrevEvents };
    const appended = await core.appender.append(room, [arrival]);
    return [built.event.eventId, appended.committed] as const;
  });
  await committed;
  return id;
};

describe('a timeline with a gap', () => {
  it('begins after it, and the token before it leads into it', async () => {
    const { next_batch: since } = await read();
    await rooms.say(roomId, alice, 'before');
    const first = await sayAfterGap('after');
    const second = await rooms.say(roomId, alice, 'later');
    for (const from of [since, undefined]) {
      const { timeline } = (await read(from)).rooms.join[roomId];
      const ids = timeline.events.map((event: { event_id: EventId }) => event.event_id);
      expect(ids).toEqual([first, second]);
      expect(timeline.limited).toBe(true);
      const { streamPos } = parsePlace(timeline.prev_batch);
      expect(streamPos).toBe((await test.core.events.byId(first))?.streamPos);
    }
  });

  it('is whole for those who have read beyond the gap', async () => {
    await sayAfterGap('after');
    const { next_batch: since } = await read();
    await rooms.say(roomId, alice, 'later');
    const { timeline } = (await read(since)).rooms.join[roomId];
    expect(timeline).toMatchObject({ limited: false, events: [{ content: { body: 'later' } }] });
  });
});
