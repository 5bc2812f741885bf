import type { RoomId } from '../../../spec/identifiers.ts';
import { idsIn, type Person, type RoomServer, roomServer } from '../../testing/room-server.ts';

let test: RoomServer;
let alice: Person;
let bob: Person;
beforeAll(async () => {
  test = await roomServer();
  [alice, bob] = ['alice', 'bob'].map(test.person) as [Person, Person];
});
afterAll(() => test.stop());

const message = { msgtype: 'm.text', body: 'hello' };
const path = (roomId: RoomId, rest: string): string => `/rooms/${idsIn(roomId)}/${rest}`;
const contentOf = async (roomId: RoomId, eventId: string) =>
  (await alice.get(path(roomId, `event/${eventId}`))).body.content;

describe('sending', () => {
  it('is done once for each transaction, type and room', async () => {
    const roomId = await alice.createRoom();
    const other = await alice.createRoom();
    const send = (room: RoomId, type: string) =>
      alice.put(path(room, `send/${type}/same`), message).then(({ body }) => body.event_id);
    const answers = await Promise.all([
      send(roomId, 'm.room.message'),
      send(roomId, 'm.room.message'),
      send(roomId, 'org.example'),
      send(other, 'm.room.message'),
    ]);
    expect(new Set(answers).size).toBe(3);
    test.core.transactions.forget();
    expect(await send(roomId, 'm.room.message')).toBe(answers[0]);
    expect(await send(roomId, 'org.example')).toBe(answers[2]);
    const shown = await alice.get(path(roomId, `event/${answers[0]}`));
    expect(shown.body).toMatchObject({ content: message, unsigned: { transaction_id: 'same' } });
    await bob.join(roomId);
    const others = await bob.get(path(roomId, `event/${answers[0]}`));
    expect(others.body.unsigned.transaction_id).toBeUndefined();
  });

  it('is for members, with sound JSON of bounded size', async () => {
    const roomId = await alice.createRoom();
    const send = (person: Person, body: unknown) =>
      person.put(path(roomId, `send/m.room.message/${Math.random()}`), body);
    expect(await send(bob, message)).toMatchObject({
      status: 403,
      body: { errcode: 'M_FORBIDDEN' },
    });
    expect((await send(alice, '{')).body.errcode).toBe('M_NOT_JSON');
    expect((await send(alice, [1])).body.errcode).toBe('M_BAD_JSON');
    expect((await send(alice, { body: 'x'.repeat(65_600) })).body.errcode).toBe('M_TOO_LARGE');
    const nowhere = await alice.put('/rooms/!none:here.test/send/m.room.message/1', message);
    expect(nowhere.body.errcode).toBe('M_FORBIDDEN');
  });

  it('takes no time from those who are no application service', async () => {
    const roomId = await alice.createRoom();
    const { body } = await alice.put(path(roomId, 'send/m.room.message/t?ts=1'), message);
    const event = await alice.get(path(roomId, `event/${body.event_id}`));
    expect(event.body.origin_server_ts).toBe(test.clock.nowMs());
  });
});

describe.each(['10', '12'])('redacting in version %s', (version) => {
  const room = async (): Promise<RoomId> => {
    const roomId = await alice.createRoom({ preset: 'public_chat', room_version: version });
    await bob.join(roomId);
    return roomId;
  };
  let transactions = 0;
  const redact = (person: Person, roomId: RoomId, eventId: string) =>
    person.put(path(roomId, `redact/${eventId}/${version}txn${transactions++}`), { reason: 'why' });

  it('prunes events of one’s own, and with the power those of others', async () => {
    const roomId = await room();
    const [first, second] = [await bob.say(roomId, 'one'), await bob.say(roomId, 'two')];
    const redaction = await redact(bob, roomId, first);
    expect(redaction.status).toBe(200);
    expect(await contentOf(roomId, first)).toEqual({});
    const shown = await alice.get(path(roomId, `event/${first}`));
    expect(shown.body.unsigned.redacted_because).toMatchObject({
      type: 'm.room.redaction',
      redacts: first,
      content: { reason: 'why', redacts: first },
    });
    expect((await redact(alice, roomId, second)).status).toBe(200);
    expect(await contentOf(roomId, second)).toEqual({});
    const { rows } = await test.core.database.query({
      text: `SELECT 1 FROM events WHERE event_id = ANY($1)
        AND (json LIKE '%m.text%' OR json NOT LIKE '{%')`,
      values: [[first, second]],
    });
    expect(rows).toEqual([]);
  });

  it('is sent though the event is not here, and reaches into no other room', async () => {
    const roomId = await room();
    const other = await room();
    const elsewhere = await alice.say(other, 'two');
    const unknown = `$${'u'.repeat(43)}`;
    for (const target of [elsewhere, unknown]) {
      const { status, body } = await redact(alice, roomId, target);
      expect(status).toBe(200);
      expect((await test.core.events.byId(body.event_id))?.event.type).toBe('m.room.redaction');
    }
    expect(await contentOf(other, elsewhere)).toEqual({ msgtype: 'm.text', body: 'two' });
  });

  it('works through /send too', async () => {
    const roomId = await room();
    const event = await bob.say(roomId, 'one');
    const sent = await bob.put(path(roomId, `send/m.room.redaction/r${version}`), {
      redacts: event,
      reason: 'x',
    });
    expect(sent.status).toBe(200);
    expect(await contentOf(roomId, event)).toEqual({});
    const bad = await bob.put(path(roomId, `send/m.room.redaction/q${version}`), {});
    expect(bad.body.errcode).toBe('M_BAD_JSON');
  });

  it('is refused for the events of others and for what holds the room', async () => {
    const roomId = await room();
    const event = await alice.say(roomId, 'one');
    expect(await redact(bob, roomId, event)).toMatchObject({
      status: 403,
      body: { errcode: 'M_FORBIDDEN' },
    });
    expect(await contentOf(roomId, event)).toEqual({ msgtype: 'm.text', body: 'one' });
    expect((await redact(alice, roomId, 'nothing')).status).toBe(400);
    const create = await alice.get(path(roomId, 'state/m.room.create?format=event'));
    expect((await redact(alice, roomId, create.body.event_id)).status).toBe(403);
  });
});
