import type { JsonObject } from '../spec/event.ts';
import { rulesOf } from '../spec/room-versions.ts';
import { buildRoom, type RoomBuilder } from '../spec/testing/room-builder.ts';
import { type CheckedPdu, checkedEvents, checkPdus } from './checked-events.ts';
import { pduOf, type RoomPeer } from './testing/room-peer.ts';
import { type NetworkServer, TestNetwork } from './testing/test-network.ts';

describe('events of other servers', () => {
  let network: TestNetwork;
  let here: NetworkServer;
  let peer: RoomPeer;

  beforeAll(async () => {
    network = await TestNetwork.open();
    here = await network.server();
    peer = await network.peer();
  });
  afterAll(() => network.close());

  const check = (room: RoomBuilder, ...pdus: unknown[]): Promise<CheckedPdu[]> =>
    checkPdus(here.federation.transport.keyRing, { id: room.roomId, rules: room.rules }, pdus);

  it.each(['1', '2', '3', '5', '6', '8', '11', '12'])('pass in version %s', async (version) => {
    const room = peer.buildRoom({ version });
    const message = room.message(room.creator, 'hello');
    const events = room.timeline.map((event) => pduOf(room, event));
    const checked = await check(room, ...events);
    expect(checked.map(({ error }) => error)).toEqual(events.map(() => undefined));
    expect(checked.at(-1)?.event).toEqual(message);
  });

  it('are dropped when they are none', async () => {
    const room = peer.buildRoom();
    const good = pduOf(room, room.message(room.creator));
    const { signatures: _, ...unsigned } = good;
    const checked = await check(room, null, 7, [], {}, { ...good, depth: -1 }, unsigned, good);
    expect(checked.map(({ event }) => event !== undefined)).toEqual([
      ...Array(6).fill(false),
      true,
    ]);
  });

  it('are dropped when of another room', async () => {
    const room = peer.buildRoom();
    const other = peer.buildRoom({ name: 'other' });
    const [checked] = await check(room, pduOf(other, other.message(other.creator)));
    expect(checked?.error).toBe('The event is of another room');
  });

  it('are dropped when the signature is wrong, missing, or by a key nobody has', async () => {
    const room = peer.buildRoom();
    const pdu = pduOf(room, room.message(room.creator));
    const signatures = pdu['signatures'] as Record<string, Record<string, string>>;
    const signature = signatures[peer.name]?.['ed25519:test'] as string;
    const [tampered, unsigned, unknownKey] = await check(
      room,
      { ...pdu, origin_server_ts: 5 },
      { ...pdu, signatures: { 'elsewhere.test': signatures[peer.name] } },
      { ...pdu, signatures: { [peer.name]: { 'ed25519:none': signature } } },
    );
    expect(tampered?.error).toMatch(/wrong/);
    expect(unsigned?.error).toMatch(/no signature/);
    expect(unknownKey?.error).toMatch(/No valid key/);
  });

  it('are dropped when their server cannot be asked for its keys', async () => {
    const room = buildRoom({ creator: '@someone:127.0.0.1:1' });
    const [checked] = await check(room, pduOf(room, room.create));
    expect(checked?.error).toMatch(/No valid key/);
  });

  it('come out redacted when the content is not what was hashed', async () => {
    const room = peer.buildRoom();
    const event = room.message(room.creator, 'as signed');
    const [checked] = await check(room, { ...pduOf(room, event), content: { body: 'forged' } });
    expect(checked?.event?.eventId).toBe(event.eventId);
    expect(checked?.event?.content).toEqual({});
    expect(checked?.event?.pdu.content).toEqual({});
  });

  it('lose what anyone may have written beside them', async () => {
    const room = peer.buildRoom();
    const event = room.message(room.creator);
    const [checked] = await check(room, { ...pduOf(room, event), unsigned: { age: 5 } });
    expect(checked?.event?.pdu).not.toHaveProperty('unsigned');
  });

  it('need the signature of the authorising server', async () => {
    const authoriser = await network.peer();
    const room = peer.buildRoom({ version: '10' });
    const content = { join_authorised_via_users_server: authoriser.user('mod') };
    const joiner = peer.user('joiner');
    const lacking = room.member(joiner, 'join', { content });
    const signed = room.member(joiner, 'join', { content, alsoSignedBy: [authoriser.name] });
    const [first, second] = await check(room, pduOf(room, lacking), pduOf(room, signed));
    expect(first?.error).toContain(authoriser.name);
    expect(second?.event?.eventId).toBe(signed.eventId);
  });

  it('are told each once', async () => {
    const room = peer.buildRoom();
    const pdu = pduOf(room, room.message(room.creator));
    const { keyRing } = here.federation.transport;
    const events = await checkedEvents(keyRing, { id: room.roomId, rules: room.rules }, [pdu, pdu]);
    expect(events).toHaveLength(1);
  });

  it('may have any number of references only in answers to backfill', async () => {
    const room = peer.buildRoom({ version: '6' });
    const prev = Array.from({ length: 25 }, (_, index) =>
      room.message(room.creator, `${index}`, { prev: room.extremities.slice(0, 1) }),
    );
    const many = pduOf(room, room.message(room.creator, 'many', { prev }));
    const { keyRing } = here.federation.transport;
    const of = { id: room.roomId, rules: rulesOf('6') as RoomBuilder['rules'] };
    expect(await checkedEvents(keyRing, of, [many])).toHaveLength(0);
    expect(await checkedEvents(keyRing, of, [many], { anyReferences: true })).toHaveLength(1);
  });

  it('let other work go on while thousands are checked', async () => {
    const room = peer.buildRoom();
    const pdus: JsonObject[] = [];
    for (let index = 0; index < 1500; index += 1) {
      pdus.push(pduOf(room, room.message(room.creator, `${index}`)));
    }
    let longestMs = 0;
    let beforeMs = performance.now();
    const timer = setInterval(() => {
      longestMs = Math.max(longestMs, performance.now() - beforeMs);
      beforeMs = performance.now();
    }, 1);
    const checked = await check(room, ...pdus);
    clearInterval(timer);
    expect(checked.every(({ event }) => event !== undefined)).toBe(true);
    expect(longestMs).toBeLessThan(200);
  });
});
