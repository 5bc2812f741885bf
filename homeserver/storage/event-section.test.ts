import { createRoomServices, type RoomServices } from '../rooms/room-services.ts';
import { emptyWrite, outlierRow, rowOf } from '../rooms/write-rows.ts';
import { rowsOf } from '../streams/log.ts';
import { localUser, type TestCore, testCore } from '../testing/test-core.ts';
import { type EventRow, roomEvents } from './event-section.ts';

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
