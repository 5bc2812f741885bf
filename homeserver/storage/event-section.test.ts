import { createRoomServices, type RoomServices } from '../rooms/room-services.ts';
import { emptyWrite, outlierRow, rowOf } from '../rooms/write-rows.ts';
import { rowsOf } from '../streams/log.ts';
import { localUser, type TestCore, testCore } from '../testing/test-core.ts';
import { type EventRow, type RoomWrite, roomEvents } from './event-section.ts';

const alice = localUser('alice');

let test: TestCore;
let rooms: RoomServices;
const outcomes: string[] = [];
beforeAll(async () => {
  test = await testCore({
    log: { observe: (_writes, _seconds, outcome) => outcomes.push(outcome) },
  });
  rooms = createRoomServices(test.core, { defaultRoomVersion: '12' });
});
afterAll(() => test.close());

it.each(['first', 'last'])(
  'an outlier takes its place in the batch it is written in, %s',
  async (when) => {
    const { core } = test;
    const roomId = await rooms.roomCreator.create(alice, {
      preset: 'private_chat',
    });
    const room = await core.registry.find(roomId);
    const model = room?.extremities[0];
    if (room === undefined || model === undefined) throw new Error('no room');
    const eventId = `$outlier-${when}` as typeof model.event.eventId;
    const nid = core.ids.next();
    const stored = { ...model, nid, event: { ...model.event, eventId }, streamPos: undefined };
    const live: EventRow = { ...rowOf(stored, '{}'), promoted: true };
    const outlier = outlierRow(stored, '{}');
    const rows = when === 'first' ? [outlier, live] : [live, outlier];

    outcomes.length = 0;
    await Promise.all(
      rows.map((row) =>
        core.log.append({
          parts: [rowsOf(roomEvents, [{ ...emptyWrite(room.nid), events: [row] }])],
        }),
      ),
    );
    expect(outcomes).toEqual(['committed']);
    const { rows: found } = await core.database.query<{ event_nid: number; stream_pos: number }>({
      text: 'SELECT event_nid, stream_pos FROM events WHERE event_id = $1',
      values: [eventId],
    });
    expect(found).toEqual([{ event_nid: nid, stream_pos: live.streamPos }]);
  },
);

it('an entry of the state is current once, however often one batch changes it', async () => {
  const { core } = test;
  const roomId = await rooms.roomCreator.create(alice, { preset: 'private_chat' });
  const room = await core.registry.find(roomId);
  const model = room?.extremities[0];
  if (room === undefined || model === undefined) throw new Error('no room');
  /** By state key: the event that is set; 0 removes the entry. */
  const change = (entries: Readonly<Record<string, number>>): RoomWrite => {
    const nid = core.ids.next();
    const eventId = `$change-${nid}` as typeof model.event.eventId;
    const event = rowOf({ ...model, nid, event: { ...model.event, eventId } }, '{}');
    const rows = Object.entries(entries).map(([stateKey, eventNid]) => ({
      type: 'x.y',
      stateKey,
      eventNid,
      eventId: eventNid === 0 ? null : `$event-${eventNid}`,
      removedNid: 0,
      membership: null,
    }));
    const changes = [{ causedByNid: nid, rows, users: [] }];
    return { ...emptyWrite(room.nid), events: [event], changes };
  };
  const append = async (entries: readonly Readonly<Record<string, number>>[]): Promise<void> => {
    outcomes.length = 0;
    const writes = entries.map(change);
    await Promise.all(
      writes.map((write) => core.log.append({ parts: [rowsOf(roomEvents, [write])] })),
    );
    expect(outcomes).toEqual(['committed']);
  };
  const rowsOfState = async (condition: string): Promise<string[]> => {
    const { rows } = await core.database.query<{ entry: string }>({
      text: `SELECT state_key || '=' || event_nid AS entry FROM state_changes
        WHERE room_nid = $1 AND type = 'x.y' AND ${condition} ORDER BY stream_pos, state_key`,
      values: [room.nid],
    });
    return rows.map(({ entry }) => entry);
  };

  await append([{ kept: 1, back: 2, gone: 3 }]);
  await append([{ twice: 4, back: 5, again: 6 }, { twice: 7, back: 2, again: 0 }, { gone: 0 }]);
  expect(await rowsOfState('is_current')).toEqual(['kept=1', 'back=2', 'twice=7']);
  expect(await rowsOfState('NOT is_current')).toEqual([
    'back=2',
    'gone=3',
    'again=6',
    'back=5',
    'twice=4',
    'again=0',
    'gone=0',
  ]);
});
