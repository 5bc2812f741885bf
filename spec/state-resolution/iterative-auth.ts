/**
 * The iterative auth checks of room versions 2 and later, and the sender's power as their ordering
 * needs it: the two places where state resolution asks the authorisation rules.
 *
 * Specification: https://spec.matrix.org/v1.19/rooms/v2/#definitions
 */
import { selectAuthKeys } from '../auth/auth-events.ts';
import { rejectionOf } from '../auth/authorise-event.ts';
import { type MatrixEvent, type StateKey, stateKeyOf } from '../event.ts';
import { createEventIdOf, type EventId } from '../identifiers.ts';
import { powerLevelsOf } from '../power-levels.ts';
import type { RoomVersionRules } from '../room-versions.ts';
import type { AgreedState, EventCache, ResolutionSource } from './event-source.ts';

const CREATE = stateKeyOf('m.room.create', '');
const POWER_LEVELS = stateKeyOf('m.room.power_levels', '');

/** What the checks and the ordering share within one resolution. */
export interface AuthEnvironment {
  readonly rules: RoomVersionRules;
  readonly cache: EventCache;
  readonly isRejected: NonNullable<ResolutionSource['isRejected']>;
  readonly giveWay: NonNullable<ResolutionSource['giveWay']>;
}

/** The key that an event has in a state map. Only state events take part in state resolution. */
export const keyOf = (event: MatrixEvent): StateKey => stateKeyOf(event.type, event.stateKey ?? '');

/** Loads what authorises each event: what it lists, and the create event where that is implied. */
export const loadAuthEvents = async (
  events: readonly MatrixEvent[],
  { rules, cache }: AuthEnvironment,
): Promise<void> => {
  const wanted = new Set<EventId>();
  for (const event of events) {
    for (const eventId of event.authEventIds) wanted.add(eventId);
    if (rules.roomIdIsCreateHash) wanted.add(createEventIdOf(event.roomId));
  }
  await cache.load(wanted);
};

/** The auth events of an event by key, the implied create event included. Loaded before. */
const authEventsByKey = (
  event: MatrixEvent,
  { rules, cache }: AuthEnvironment,
): Map<StateKey, MatrixEvent> => {
  const byKey = new Map(cache.authEventsOf(event).map((auth) => [keyOf(auth), auth]));
  if (rules.roomIdIsCreateHash) byKey.set(CREATE, cache.get(createEventIdOf(event.roomId)));
  return byKey;
};

/** The power level of an event's sender going by the event's own auth events, loaded before. */
export const senderPowerOf = (event: MatrixEvent, environment: AuthEnvironment): number => {
  const authEvents = authEventsByKey(event, environment);
  return powerLevelsOf(
    authEvents.get(POWER_LEVELS),
    authEvents.get(CREATE),
    environment.rules,
  ).ofUser(event.sender);
};

/**
 * Applies the events one after another, in the order given, to the state made of `base` and, above
 * it, `changes`, to which those that are allowed are added. An event that is not allowed is ignored.
 * The events and their auth events were loaded before.
 */
export const applyIterativeAuthChecks = async (
  events: readonly MatrixEvent[],
  base: Pick<AgreedState, 'get'>,
  changes: Map<StateKey, EventId>,
  environment: AuthEnvironment,
): Promise<void> => {
  const { rules, cache, isRejected, giveWay } = environment;
  const baseEventIds = events
    .flatMap((event) => [CREATE, ...selectAuthKeys(event, rules)])
    .map((key) => base.get(key));
  await cache.load(baseEventIds.filter((eventId) => eventId !== undefined));

  for (const event of events) {
    const turn = giveWay();
    if (turn !== undefined) await turn;
    const authEvents = authEventsByKey(event, environment);
    const state = (type: string, stateKey: string): MatrixEvent | undefined => {
      const key = stateKeyOf(type, stateKey);
      const eventId = changes.get(key) ?? base.get(key);
      if (eventId !== undefined) return cache.get(eventId);
      // What the state lacks is taken from the event's auth events, unless rejected.
      const authEvent = authEvents.get(key);
      if (authEvent === undefined || isRejected(authEvent.eventId)) return undefined;
      // Auth events of other rooms authorise nothing, whatever an event lists.
      return authEvent.roomId === event.roomId ? authEvent : undefined;
    };
    const createEvent = state('m.room.create', '');
    if (rejectionOf(event, rules, { createEvent, state }) === undefined) {
      changes.set(keyOf(event), event.eventId);
    }
  }
};
