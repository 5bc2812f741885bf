import type { LiveRoom } from '../../homeserver/rooms/live-room.ts';
import type { StoredEvent } from '../../homeserver/rooms/stored-event.ts';
import type { JsonObject } from '../../spec/event.ts';
import { parsePdu } from '../../spec/event-format.ts';
import type { EventId, RoomId, UserId } from '../../spec/identifiers.ts';
import { rulesOf } from '../../spec/room-versions.ts';
import { StateAnswers } from '../rooms/state-answers.ts';
import { ANY_REQUEST } from '../testing/any-request.ts';
import type { RoomPeer } from '../testing/room-peer.ts';
import { type NetworkServer, TestNetwork } from '../testing/test-network.ts';

const rules = rulesOf('11') as NonNullable<ReturnType<typeof rulesOf>>;
const idsOf = (pdus: readonly unknown[]): EventId[] =>
  pdus.map((pdu) => parsePdu(pdu, rules).eventId);

describe('rooms read by other servers', () => {
  let network: TestNetwork;
  let here: NetworkServer;
  let there: NetworkServer;
  let stranger: RoomPeer;
  let alice: UserId;
  let bob: UserId;
  let roomId: RoomId;
  let messages: EventId[];

  /** As `there`, which is in the room: signs with that server's own key. */
  const ask = (method: 'GET' | 'POST', path: string, body?: JsonObject): Promise<JsonObject> =>
    there.federation.transport.client.request({
      destination: here.name,
      method,
      path: `/_matrix/federation/v1${path}`,
      ...(body !== undefined && { body }),
      ...ANY_REQUEST,
    });
  const inRoom = (name: string): string => `/${name}/${encodeURIComponent(roomId)}`;
  const id = (eventId: EventId): string => encodeURIComponent(eventId);

  beforeAll(async () => {
    network = await TestNetwork.open();
    here = await network.server();
    there = await network.server();
    stranger = await network.peer();
    alice = await here.user('alice');
    bob = await there.user('bob');
  });
  beforeEach(async () => {
    roomId = await here.rooms.roomCreator.create(alice, { preset: 'public_chat', version: '11' });
    await there.rooms.membership.join(bob, roomId, { via: [here.name] });
    messages = [];
    for (let count = 0; count < 5; count += 1) {
      messages.push(await here.say(alice, roomId, `message ${count}`));
    }
  });
  afterAll(() => network.close());

  it('give single events', async () => {
    const answer = await ask('GET', `/event/${id(messages[2] as EventId)}`);
    expect(answer).toMatchObject({ origin: here.name, origin_server_ts: network.clock.nowMs() });
    expect(idsOf(answer['pdus'] as unknown[])).toEqual([messages[2]]);
    await expect(ask('GET', `/event/$${'x'.repeat(43)}`)).rejects.toMatchObject({ status: 404 });
  });

  it('give the state before an event, in full and by ids', async () => {
    const name = await here.core.localEvents.send(roomId, {
      type: 'm.room.name',
      stateKey: '',
      sender: alice,
      content: { name: 'Named' },
    });
    const before = await ask('GET', `${inRoom('state')}?event_id=${id(name)}`);
    const ids = await ask('GET', `${inRoom('state_ids')}?event_id=${id(name)}`);
    const state = idsOf(before['pdus'] as unknown[]);
    expect(state.sort()).toEqual([...(ids['pdu_ids'] as EventId[])].sort());
    expect(state).not.toContain(name);
    expect(idsOf(before['auth_chain'] as unknown[]).sort()).toEqual(
      [...(ids['auth_chain_ids'] as EventId[])].sort(),
    );
    const after = await here.say(alice, roomId, 'later');
    const later = await ask('GET', `${inRoom('state_ids')}?event_id=${id(after)}`);
    expect((later['pdu_ids'] as EventId[]).sort()).toEqual([...state, name].sort());
  });

  it('make equal answers about a state once for all who ask meanwhile', async () => {
    const states = new StateAnswers({ ...here.core, db: here.core.database });
    const room = (await here.core.registry.find(roomId)) as LiveRoom;
    const stored = (await here.core.events.byId(messages[4] as EventId)) as StoredEvent;
    const ask = () =>
      Promise.all([states.stateJson(room, stored), states.stateIdsJson(room, stored)]);
    const [first, second] = await Promise.all([ask(), ask()]);
    expect(second[0]).toBe(first[0]);
    expect(second[1]).toBe(first[1]);
    const [later] = await ask();
    expect(later).not.toBe(first[0]);
    expect(later).toEqual(first[0]);
  });

  it('give auth chains', async () => {
    const [message] = messages;
    const { auth_chain: chain } = await ask(
      'GET',
      `${inRoom('event_auth')}/${id(message as EventId)}`,
    );
    const stored = await here.core.events.byId(message as EventId);
    expect(idsOf(chain as unknown[])).toEqual(
      expect.arrayContaining([...(stored?.event.authEventIds ?? [])]),
    );
    expect(idsOf(chain as unknown[])).not.toContain(message);
  });

  it('give history backwards from events', async () => {
    const { pdus } = await ask(
      'GET',
      `${inRoom('backfill')}?v=${id(messages[3] as EventId)}&limit=3`,
    );
    expect(idsOf(pdus as unknown[])).toEqual([messages[3], messages[2], messages[1]]);
    const all = await ask(
      'GET',
      `${inRoom('backfill')}?v=${id(messages[3] as EventId)}&limit=1000`,
    );
    const types = (all['pdus'] as JsonObject[]).map(({ type }) => type);
    expect(types.at(-1)).toBe('m.room.create');
  });

  it('give what lies between events', async () => {
    const between = (fields: JsonObject) =>
      ask('POST', inRoom('get_missing_events'), {
        earliest_events: [messages[0] as EventId],
        latest_events: [messages[4] as EventId],
        ...fields,
      });
    expect(idsOf((await between({}))['events'] as unknown[])).toEqual(messages.slice(1, 4));
    expect(await ask('POST', inRoom('get_missing_events'), {})).toEqual({ events: [] });
    const limited = await between({ limit: 2 });
    expect(idsOf(limited['events'] as unknown[])).toEqual(messages.slice(2, 4));
    const { depth } = (await here.core.events.byId(messages[3] as EventId))?.event ?? {};
    const deep = await between({ min_depth: depth as number });
    expect(idsOf(deep['events'] as unknown[])).toEqual([messages[3]]);
  });

  it('are closed to servers that are not in them', async () => {
    const event = id(messages[0] as EventId);
    const answers = await Promise.all([
      stranger.ask(here.name, 'GET', `/_matrix/federation/v1${inRoom('state')}?event_id=${event}`),
      stranger.ask(
        here.name,
        'GET',
        `/_matrix/federation/v1${inRoom('state_ids')}?event_id=${event}`,
      ),
      stranger.ask(here.name, 'GET', `/_matrix/federation/v1${inRoom('event_auth')}/${event}`),
      stranger.ask(
        here.name,
        'GET',
        `/_matrix/federation/v1${inRoom('backfill')}?v=${event}&limit=1`,
      ),
      stranger.ask(here.name, 'POST', `/_matrix/federation/v1${inRoom('get_missing_events')}`, {
        earliest_events: [],
        latest_events: [messages[4] as EventId],
      }),
    ]);
    for (const { status, body } of answers) {
      expect([status, body.errcode]).toEqual([403, 'M_FORBIDDEN']);
    }
    const single = await stranger.ask(here.name, 'GET', `/_matrix/federation/v1/event/${event}`);
    expect(single.status).toBe(404);
  });

  it('are unknown when this server is not in them', async () => {
    const { status } = await stranger.ask(
      here.name,
      'GET',
      `/_matrix/federation/v1/state_ids/!none:${here.name}?event_id=${id(messages[0] as EventId)}`,
    );
    expect(status).toBe(404);
  });

  it('show anyone single events while they are world-readable', async () => {
    await here.core.localEvents.send(roomId, {
      type: 'm.room.history_visibility',
      stateKey: '',
      sender: alice,
      content: { history_visibility: 'world_readable' },
    });
    const open = await here.say(alice, roomId, 'for everyone');
    const seen = await stranger.ask(here.name, 'GET', `/_matrix/federation/v1/event/${id(open)}`);
    expect(seen.body.pdus[0].content.body).toBe('for everyone');
    const closed = id(messages[0] as EventId);
    const unseen = await stranger.ask(here.name, 'GET', `/_matrix/federation/v1/event/${closed}`);
    expect(unseen.status).toBe(404);
  });

  it('are redacted where the history is not for the other server', async () => {
    const closed = await here.rooms.roomCreator.create(alice, {
      preset: 'public_chat',
      version: '11',
      initialState: [
        {
          type: 'm.room.history_visibility',
          stateKey: '',
          content: { history_visibility: 'joined' },
        },
      ],
    });
    const secret = await here.say(alice, closed, 'secret');
    await there.rooms.membership.join(bob, closed, { via: [here.name] });
    const shared = await here.say(alice, closed, 'shared');
    const contentOf = async (eventId: EventId) => {
      const { pdus } = await ask('GET', `/event/${id(eventId)}`);
      return (pdus as JsonObject[])[0]?.['content'];
    };
    expect(await contentOf(secret)).toEqual({});
    expect(await contentOf(shared)).toMatchObject({ body: 'shared' });
    const { pdus } = await ask(
      'GET',
      `/backfill/${encodeURIComponent(closed)}?v=${id(shared)}&limit=50`,
    );
    const bodies = (pdus as JsonObject[]).map(({ content }) => (content as JsonObject)['body']);
    expect(bodies).toContain('shared');
    expect(bodies).not.toContain('secret');
  });

  it('are closed to servers that the room denies', async () => {
    await here.core.localEvents.send(roomId, {
      type: 'm.room.server_acl',
      stateKey: '',
      sender: alice,
      content: { allow: ['*'], deny: ['127.0.0.*'] },
    });
    const denied = { status: 403, errcode: 'M_FORBIDDEN' };
    const [message] = messages as [EventId];
    await expect(ask('GET', `/event/${id(message)}`)).rejects.toMatchObject(denied);
    await expect(
      ask('GET', `${inRoom('backfill')}?v=${id(message)}&limit=1`),
    ).rejects.toMatchObject(denied);
    await expect(ask('GET', `${inRoom('make_join')}/${bob}?ver=11`)).rejects.toMatchObject(denied);
    // Whatever is asked.
    await expect(ask('POST', inRoom('get_missing_events'), {})).rejects.toMatchObject(denied);
  });

  it('refuse nonsense', async () => {
    const asked = [
      `${inRoom('backfill')}?limit=3`,
      `${inRoom('backfill')}?v=nothing&limit=3`,
      `${inRoom('state')}?event_id=nothing`,
      '/event/nothing',
    ].map((path) => ask('GET', path));
    for (const answer of asked) await expect(answer).rejects.toMatchObject({ status: 400 });
  });
});
