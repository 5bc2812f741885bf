import fc from 'fast-check';
import { type MatrixEvent, type StateKey, type StateMap, stateKeyOf } from '../event.ts';
import type { EventId } from '../identifiers.ts';
import { authDifferenceByWalking, conflictedSubgraphByWalking } from './auth-chains.ts';
import { EventCache } from './event-source.ts';
import { differingParts, partitionStates } from './partition.ts';
import { resolveDifferences, resolveState } from './resolve.ts';
import { type Fork, ForkedRoom, userIdOf } from './testing/forked-room.ts';

const NAMES = ['alice', 'bob', 'carol', 'dave'];

interface Step {
  readonly fork: number;
  readonly action:
    | 'fork'
    | 'merge'
    | 'join'
    | 'leave'
    | 'kick'
    | 'ban'
    | 'rule'
    | 'levels'
    | 'topic';
  readonly actor: string;
  readonly target: string;
  readonly level: number;
  readonly originServerTs: number;
  readonly idPrefix: string;
}

const step: fc.Arbitrary<Step> = fc.record({
  fork: fc.nat(3),
  action: fc.constantFrom(
    'fork',
    'fork',
    'merge',
    'join',
    'join',
    'leave',
    'kick',
    'ban',
    'rule',
    'levels',
    'levels',
    'topic',
  ),
  actor: fc.constantFrom(...NAMES),
  target: fc.constantFrom(...NAMES),
  level: fc.constantFrom(0, 49, 50, 100),
  // Few times, so that ties are common.
  originServerTs: fc.integer({ min: 1, max: 4 }),
  idPrefix: fc.constantFrom('a', 'B', '_', '0'),
});

const history = fc.array(step, { minLength: 8, maxLength: 40 });

/** Plays a history, leaving out the steps that were not allowed, and gives the states of its ends. */
const play = async (version: string, steps: readonly Step[]) => {
  const room = new ForkedRoom(version);
  const first = room.createPublic({ bob: 100, carol: 50 });
  first.member('bob', 'join');
  const forks = [first, first.fork()];
  for (const { fork: index, action, actor, target, level, originServerTs, idPrefix } of steps) {
    const fork = forks[index % forks.length]!;
    const id = `${idPrefix}${room.events.size}`;
    const attempt = (type: string, stateKey: string, content: MatrixEvent['content']) => {
      const event = fork.make(actor, type, stateKey, content, { id, originServerTs });
      if (fork.rejectionOf(event) === undefined) fork.put(event);
    };
    const member = (user: string, membership: string) =>
      attempt('m.room.member', userIdOf(user), { membership });
    switch (action) {
      case 'fork':
        if (forks.length < 4) forks.push(fork.fork());
        break;
      case 'merge': {
        const other = forks[(index + 1) % forks.length]!;
        fork.state = (await room.merge(fork, other)).state;
        break;
      }
      case 'join':
      case 'leave':
        member(actor, action);
        break;
      case 'kick':
        member(target, 'leave');
        break;
      case 'ban':
        member(target, 'ban');
        break;
      case 'rule':
        attempt('m.room.join_rules', '', { join_rule: level > 49 ? 'invite' : 'public' });
        break;
      case 'topic':
        attempt('m.room.topic', '', { topic: id });
        break;
      case 'levels': {
        const users = fork.get('m.room.power_levels')?.content['users'] as object | undefined;
        attempt('m.room.power_levels', '', { users: { ...users, [userIdOf(target)]: level } });
        break;
      }
    }
  }
  return { room, states: forks.map(({ state }: Fork) => state) };
};

const chainOf = (room: ForkedRoom, eventIds: Iterable<EventId>): Set<EventId> => {
  const chain = new Set<EventId>();
  const pending = [...eventIds];
  for (let eventId = pending.pop(); eventId !== undefined; eventId = pending.pop()) {
    for (const authEventId of room.events.get(eventId)!.authEventIds) {
      if (!chain.has(authEventId)) pending.push(authEventId);
      chain.add(authEventId);
    }
  }
  return chain;
};

const differenceByWalking = (states: readonly StateMap[], cache: EventCache) => {
  const partition = partitionStates(states);
  return authDifferenceByWalking(differingParts(states, partition), partition.unconflicted, cache);
};

const conflictedSetOf = (states: readonly StateMap[]): Set<EventId> =>
  new Set([...partitionStates(states).conflicted.values()].flatMap((ids) => [...ids]));

describe.each(['1', '2', '11', '12'])('whatever happens in a room of version %s', (version) => {
  const holds = (
    check: (room: ForkedRoom, states: readonly StateMap[], seed: number) => Promise<void>,
  ) =>
    fc.assert(
      fc.asyncProperty(history, fc.nat(), async (steps, seed) => {
        const { room, states } = await play(version, steps);
        await check(room, states, seed);
      }),
      { numRuns: 100 },
    );

  it('the order of the states and of their entries does not matter', () =>
    holds(async (room, states, seed) => {
      const rotate = <T>(items: readonly T[], by: number): T[] => [
        ...items.slice(by % items.length),
        ...items.slice(0, by % items.length),
      ];
      const resolved = await room.resolve(...states);
      const shuffled = rotate(states, seed).map((state, index) => {
        const entries = rotate([...state], seed + index);
        return new Map(index % 2 === 0 ? entries : entries.toReversed());
      });
      expect(await room.resolve(...shuffled)).toEqual(resolved);
      expect(await room.resolve(...shuffled.toReversed())).toEqual(resolved);
      // States that are there twice count once.
      expect(await room.resolve(...states, ...shuffled)).toEqual(resolved);
    }));

  it('equal states resolve to themselves, without asking for an event', () =>
    holds(async (room, states) => {
      const resolved = await room.resolve(...states);
      room.fetched = 0;
      expect(await room.resolve(resolved, new Map(resolved))).toBe(resolved);
      expect(room.fetched).toBe(0);
    }));

  it('it does not matter how much of what the states agree on is known beforehand', () =>
    holds(async (room, states, seed) => {
      const agreed = new Map(
        [...partitionStates(states).unconflicted].filter(
          (_, index) => (seed >> (index % 16)) % 2 === 0,
        ),
      );
      const differing = states.map(
        (state) => new Map([...state].filter(([key]) => !agreed.has(key))),
      );
      const resolved = await resolveDifferences(room.rules, agreed, differing, room.source);
      expect(new Map([...agreed, ...resolved])).toEqual(await room.resolve(...states));
    }));

  it('what the states agree on stays, and the rest comes from them and their auth chains', () =>
    holds(async (room, states) => {
      const resolved = await room.resolve(...states);
      const given = new Set(states.flatMap((state) => [...state.values()]));
      const known = new Set([...given, ...chainOf(room, given)]);
      for (const [key, eventId] of partitionStates(states).unconflicted) {
        expect(resolved.get(key)).toBe(eventId);
      }
      for (const [key, eventId] of resolved) {
        expect(known).toContain(eventId);
        const { type, stateKey } = room.events.get(eventId)!;
        expect(stateKeyOf(type, stateKey!)).toBe(key);
      }
    }));
});

describe('the sets', () => {
  const played = (check: (room: ForkedRoom, states: readonly StateMap[]) => Promise<void>) =>
    fc.assert(
      fc.asyncProperty(history, async (steps) => {
        const { room, states } = await play('12', steps);
        await check(room, states);
      }),
      { numRuns: 100 },
    );

  it('the auth difference is what some but not all full auth chains have', () =>
    played(async (room, states) => {
      const chains = states.map((state) => chainOf(room, state.values()));
      const union = new Set(chains.flatMap((chain) => [...chain]));
      const expected = [...union].filter((id) => !chains.every((chain) => chain.has(id)));
      const cache = new EventCache(room.source.fetchEvents);
      const walked = await differenceByWalking(states, cache);
      expect([...walked].sort()).toEqual(expected.sort());
    }));

  it('the conflicted state subgraph is what lies between two conflicted events', () =>
    played(async (room, states) => {
      const conflicted = conflictedSetOf(states);
      const below = chainOf(room, conflicted);
      const between = [...room.events.keys()].filter(
        (id) => below.has(id) && [...chainOf(room, [id])].some((cited) => conflicted.has(cited)),
      );
      const cache = new EventCache(room.source.fetchEvents);
      const walked = await conflictedSubgraphByWalking(conflicted, cache);
      expect([...walked].sort()).toEqual([...new Set([...conflicted, ...between])].sort());
    }));

  it('may come from an index instead', () =>
    played(async (room, states) => {
      const cache = new EventCache(room.source.fetchEvents);
      const asked: string[] = [];
      const indexed = await resolveState(room.rules, states, {
        ...room.source,
        authDifference: async (given, agreed) => {
          asked.push('difference');
          return authDifferenceByWalking(given, agreed, cache);
        },
        conflictedSubgraph: async (conflicted) => {
          asked.push('subgraph');
          return conflictedSubgraphByWalking(conflicted, cache);
        },
      });
      expect(indexed).toEqual(await room.resolve(...states));
      const distinct = new Set(states.map((state) => [...state.values()].sort().join()));
      expect(asked).toEqual(distinct.size > 1 ? ['difference', 'subgraph'] : []);
    }));
});

describe('economy', () => {
  it('nothing is asked for when there is nothing to resolve', async () => {
    const room = new ForkedRoom('12');
    const { state } = room.createPublic();
    room.fetched = 0;
    expect(await room.resolve()).toEqual(new Map());
    expect(await room.resolve(state)).toBe(state);
    expect(await room.resolve(state, state)).toBe(state);
    expect(room.fetched).toBe(0);
  });

  it('a large state with a small difference needs few events', async () => {
    const room = new ForkedRoom('12');
    const one = room.createPublic();
    const members = new Map<StateKey, EventId>(one.state);
    for (let index = 0; index < 500; index++) {
      const user = one.make(`user${index}`, 'm.room.member', userIdOf(`user${index}`), {
        membership: 'join',
      });
      members.set(stateKeyOf(user.type, user.stateKey!), user.eventId);
    }
    one.state = members;
    const other = one.fork();
    one.topic('alice', 'one');
    other.topic('alice', 'other');
    room.fetched = 0;
    await room.merge(one, other);
    // Two topics, and Alice's create event, membership and power levels.
    expect(room.fetched).toBe(5);
  });
});
