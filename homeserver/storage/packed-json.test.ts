import { canonicalJson, exactJson } from '../../spec/canonical-json.ts';
import type { JsonObject, MatrixEvent } from '../../spec/event.ts';
import { readExactJson } from '../../spec/exact-numbers.ts';
import { redactEvent } from '../../spec/redaction.ts';
import { KNOWN_ROOM_VERSIONS } from '../../spec/room-versions.ts';
import { RoomBuilder } from '../../spec/testing/room-builder.ts';
import { seededRandom } from '../testing/seeded-random.ts';
import { type TestDatabase, testDatabase } from '../testing/test-database.ts';
import { type PackedWith, packedJson, packedJsonColumns, unpackedJson } from './packed-json.ts';

const alice = '@alice:alpha.test';
const columnsOf = (event: MatrixEvent): PackedWith => ({
  roomId: event.roomId,
  type: event.type,
  sender: event.sender,
  depth: event.depth,
  originServerTs: event.originServerTs,
});

const join = {
  type: 'm.room.member',
  stateKey: alice,
  sender: alice,
  content: { membership: 'join' },
};

let test: TestDatabase;
beforeAll(async () => {
  test = await testDatabase();
});
afterAll(() => test.close());

/** Through the database and back, with what it says of each in its columns. */
const thereAndBack = async (
  cases: readonly { readonly json: string; readonly row: PackedWith }[],
): Promise<string[]> => {
  const { rows } = await test.database.query<{ packed: string }>({
    text: `SELECT ${packedJsonColumns} AS packed
      FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::text[])
        WITH ORDINALITY AS e (json, depth, origin_server_ts, sender, type, room_id, place)
      CROSS JOIN LATERAL (SELECT e.room_id) r ORDER BY place`,
    values: [
      cases.map(({ json, row }) => packedJson(json, row)),
      cases.map(({ row }) => row.depth),
      cases.map(({ row }) => row.originServerTs),
      cases.map(({ row }) => row.sender),
      cases.map(({ row }) => row.type),
      cases.map(({ row }) => row.roomId),
    ],
  });
  return rows.map(({ packed }) => unpackedJson(packed));
};

const shuffled = (object: JsonObject, random: () => number): JsonObject =>
  Object.fromEntries(
    Object.entries(object)
      .map((entry) => [random(), entry] as const)
      .sort(([a], [b]) => a - b)
      .map(([, entry]) => entry),
  );

/** What is left out elsewhere, in places where it has to stay. */
const awkward = ({ depth, originServerTs, sender, roomId, type }: PackedWith): string[] => [
  `},"depth":${depth},"hashes":{"sha256":"`,
  `","msgtype":"m.text"},"depth":${depth},"hashes":{"sha256":"`,
  `"},"origin_server_ts":${originServerTs},"prev_events":["$`,
  `"],"room_id":"${roomId}","sender":"${sender}","signatures":{"`,
  `"}},"type":"${type}"}`,
  '","$',
  '\u0001\u0006\u001f\u001e\u0000',
  '$& $1 \\ " \u2028 \ud83d\ude00',
];

describe.each(KNOWN_ROOM_VERSIONS)('events of room version %s', (version) => {
  it('come back character by character', async () => {
    const bytes = seededRandom(`packed ${version}`);
    const random = (): number => bytes.bytes(4).readUInt32LE() / 2 ** 32;
    const room = new RoomBuilder({ version });
    const say = (content: JsonObject, more = {}): MatrixEvent =>
      room.send({ type: 'm.room.message', sender: alice, content, ...more });
    room.send(join);
    room.send({ type: 'm.room.power_levels', sender: alice, stateKey: '', content: {} });
    room.send({ type: 'x.y', sender: alice, stateKey: 'key', content: { deep: { a: [1, {}] } } });
    room.send({ type: 'x"\u001f\u0001', sender: alice, stateKey: '"\\', content: {} });
    room.send({ type: 'é\u2028😀', sender: alice, content: {} });
    for (const name of ['alice', 'Alice Über', '', 'a","membership":"join"']) {
      for (const more of [{}, { avatar_url: 'mxc://alpha.test/a' }, { 'org.x': 1 }]) {
        room.send({ ...join, content: { membership: 'join', displayname: name, ...more } });
      }
    }
    const plain = say({ body: 'hello', msgtype: 'm.text' });
    for (const text of awkward(columnsOf(plain))) {
      say({ body: text, msgtype: 'm.text' });
      say({ [text]: { [text]: text } });
    }
    // The same, as values rather than text.
    const { depth } = plain;
    for (let ahead = 1; ahead < 12; ahead++) {
      say({ a: {}, depth: depth + ahead, hashes: { sha256: 'x' }, msgtype: 'm.text' }, { depth });
    }
    say({ algorithm: 'm.megolm.v1.aes-sha2', ciphertext: 'AwgA', session_id: 'x' });
    say({}, { alsoSignedBy: ['aaa.test', 'zzz.test'] });
    const left = [say({ body: 'one' }), say({ body: 'two' }, { prev: [plain] })];
    say({ body: 'both', msgtype: 'm.text' }, { prev: left });

    const cases: { json: string; row: PackedWith }[] = [];
    for (const event of room.timeline) {
      const row = columnsOf(event);
      const pdu = event.pdu as unknown as JsonObject;
      cases.push({ json: room.json.get(event.eventId) as string, row });
      cases.push({ json: exactJson(shuffled(pdu, random)), row });
      cases.push({ json: exactJson(redactEvent(event, room.rules).pdu), row });
      cases.push({ json: JSON.stringify({ ...pdu, unsigned: { age: 1 } }), row });
      cases.push({ json: canonicalJson({ ...pdu, origin: 'alpha.test' }), row });
      // Columns that say something else than the event.
      const other = { ...row, depth: row.depth + 1, originServerTs: 0, type: 'z', roomId: '!z' };
      cases.push({ json: room.json.get(event.eventId) as string, row: other });
    }
    // PostgreSQL has no NUL: such an event is never stored with it in a column.
    const storable = cases.filter(({ row }) => !row.type.includes('\u0000'));
    expect(await thereAndBack(storable)).toEqual(storable.map(({ json }) => json));
    for (const { json, row } of storable) {
      expect(packedJson(json, row).length).toBeLessThanOrEqual(json.length);
    }
  });

  it('and so do numbers as they were written', async () => {
    const room = new RoomBuilder({ version });
    room.send(join);
    const event = room.send({ type: 'm.room.message', sender: alice, content: { n: 1 } });
    const json = room.json.get(event.eventId) as string;
    const odd = [
      json.replace('"n":1', '"n":1.0'),
      json.replace(/"depth":\d+/, '"depth":9223372036854775807'),
      json.replace(/"depth":(\d+)/, '"depth":$1.0'),
      json.replace(/"origin_server_ts":(\d+)/, '"origin_server_ts":$1e0'),
    ].map((text) => exactJson(readExactJson(text).value));
    const row = columnsOf(event);
    expect(await thereAndBack(odd.map((text) => ({ json: text, row })))).toEqual(odd);
  });
});

it('what was stored before is read as it is', async () => {
  const json = '{"type":"a\\u001f", "content":{}}';
  const row = { roomId: '!a:b', type: 'a\u001f', sender: '@a:b', depth: 1, originServerTs: 2 };
  expect(packedJson(json, row)).toBe(json);
  expect(await thereAndBack([{ json, row }])).toEqual([json]);
});

it('half of what a join with a name takes is left out, and all of a name as the account has it', () => {
  const room = new RoomBuilder();
  room.send(join);
  const packedOf = (displayname: string): number => {
    const event = room.send({ ...join, content: { displayname, membership: 'join' } });
    const json = room.json.get(event.eventId) as string;
    const packed = packedJson(json, columnsOf(event));
    expect(packed.length).toBeLessThan(0.6 * json.length);
    return packed.length;
  };
  expect(packedOf('Alice') - packedOf('alice')).toBe('Alice'.length - 1);
});

it('half of what a message of some words takes is left out', () => {
  const room = new RoomBuilder();
  room.send(join);
  const content = { body: 'bread and wine, tomorrow at half past six', msgtype: 'm.text' };
  const event = room.send({ type: 'm.room.message', sender: alice, content });
  const json = room.json.get(event.eventId) as string;
  expect(packedJson(json, columnsOf(event)).length).toBeLessThan(0.6 * json.length);
});
