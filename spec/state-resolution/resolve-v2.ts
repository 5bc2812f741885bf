/**
 * State resolution of room versions 2 to 11 (v2) and 12 (v2.1).
 *
 * Specification: https://spec.matrix.org/v1.19/rooms/v2/#state-resolution and
 * https://spec.matrix.org/v1.19/rooms/v12/#state-resolution
 */
import { type MatrixEvent, type StateKey, type StateMap, stateKeyOf } from '../event.ts';
import type { EventId } from '../identifiers.ts';
import type { RoomVersionRules } from '../room-versions.ts';
import { authDifferenceByWalking, conflictedSubgraphByWalking } from './auth-chains.ts';
import { type AgreedState, EventCache, type ResolutionSource } from './event-source.ts';
import {
  type AuthEnvironment,
  applyIterativeAuthChecks,
  loadAuthEvents,
  senderPowerOf,
} from './iterative-auth.ts';
import { mainlineOrdering } from './mainline-ordering.ts';
import type { Partition } from './partition.ts';
import { reverseTopologicalPowerOrdering } from './power-ordering.ts';

const POWER_LEVELS = stateKeyOf('m.room.power_levels', '');
const EMPTY_STATE: AgreedState = new Map();

/** As `resolveDifferences`, for two or more states that differ; `partition` is of `differing`. */
export const resolveV2 = async (
  rules: RoomVersionRules,
  agreed: AgreedState,
  differing: readonly StateMap[],
  partition: Partition,
  source: ResolutionSource,
): Promise<StateMap> => {
  const cache = new EventCache(source.fetchEvents);
  const resolved = partition.unconflicted;
  const unconflicted: Pick<AgreedState, 'get'> = {
    get: (key) => resolved.get(key) ?? agreed.get(key),
  };
  const isV21 = rules.stateResolution === 'v2.1';

  const fullConflictedSet = await loadStateEvents(
    await fullConflictedSetOf(agreed, differing, partition, isV21, source, cache),
    cache,
  );
  const environment: AuthEnvironment = {
    rules,
    cache,
    isRejected: source.isRejected ?? (() => false),
    giveWay: source.giveWay ?? (() => undefined),
  };
  await loadAuthEvents([...fullConflictedSet.values()], environment);

  // 1. Select the set X of all power events that appear in the full conflicted set. For each such
  //    power event P, enlarge X by adding the events in the auth chain of P which also belong to
  //    the full conflicted set. Sort X into a list using the reverse topological power ordering.
  const x = powerEventsAndTheirChains(fullConflictedSet);
  const sortedX = reverseTopologicalPowerOrdering([...x], (event) =>
    senderPowerOf(event, environment),
  );

  // 2. Apply the iterative auth checks algorithm, starting from the unconflicted state map (from an
  //    empty state map in v2.1), to the list of events from the previous step to get a partially
  //    resolved state.
  const base = isV21 ? EMPTY_STATE : unconflicted;
  const changes = new Map<StateKey, EventId>();
  await applyIterativeAuthChecks(sortedX, base, changes, environment);

  // 3. Take all remaining events that weren't picked in step 1 and order them by the mainline
  //    ordering based on the power level in the partially resolved state obtained in step 2.
  const remaining = [...fullConflictedSet.values()].filter((event) => !x.has(event));
  const powerLevelsId = changes.get(POWER_LEVELS) ?? base.get(POWER_LEVELS);
  if (powerLevelsId !== undefined) await cache.load([powerLevelsId]);
  const powerLevels = powerLevelsId === undefined ? undefined : cache.get(powerLevelsId);
  const sortedRemaining = await mainlineOrdering(remaining, powerLevels, cache);

  // 4. Apply the iterative auth checks algorithm on the partial resolved state and the list of
  //    events from the previous step.
  await applyIterativeAuthChecks(sortedRemaining, base, changes, environment);

  // 5. Update the result by replacing any event with the event with the same key from the
  //    unconflicted state map, if such an event exists, to get the final resolved state.
  for (const [key, eventId] of changes) {
    if (unconflicted.get(key) === undefined) resolved.set(key, eventId);
  }
  return resolved;
};

/** The conflicted state set and the auth difference; in v2.1, the conflicted state subgraph too. */
const fullConflictedSetOf = async (
  agreed: AgreedState,
  differing: readonly StateMap[],
  partition: Partition,
  isV21: boolean,
  source: ResolutionSource,
  cache: EventCache,
): Promise<Set<EventId>> => {
  const set = new Set<EventId>();
  for (const eventIds of partition.conflicted.values()) {
    for (const eventId of eventIds) set.add(eventId);
  }
  const conflicted: ReadonlySet<EventId> = new Set(set);

  const difference =
    (await source.authDifference?.(differing, agreed)) ??
    (await authDifferenceByWalking(differing, agreed, cache));
  for (const eventId of difference) set.add(eventId);

  if (isV21) {
    const subgraph =
      (await source.conflictedSubgraph?.(conflicted)) ??
      (await conflictedSubgraphByWalking(conflicted, cache));
    for (const eventId of subgraph) set.add(eventId);
  }
  return set;
};

/** The events by id. One that is no state event has no place here, whoever lists it as authority. */
const loadStateEvents = async (
  eventIds: ReadonlySet<EventId>,
  cache: EventCache,
): Promise<Map<EventId, MatrixEvent>> => {
  await cache.load(eventIds);
  const events = new Map<EventId, MatrixEvent>();
  for (const eventId of eventIds) {
    const event = cache.get(eventId);
    if (event.stateKey !== undefined) events.set(eventId, event);
  }
  return events;
};

/** Whether the event might remove someone's ability to do something in the room. */
const isPowerEvent = ({ type, stateKey, sender, content }: MatrixEvent): boolean => {
  if (type === 'm.room.power_levels' || type === 'm.room.join_rules') return true;
  const { membership } = content;
  return (
    type === 'm.room.member' &&
    (membership === 'leave' || membership === 'ban') &&
    sender !== stateKey
  );
};

/**
 * Chains are followed only within the full conflicted set, for the reason given at
 * `reverseTopologicalPowerOrdering`.
 */
const powerEventsAndTheirChains = (
  fullConflictedSet: ReadonlyMap<EventId, MatrixEvent>,
): Set<MatrixEvent> => {
  const x = new Set<MatrixEvent>();
  for (const event of fullConflictedSet.values()) if (isPowerEvent(event)) x.add(event);
  // A set is iterated over what is added to it meanwhile, too.
  for (const event of x) {
    for (const authEventId of event.authEventIds) {
      const authEvent = fullConflictedSet.get(authEventId);
      if (authEvent !== undefined) x.add(authEvent);
    }
  }
  return x;
};
