import { type MatrixEvent, stateKeyOf } from '../spec/event.ts';
import type { EventId, RoomId, UserId } from '../spec/identifiers.ts';
import { Guest } from './testing/guest.ts';
import { type NetworkServer, TestNetwork } from './testing/test-network.ts';

describe('a redaction of another server', () => {
  let network: TestNetwork;
  let here: NetworkServer;
  let alice: UserId;
  let roomId: RoomId;
  let guest: Guest;
  let said: EventId;
  let people = 0;

  beforeAll(async () => {
    network = await TestNetwork.open();
    here = await network.server();
    alice = await here.user('alice');
  });
  beforeEach(async () => {
    network.clock.advance(1);
    roomId = await here.rooms.roomCreator.create(alice, { preset: 'public_chat', version: '11' });
    guest = await Guest.join(await network.peer(), here.name, roomId);
    said = await here.say(alice, roomId, 'judge this');
  });
  afterAll(() => network.close());

  const setPower = async (power: number): Promise<MatrixEvent> => {
    const id = await here.core.localEvents.send(roomId, {
      type: 'm.room.power_levels',
      stateKey: '',
      sender: alice,
      content: { users: { [alice]: 100, [guest.userId]: power }, redact: 50 },
    });
    const { event } = (await here.core.events.byId(id)) as { event: MatrixEvent };
    guest.state.set(stateKeyOf('m.room.power_levels', ''), event);
    return event;
  };
  const redactAt = async (at: MatrixEvent): Promise<void> => {
    const redaction = guest.make({
      type: 'm.room.redaction',
      content: { redacts: said },
      prev: [at.eventId],
      depth: at.depth + 1,
    });
    expect((await guest.send([redaction])).body.pdus).toEqual({ [redaction.id]: {} });
  };
  const waiting = async (): Promise<string[]> => {
    const { rows } = await here.core.database.query<{ event_id: string }>({
      text: `SELECT event_id FROM unapplied_redactions
        JOIN rooms USING (room_nid) WHERE room_id = $1`,
      values: [roomId],
    });
    return rows.map((row) => row.event_id);
  };
  const isRedacted = async () => (await here.core.events.byId(said))?.redactedByNid !== undefined;

  it('counts where its sender had the power, though they have it no more', async () => {
    const before = await setPower(50);
    const redacted = redactAt.bind(undefined, before);
    const state = new Map(guest.state);
    await setPower(0);
    guest.state.clear();
    for (const [key, event] of state) guest.state.set(key, event);
    await redacted();
    expect(await isRedacted()).toBe(true);
  });

  it('of this server waits for an event that is not here, and is carried out when it comes', async () => {
    const late = guest.message('not here yet');
    const sender = {
      userId: alice,
      deviceId: undefined,
      isAdmin: false,
      isGuest: false,
      suspended: false,
    };
    const by = await here.rooms.eventSender.redaction(
      sender,
      { roomId, txnId: 'early', content: {} },
      late.id,
    );
    expect(await waiting()).toEqual([late.id]);
    expect((await guest.send([late])).body.pdus).toEqual({ [late.id]: {} });
    for (const clear of [false, true]) {
      if (clear) here.core.events.clear();
      const stored = await here.core.events.byId(late.id);
      expect(stored?.event.content).toEqual({});
      expect(stored?.redactedByNid).toBe((await here.core.events.byId(by))?.nid);
    }
    expect(await waiting()).toEqual([]);
  });

  it('of this server changes nothing where the event shows that its sender may not', async () => {
    const late = guest.message('mine');
    await setPower(0);
    const bob = await here.user(`bob${people++}`);
    await here.rooms.membership.join(bob, roomId);
    const sender = {
      userId: bob,
      deviceId: undefined,
      isAdmin: false,
      isGuest: false,
      suspended: false,
    };
    await here.rooms.eventSender.redaction(
      sender,
      { roomId, txnId: 'early', content: {} },
      late.id,
    );
    await guest.send([late]);
    expect((await here.core.events.byId(late.id))?.event.content).toMatchObject({ body: 'mine' });
  });

  it('does not where its sender came to the power afterwards', async () => {
    const before = await setPower(0);
    const state = new Map(guest.state);
    await setPower(50);
    guest.state.clear();
    for (const [key, event] of state) guest.state.set(key, event);
    await redactAt(before);
    expect(await isRedacted()).toBe(false);
  });
});
