/** Events whose past is not here, from servers that help, do not help, or would have us work. */
import type { LiveRoom } from '../homeserver/rooms/live-room.ts';
import { Outliers } from '../homeserver/rooms/outliers.ts';
import { RemoteStates } from '../homeserver/rooms/remote-states.ts';
import { StateBudget } from '../homeserver/rooms/state-budget.ts';
import { LogWriteFailed } from '../homeserver/streams/log.ts';
import { createSync } from '../homeserver/sync/create-sync.ts';
import { parseSyncToken } from '../homeserver/sync/tokens.ts';
import { type JsonObject, type MatrixEvent, stateKeyOf } from '../spec/event.ts';
import { compileFilter } from '../spec/filter.ts';
import type { EventId, RoomId, ServerName, UserId } from '../spec/identifiers.ts';
import { FederationEvents } from './remote-events.ts';
import { Guest } from './testing/guest.ts';
import { inGuestScene } from './testing/guest-scene.ts';
import { until } from './testing/memory-log.ts';
import type { RoomPeer } from './testing/room-peer.ts';
import type { NetworkServer, TestNetwork } from './testing/test-network.ts';

const nowhere = (letter: string): EventId => `$${letter.repeat(43)}` as EventId;
const NOT_FOUND = { status: 404, body: '{"errcode":"M_NOT_FOUND"}' };

describe('events whose past is not here', () => {
  let network: TestNetwork;
  let here: NetworkServer;
  let peer: RoomPeer;
  let alice: UserId;
  let roomId: RoomId;
  let guest: Guest;

  inGuestScene(
    (scene) => {
      ({ network, here, peer, alice, roomId, guest } = scene);
    },
    { powerLevelOverride: { state_default: 0 } },
  );

  const texts = () => here.messages(alice, roomId);
  const asked = (part: string) => peer.received.filter(({ url }) => url.includes(part));
  const stateIds = (): EventId[] => [...guest.state.values()].map(({ eventId }) => eventId);
  /** Truthful answers about the state before any event: the one that the guest came into. */
  const tellState = (): void => {
    peer.on(/state_ids/, () => ({ pdu_ids: stateIds(), auth_chain_ids: stateIds() }));
    peer.on(/^GET \/_matrix\/federation\/v1\/event\/(.+)$/, (_, [, id = '']) => {
      const made = guest.made.get(id as EventId);
      return made === undefined ? NOT_FOUND : { pdus: [made.pdu] };
    });
  };

  it('are kept when this server fails for a moment', async () => {
    const event = guest.message('kept');
    const after = guest.message('after');
    const { merger } = here.core;
    const merge = merger.merge.bind(merger);
    let failures = 0;
    merger.merge = (...args) => {
      if (failures++ > 0) return merge(...args);
      return Promise.reject(new Error('timeout exceeded when trying to connect'));
    };
    const { status, body } = await guest.send([event, after]);
    expect([status, body.pdus]).toEqual([200, { [event.id]: {}, [after.id]: {} }]);
    expect(failures).toBeGreaterThan(0);
    await until(async () => (await texts()).includes('after'));
    expect(await texts()).toEqual(['kept', 'after']);
  });

  it('are asked for again when they cannot be kept at all', async () => {
    const event = guest.message('sent again');
    const append = here.core.log.append.bind(here.core.log);
    let failures = 0;
    here.core.log.append = (write) => {
      const isEvents = write.parts.some(({ section }) => section.name === 'room events');
      if (!isEvents || failures++ > 0) return append(write);
      write.failed?.(new LogWriteFailed('The log could not be written'));
      return Promise.reject(new LogWriteFailed('The log could not be written'));
    };
    expect((await guest.send([event], [], 'same')).status).toBe(500);
    expect((await guest.send([event], [], 'same')).body.pdus).toEqual({ [event.id]: {} });
    expect(await texts()).toEqual(['sent again']);
  });

  it('delay no other server’s events while nobody answers for them', async () => {
    const other = await network.peer();
    const honest = await Guest.join(other, here.name, roomId);
    peer.on(/get_missing_events/, () => 'hang');
    for (const letter of ['a', 'b', 'c']) {
      await guest.send([guest.message('stuck', { prev: [nowhere(letter)] })]);
    }
    expect(here.federation.queue.isWaiting(roomId)).toBe(true);
    const event = honest.message('at once');
    expect((await honest.send([event])).body.pdus).toEqual({ [event.id]: {} });
    expect(await texts()).toEqual(['at once']);
    // Nor those that need asking for.
    honest.tellMissing();
    honest.message('missed');
    await honest.send([honest.message('soon')]);
    await until(async () => (await texts()).includes('soon'));
    expect(await texts()).toEqual(['at once', 'missed', 'soon']);
  });

  it('are taken in where the auth chain is told in one way alone', async () => {
    const topic = guest.make({ type: 'm.room.topic', stateKey: '', content: { topic: 'gap' } });
    const levels = guest.state.get(stateKeyOf('m.room.power_levels', '')) as MatrixEvent;
    const changed = guest.make({
      type: 'm.room.join_rules',
      stateKey: '',
      content: { join_rule: 'public', n: 1 },
    });
    // An event resting on a membership that this server has not seen.
    const renamed = guest.make({
      type: 'm.room.member',
      stateKey: guest.userId,
      content: { membership: 'join', displayname: 'renamed' },
    });
    guest.state.set(stateKeyOf('m.room.member', guest.userId), renamed.event);
    const event = guest.message('on the other side');
    tellState();
    peer.on(/get_missing_events/, () => NOT_FOUND);
    peer.on(/event_auth/, () => NOT_FOUND);
    peer.on(/state_ids/, () => ({
      pdu_ids: [...stateIds(), topic.id, changed.id],
      auth_chain_ids: [...stateIds(), levels.eventId],
    }));
    await guest.send([event]);
    await until(async () => (await texts()).includes('on the other side'));
    expect((await here.core.events.byId(event.id))?.rejectedReason).toBeUndefined();
  });

  it('are shown to clients as what comes after a gap', async () => {
    const sync = createSync(here.core);
    const read = async (since?: string) =>
      JSON.parse(
        await sync.sync({
          userId: alice,
          deviceId: undefined,
          filter: compileFilter({}),
          since: since === undefined ? undefined : parseSyncToken(since),
          fullState: false,
          useStateAfter: false,
          timeoutMs: 0,
        }),
      );
    const { next_batch: before } = await read();
    await here.say(alice, roomId, 'before the gap');
    tellState();
    peer.on(/get_missing_events/, () => NOT_FOUND);
    const missing = guest.message('missing');
    const after = guest.message('after the gap');
    await guest.send([after]);
    await until(async () => (await here.core.events.byId(after.id))?.streamPos !== undefined);
    await here.say(alice, roomId, 'and on');
    const bodies = ({ timeline }: { timeline: { events: { content: { body: string } }[] } }) =>
      timeline.events.map(({ content }) => content.body);
    const { rooms } = await read(before);
    const shown = rooms.join[roomId];
    expect(shown.timeline.limited).toBe(true);
    expect(bodies(shown)).toEqual(['after the gap', 'and on']);
    // Paging back from there fills the gap.
    peer.on(/backfill/, () => ({ pdus: [missing.pdu] }));
    expect(await texts()).toEqual(['before the gap', 'missing', 'after the gap', 'and on']);
    const again = (await read(before)).rooms.join[roomId];
    expect([again.timeline.limited, bodies(again).at(-1)]).toEqual([false, 'and on']);
  });

  it('have no auth chain asked for where all of it is here', async () => {
    tellState();
    peer.on(/get_missing_events/, () => NOT_FOUND);
    guest.message('missing');
    await guest.send([guest.message('newest')]);
    await until(async () => (await texts()).includes('newest'));
    expect(asked('state_ids')).toHaveLength(1);
    expect(asked('event_auth')).toEqual([]);
  });

  it('bring no more of a state than was announced', async () => {
    const extra = Array.from({ length: 80 }, (_, index) =>
      guest.make({ type: `test.${index}`, stateKey: '', content: {} }),
    );
    const [announced, others] = [extra.slice(0, 60), extra.slice(60)];
    tellState();
    peer.on(/get_missing_events/, () => NOT_FOUND);
    peer.on(/state_ids/, () => ({
      pdu_ids: [...stateIds(), ...announced.map(({ id }) => id)],
      auth_chain_ids: stateIds(),
    }));
    peer.on(/state\//, () => ({
      pdus: extra.map(({ pdu }) => pdu),
      auth_chain: others.map(({ pdu }) => pdu) as JsonObject[],
    }));
    const missing = guest.message('missing');
    await guest.send([guest.message('newest', { prev: [missing.id] })]);
    await until(async () => (await texts()).includes('newest'));
    const stored = await here.core.events.manyById(extra.map(({ id }) => id));
    expect([...stored.keys()].sort()).toEqual(announced.map(({ id }) => id).sort());
  });

  it('are asked for by where they belong, whatever depth the heads claim', async () => {
    const deep = guest.message('deep', { depth: Number.MAX_SAFE_INTEGER });
    await guest.send([deep]);
    guest.tellMissing();
    guest.message('missing', { prev: [guest.joinId], depth: 9 });
    await guest.send([guest.message('honest', { depth: 10 })]);
    await until(async () => (await texts()).includes('honest'));
    const [request] = asked('get_missing_events');
    expect((JSON.parse(request?.text ?? '{}') as JsonObject)['min_depth']).toBe(0);
    expect(await texts()).toEqual(['deep', 'missing', 'honest']);
  });

  it('are charged to who sends them, whoever is asked', async () => {
    tellState();
    const { client, keyRing } = here.federation.transport;
    const remote = new FederationEvents({ client, keyRing });
    const stateBudget = new StateBudget({ atOnce: 60, perSecond: 0 });
    const outliers = new Outliers(here.core);
    const states = new RemoteStates({ ...here.core, outliers, remote, stateBudget });
    const room = (await here.core.registry.find(roomId)) as LiveRoom;
    const [greedy, modest] = ['greedy.test', 'modest.test'] as ServerName[];
    const ask = (sentBy: ServerName | undefined) =>
      states.stateAfter(peer.name, room, guest.message('missing').id, sentBy as ServerName);
    let told = 0;
    await expect(
      (async () => {
        for (; told < 60; told += 1) await ask(greedy);
      })(),
    ).rejects.toThrow(/share/);
    // Each state costs what it has entries, with its auth chain.
    expect(told).toBe(Math.ceil(60 / (2 * stateIds().length)));
    expect(asked('state_ids')).toHaveLength(told);
    await ask(modest);
  });
});
