/**
 * State resolution of room version 1.
 *
 * Specification: https://spec.matrix.org/v1.19/rooms/v1/#state-resolution
 */
import { createHash } from 'node:crypto';
import { selectAuthKeys } from '../auth/auth-events.ts';
import { rejectionOf } from '../auth/authorise-event.ts';
import {
  type MatrixEvent,
  type StateKey,
  type StateMap,
  splitStateKey,
  stateKeyOf,
} from '../event.ts';
import type { EventId } from '../identifiers.ts';
import type { RoomVersionRules } from '../room-versions.ts';
import { type AgreedState, EventCache, type ResolutionSource } from './event-source.ts';

/** The types whose events affect authorisation, in the order in which conflicts are resolved. */
const AUTH_TYPES = ['m.room.power_levels', 'm.room.join_rules', 'm.room.member'];

/** As `resolveDifferences`, for two or more states that differ. */
export const resolveV1 = async (
  rules: RoomVersionRules,
  agreed: AgreedState,
  differing: readonly StateMap[],
  source: ResolutionSource,
): Promise<StateMap> => {
  // - Start by setting R to the union of the states to be resolved, excluding any conflicting
  //   events. (A key that some states lack is no conflict.)
  const { resolved, conflicting } = splitConflicts(differing);
  if (conflicting.size === 0) return resolved;
  const cache = new EventCache(source.fetchEvents);
  await cache.load([...conflicting.values()].flatMap((eventIds) => [...eventIds]));
  const isAllowed = await authorisationIn(agreed, resolved, conflicting, rules, cache);

  const eventsOf = (key: StateKey): MatrixEvent[] =>
    [...(conflicting.get(key) ?? [])].map((eventId) => cache.get(eventId));
  const isAuthKey = (key: StateKey): boolean => AUTH_TYPES.includes(splitStateKey(key)[0]);

  // - First we resolve conflicts between m.room.power_levels events.
  // - Repeat the above process for conflicts between m.room.join_rules events.
  // - Repeat the above process for conflicts between m.room.member events.
  for (const type of AUTH_TYPES) {
    // Conflicts of one type do not see each other's outcome, so their order does not matter.
    const outcomes = [...conflicting.keys()]
      .filter((key) => splitStateKey(key)[0] === type)
      .map((key) => [key, resolveAuthConflict(key, eventsOf(key), isAllowed)] as const);
    for (const [key, event] of outcomes) resolved.set(key, event.eventId);
  }

  // - No other events affect the authorisation rules, so for all other conflicts, just pick the
  //   event with the highest depth and lowest sha1(event_id) that passes authentication in R and
  //   add it to R.
  const outcomes = [...conflicting.keys()]
    .filter((key) => !isAuthKey(key))
    .map((key) => [key, resolveOtherConflict(eventsOf(key), isAllowed)] as const);
  for (const [key, event] of outcomes) resolved.set(key, event.eventId);
  return resolved;
};

/** Whether an event is allowed in R, with `previous` put in the place of what R has for its key. */
type IsAllowed = (event: MatrixEvent, previous?: MatrixEvent) => boolean;

const resolveAuthConflict = (
  key: StateKey,
  events: readonly MatrixEvent[],
  isAllowed: IsAllowed,
): MatrixEvent => {
  //   - Sort the list by ascending depth then descending sha1(event_id).
  const [first, ...rest] = sortForAuth(events);
  if (first === undefined) throw new RangeError(`No events for ${splitStateKey(key).join(' ')}`);
  //   - Add the first event in the list to R.
  let current = first;
  //   - For each subsequent event in the list, check that the event would be allowed by the
  //     authorisation rules for a room in state R. If the event would be allowed, then update R
  //     with the event and continue with the next event in the list. If it would not be allowed,
  //     stop.
  for (const event of rest) {
    if (!isAllowed(event, current)) break;
    current = event;
  }
  return current;
};

/**
 * The specification does not say what happens if no event passes. Then the one with the lowest
 * depth is taken, which is what servers have always done.
 */
const resolveOtherConflict = (
  events: readonly MatrixEvent[],
  isAllowed: IsAllowed,
): MatrixEvent => {
  const sorted = sortForAuth(events);
  return sorted.findLast((event) => isAllowed(event)) ?? sorted[0]!;
};

/** By ascending depth, then by descending SHA-1 of the event id. */
const sortForAuth = (events: readonly MatrixEvent[]): MatrixEvent[] =>
  events
    .map((event) => ({ event, sha1: createHash('sha1').update(event.eventId).digest('hex') }))
    .sort((x, y) => x.event.depth - y.event.depth || (x.sha1 < y.sha1 ? 1 : -1))
    .map(({ event }) => event);

/** Loads what the checks will ask of R and answers with the check. R may grow meanwhile. */
const authorisationIn = async (
  agreed: AgreedState,
  resolved: StateMap,
  conflicting: ReadonlyMap<StateKey, ReadonlySet<EventId>>,
  rules: RoomVersionRules,
  cache: EventCache,
): Promise<IsAllowed> => {
  const keys = new Set<StateKey>([stateKeyOf('m.room.create', '')]);
  for (const eventIds of conflicting.values()) {
    for (const eventId of eventIds) {
      for (const key of selectAuthKeys(cache.get(eventId), rules)) keys.add(key);
    }
  }
  const inR = (key: StateKey): EventId | undefined => resolved.get(key) ?? agreed.get(key);
  const known = [...keys].map(inR);
  await cache.load(known.filter((eventId) => eventId !== undefined));

  return (event, previous) => {
    const state = (type: string, stateKey: string): MatrixEvent | undefined => {
      if (previous?.type === type && previous.stateKey === stateKey) return previous;
      const eventId = inR(stateKeyOf(type, stateKey));
      return eventId === undefined ? undefined : cache.get(eventId);
    };
    const createEvent = state('m.room.create', '');
    return rejectionOf(event, rules, { createEvent, state }) === undefined;
  };
};

/** A conflict is between states that have different events for the same key. */
const splitConflicts = (
  states: readonly StateMap[],
): {
  resolved: Map<StateKey, EventId>;
  conflicting: Map<StateKey, Set<EventId>>;
} => {
  const [first = new Map(), ...others] = states;
  const resolved = new Map<StateKey, EventId>(first);
  const conflicting = new Map<StateKey, Set<EventId>>();
  for (const state of others) {
    for (const [key, eventId] of state) {
      const known = resolved.get(key);
      if (known === eventId) continue;
      if (known === undefined) resolved.set(key, eventId);
      else {
        const eventIds = conflicting.get(key) ?? new Set([known]);
        conflicting.set(key, eventIds.add(eventId));
      }
    }
  }
  for (const key of conflicting.keys()) resolved.delete(key);
  return { resolved, conflicting };
};
