import type { EventId, RoomId } from '../../../spec/identifiers.ts';
import { silentLogger } from '../../ops/logger.ts';
import { storedEventFrom } from '../../rooms/event-store.ts';
import { emptyTestDatabase, type TestDatabase } from '../../testing/test-database.ts';
import { chainLinks, chainPlaces } from '../auth-chains.ts';
import { deviceTransactions, eventOfTransaction } from '../event-transactions.ts';
import { eventsById, eventsByIdInRoom } from '../events.ts';
import { migrate } from '../migrate.ts';
import { storedBytesMigration } from './0022-stored-bytes.ts';
import { migrations } from './index.ts';

const pdu = {
  auth_events: [],
  content: { body: 'as it was', n: 1 },
  depth: 7,
  hashes: { sha256: 'h' },
  origin_server_ts: 5,
  prev_events: [],
  room_id: '!room:here',
  sender: '@me:here',
  signatures: {},
  type: 'm.room.message',
};
const transaction = {
  roomId: '!room:here' as RoomId,
  type: 'm.room.message',
  target: undefined,
  txnId: 'A',
};

describe('what was stored before', () => {
  let test: TestDatabase;
  const insert = (nid: number, eventId: string, txnId: string | null, roomNid = 1) =>
    test.database.query({
      text: `INSERT INTO events (room_nid, event_nid, event_id, type, sender, depth,
          origin_server_ts, sender_device, txn_id, json)
        VALUES ($5, $1, $2, 'm.room.message', '@me:here', 7, 5, 'D', $3, $4)`,
      values: [nid, eventId, txnId, JSON.stringify(pdu), roomNid],
    });
  beforeAll(async () => {
    test = await emptyTestDatabase();
    const before = migrations.filter(({ name }) => name < storedBytesMigration.name);
    await migrate(test.database, before, silentLogger);
    await test.database.query({
      text: `INSERT INTO rooms VALUES (1, '!room:here', '1', 7), (2, '!other:here', '1', 7);
        INSERT INTO auth_chain_places VALUES (1, 11, 5, 1), (1, 12, 6, 1);
        INSERT INTO auth_chain_links VALUES (1, 6, 1, 5, 1);`,
    });
    await insert(11, '$a', 'A');
    await insert(12, '$chosen:here', null);
    await insert(13, '$chosen:here', null, 2);
    await migrate(test.database, migrations, silentLogger);
  });
  afterAll(() => test.close());

  it('is found by id and reads as it is', async () => {
    const [record, ...more] = await eventsById(test.database, ['$a', '$none'] as EventId[]);
    expect(more).toEqual([]);
    expect(storedEventFrom(record!).event.pdu).toEqual(pdu);
    const ids = ['$chosen:here'] as EventId[];
    expect(await eventsById(test.database, ids)).toHaveLength(2);
    const [inRoom] = await eventsByIdInRoom(test.database, 2, ids);
    expect(inRoom).toMatchObject({ event_nid: 13, room_id: '!other:here' });
  });

  it('is not stored twice in a room, nor made twice by a transaction', async () => {
    await expect(insert(21, '$a', null)).rejects.toThrow('events_event_id');
    await expect(insert(22, '$b', 'A')).rejects.toThrow('events_transactions');
    await insert(23, '$a', null, 2);
    await insert(24, '$c', 'A', 2);
  });

  it('is known by its transaction', async () => {
    const find = (txnId: string, device = 'D') =>
      eventOfTransaction(test.database, '@me:here', device, { ...transaction, txnId });
    expect(await find('A')).toBe('$a');
    expect(await find('B')).toBeUndefined();
    expect(await find('A', 'E')).toBeUndefined();
    expect(await deviceTransactions(test.database, '@me:here', 'D', 10)).toContainEqual({
      ...transaction,
      eventId: '$a',
    });
  });

  it('keeps its links between auth chains', async () => {
    expect(await chainPlaces(test.database, 1)).toHaveLength(2);
    expect(await chainLinks(test.database, 1)).toEqual([
      { from_chain_nid: 6, from_seq: 1, to_chain_nid: 5, to_seq: 1 },
    ]);
  });

  it('has keys that no other database has', async () => {
    const other = await emptyTestDatabase(migrations);
    const text = `SELECT text_key('$a')::text AS key`;
    const here = await test.database.query({ text });
    expect((await other.database.query({ text })).rows).not.toEqual(here.rows);
    await other.close();
  });
});
