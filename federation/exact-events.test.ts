/** Events of room versions 1 to 5 with numbers that JavaScript does not write as they were sent. */
import { storedEventFrom } from '../homeserver/rooms/event-store.ts';
import type { StoredEvent } from '../homeserver/rooms/stored-event.ts';
import { eventsById } from '../homeserver/storage/events.ts';
import { hashAndSignPdu } from '../spec/build-event.ts';
import { exactJson } from '../spec/canonical-json.ts';
import type { JsonObject } from '../spec/event.ts';
import { checkContentHash, parsePdu } from '../spec/event-format.ts';
import { parseExactJson, readExactJson } from '../spec/exact-numbers.ts';
import { eventIdOf } from '../spec/hashes.ts';
import type { RoomId, UserId } from '../spec/identifiers.ts';
import { verifyEventSignature } from '../spec/signing.ts';
import { Guest, type MadeEvent } from './testing/guest.ts';
import { until } from './testing/memory-log.ts';
import type { RoomPeer } from './testing/room-peer.ts';
import { type NetworkServer, TestNetwork } from './testing/test-network.ts';

// As Python writes them.
const NUMBERS = '[1.0,200.0,1e-07,-0.0,1e+16,9007199254740993,12345678901234567890]';
const CONTENT = `{"body":"numbers","msgtype":"m.text","n":${NUMBERS}}`;

describe.each(['3', '5'])('numbers in rooms of version %s', (version) => {
  let network: TestNetwork;
  let here: NetworkServer;
  let peer: RoomPeer;
  let other: RoomPeer;
  let alice: UserId;
  let roomId: RoomId;
  let guest: Guest;

  beforeAll(async () => {
    network = await TestNetwork.open();
    here = await network.server();
    alice = await here.user('alice');
    peer = await network.peer();
    other = await network.peer();
    roomId = await here.rooms.roomCreator.create(alice, { preset: 'public_chat', version });
    guest = await Guest.join(peer, here.name, roomId);
    await Guest.join(other, here.name, roomId, other.user('other'));
  });
  afterAll(() => network.close());

  /** Written, that is: memory knows an event before the database does. */
  const arrived = async ({ id }: MadeEvent): Promise<StoredEvent> => {
    await until(async () => (await eventsById(here.core.database, [id])).length > 0);
    return (await here.core.events.byId(id)) as StoredEvent;
  };
  const fromDatabase = async ({ id }: MadeEvent): Promise<StoredEvent> => {
    const [record] = await eventsById(here.core.database, [id]);
    if (record === undefined) throw new Error('not stored');
    return storedEventFrom(record);
  };
  const send = async (made: MadeEvent) => {
    expect(await guest.send([made])).toMatchObject({ status: 200, body: { pdus: {} } });
    await arrived(made);
  };
  const message = () =>
    guest.make({
      type: 'm.room.message',
      content: parseExactJson(CONTENT) as JsonObject,
    });

  it('are stored and shown, and the content hash stays right', async () => {
    const made = message();
    await send(made);
    for (const { event } of [await arrived(made), await fromDatabase(made)]) {
      expect(event.content['n']).toStrictEqual(JSON.parse(NUMBERS));
      expect(exactJson(event.pdu)).toContain(`"n":${NUMBERS}`);
      expect(checkContentHash(event, guest.rules)).toBe(true);
    }
    expect(await here.messages(alice, roomId)).toContain('numbers');
  });

  it('are passed on as they came', async () => {
    const made = message();
    await send(made);
    const { text } = await peer.ask(
      here.name,
      'GET',
      `/_matrix/federation/v1/event/${encodeURIComponent(made.id)}`,
    );
    const { pdus } = readExactJson(text).value as { pdus: JsonObject[] };
    const event = parsePdu(pdus[0], guest.rules);
    expect(event.eventId).toBe(made.id);
    expect(checkContentHash(event, guest.rules)).toBe(true);
    const { keyId, publicKey } = peer.peer.key;
    expect(verifyEventSignature(event, guest.rules, peer.name, keyId, publicKey)).toBe(true);
  });

  it('are kept in what is fetched, too', async () => {
    const missed = message();
    const next = guest.message('next');
    peer.on(/^POST \/_matrix\/federation\/v1\/get_missing_events\//, () => ({
      status: 200,
      body: exactJson({ events: [missed.pdu] }),
    }));
    await send(next);
    const { event } = await fromDatabase(missed);
    expect(exactJson(event.pdu)).toContain(`"n":${NUMBERS}`);
    expect(checkContentHash(event, guest.rules)).toBe(true);
  });

  it('keep state and what redaction leaves of it as signed', async () => {
    const made = guest.make({
      type: 'm.room.member',
      stateKey: guest.userId,
      content: parseExactJson('{"membership":"join","n":1.0}') as JsonObject,
    });
    await send(made);
    expect(exactJson((await fromDatabase(made)).event.pdu)).toContain('"n":1.0');
  });

  it('may be the greatest depth there is', async () => {
    const { hashes: _hashes, signatures: _signatures, ...draft } = message().pdu;
    const depth = parseExactJson('9223372036854775807') as number;
    const { name, peer: server } = peer;
    const pdu = hashAndSignPdu({ ...draft, depth } as never, guest.rules, name, server.key);
    const made = { pdu: pdu as unknown as JsonObject, id: eventIdOf(pdu, guest.rules) };
    await send(made as MadeEvent);
    const { event } = await fromDatabase(made as MadeEvent);
    expect(event.depth).toBe(Number.MAX_SAFE_INTEGER);
    expect(exactJson(event.pdu)).toContain('"depth":9223372036854775807,');
    expect(checkContentHash(event, guest.rules)).toBe(true);
  });
});

describe('a number that canonical JSON has no form for', () => {
  let network: TestNetwork;
  beforeAll(async () => {
    network = await TestNetwork.open();
  });
  afterAll(() => network.close());

  it('has no place in events of version 6 and later', async () => {
    const here = await network.server();
    const peer = await network.peer();
    const alice = await here.user('alice');
    const roomId = await here.rooms.roomCreator.create(alice, {
      preset: 'public_chat',
      version: '6',
    });
    const guest = await Guest.join(peer, here.name, roomId);
    const made = guest.message('ok');
    const content = parseExactJson('{"body":"ok","msgtype":"m.text","n":1.0}') as JsonObject;
    const { body } = await guest.send([{ ...made.pdu, content }]);
    const errors = Object.values(body.pdus as Record<string, { error?: string }>);
    expect(errors.every(({ error }) => error !== undefined)).toBe(true);
    expect(await here.core.events.byId(made.id)).toBeUndefined();
    const { status } = await guest.send(
      [],
      [
        {
          edu_type: 'm.typing',
          content: parseExactJson(
            `{"room_id":"${roomId}","user_id":"${guest.userId}","typing":true,"n":1.0}`,
          ) as JsonObject,
        },
      ],
    );
    expect(status).toBe(200);
  });
});
