import fc from 'fast-check';
import type { StateMap } from '../../spec/event.ts';
import type { RoomId } from '../../spec/identifiers.ts';
import { resolveState } from '../../spec/state-resolution/resolve.ts';
import { localUser, type TestCore, testCore } from '../testing/test-core.ts';
import { type TestRooms, testRooms } from '../testing/test-rooms.ts';
import type { LiveRoom } from './live-room.ts';
import type { EventDraft } from './local-events.ts';
import type { StateSnapshot } from './state-snapshot.ts';
import type { StoredEvent } from './stored-event.ts';

const people = ['alice', 'bob', 'carol', 'dave'].map(localUser);

interface Step {
  /** Which events it follows, of those there are. */
  readonly follows: readonly number[];
  readonly actor: number;
  readonly target: number;
  readonly action: 'topic' | 'name' | 'levels' | 'kick' | 'ban' | 'leave' | 'join' | 'rule';
  readonly value: number;
  readonly ts: number;
}

const step: fc.Arbitrary<Step> = fc.record({
  follows: fc.array(fc.nat(), { minLength: 1, maxLength: 3 }),
  actor: fc.nat(3),
  target: fc.nat(3),
  action: fc.constantFrom(
    'topic',
    'name',
    'levels',
    'levels',
    'kick',
    'ban',
    'leave',
    'join',
    'rule',
  ),
  value: fc.constantFrom(0, 49, 50, 60),
  // Few times, so that ties are common.
  ts: fc.integer({ min: 1, max: 4 }),
});

const draftOf = ({ actor, target, action, value, ts }: Step): EventDraft => {
  const sender = people[actor] as (typeof people)[number];
  const other = people[target] as (typeof people)[number];
  const state = (type: string, stateKey: string, content: EventDraft['content']): EventDraft => ({
    type,
    sender,
    stateKey,
    content,
    originServerTs: ts,
  });
  const member = (user: string, membership: string) =>
    state('m.room.member', user, { membership, n: value });
  switch (action) {
    case 'topic':
    case 'name':
      return state(`m.room.${action}`, '', { [action]: `${value}` });
    case 'levels':
      return state('m.room.power_levels', '', {
        users: { [people[1] as string]: 100, [people[2] as string]: value },
        events: { 'm.room.topic': value },
      });
    case 'rule':
      return state('m.room.join_rules', '', { join_rule: value === 0 ? 'invite' : 'public' });
    case 'leave':
    case 'join':
      return member(sender, action);
    default:
      return member(other, action === 'ban' ? 'ban' : 'leave');
  }
};

describe.each(['1', '2', '11', '12'])('states of version %s', (version) => {
  let test: TestCore;
  let rooms: TestRooms;
  beforeAll(async () => {
    test = await testCore();
    rooms = testRooms(test.core);
  });
  afterAll(() => test.close());

  const openRoom = async (): Promise<LiveRoom> => {
    const [alice, bob, carol, dave] = people as [...typeof people] as never[];
    test.clock.advance(1);
    const roomId: RoomId = await rooms.roomCreator.create(alice as never, {
      preset: 'public_chat',
      version,
      powerLevelOverride: {
        users: {
          ...(version !== '12' && { [alice as never]: 100 }),
          [bob as never]: 100,
          [carol as never]: 50,
        },
      },
    });
    for (const user of [bob, carol, dave]) await rooms.membership.join(user as never, roomId);
    return (await test.core.registry.find(roomId)) as LiveRoom;
  };

  const idsOf = (state: StateSnapshot): StateMap =>
    new Map([...state.toMap()].map(([key, { eventId }]) => [key, eventId]));

  /** By the algorithm alone, on states written out, walking every auth chain. */
  const reference = (room: LiveRoom, states: readonly StateSnapshot[]): Promise<StateMap> =>
    resolveState(room.rules, states.map(idsOf), {
      fetchEvents: async (ids) => {
        const found = await test.core.events.manyInRoom(room.nid, ids);
        return new Map([...found].map(([id, { event }]) => [id, event]));
      },
    });

  it('are merged as if each were written out in full', async () => {
    let merges = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 6, maxLength: 16 }), async (steps) => {
        const room = await openRoom();
        const { core } = test;
        const after = (stored: StoredEvent) =>
          core.snapshots.load(room.nid, stored.snapshotAfter as number);
        const known: StoredEvent[] = [...room.extremities];
        for (const one of steps) {
          const prevs = [
            ...new Set(one.follows.map((n) => known[n % known.length] as StoredEvent)),
          ];
          const states = await Promise.all(prevs.map(after));
          const merged = await core.merger.merge(room, states, room.state);
          expect(idsOf(merged.state)).toEqual(await reference(room, states));
          if (new Set(states).size > 1) merges += 1;
          // The room as someone sees it who knows these events alone.
          const view = Object.create(room, {
            state: { value: merged.state },
            extremities: { value: prevs },
          }) as LiveRoom;
          const made = await core.localEvents.build(view, draftOf(one)).catch(() => undefined);
          if (made === undefined || (await core.events.byId(made.event.eventId))) continue;
          const { events, committed } = await core.appender.append(
            room,
            [{ ...made, stateBefore: merged.state }],
            { snapshots: merged.isNew ? [merged.state] : [] },
          );
          await committed;
          known.push(...events);
          const heads = await Promise.all(room.extremities.map(after));
          expect(idsOf(room.state)).toEqual(await reference(room, heads));
        }
      }),
      { numRuns: 25, seed: 7 },
    );
    expect(merges).toBeGreaterThan(20);
  }, 120_000);
});
