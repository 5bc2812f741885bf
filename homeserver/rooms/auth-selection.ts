/** The events of a state that decide about an event. */
import { type Authorised, selectAuthKeys } from '../../spec/auth/auth-events.ts';
import { rejectionOf } from '../../spec/auth/authorise-event.ts';
import type { EventRejected } from '../../spec/auth/event-rejected.ts';
import { type MatrixEvent, type StateKey, stateKeyOf } from '../../spec/event.ts';
import type { RoomVersionRules } from '../../spec/room-versions.ts';
import type { EventStore } from './event-store.ts';
import type { StateSnapshot } from './state-snapshot.ts';

/** What authorises an event: the events by key, as selected from a state. */
export interface AuthEvents {
  readonly createEvent: MatrixEvent | undefined;
  readonly byKey: ReadonlyMap<StateKey, MatrixEvent>;
}

const createKey = stateKeyOf('m.room.create', '');

/** Stays off the database while the events are in memory, as they are for a busy room. */
export const authEventsIn = async (
  events: EventStore,
  room: { readonly nid: number; readonly rules: RoomVersionRules },
  state: StateSnapshot,
  event: Authorised,
): Promise<AuthEvents> => {
  const selected = selectAuthKeys(event, room.rules);
  const refs = new Map<StateKey, number>();
  for (const key of [createKey, ...selected]) {
    const ref = state.get(key);
    if (ref !== undefined) refs.set(key, ref.nid);
  }
  const byKey = new Map<StateKey, MatrixEvent>();
  for (const [key, nid] of refs) {
    const stored = events.cached(nid);
    if (stored !== undefined) byKey.set(key, stored.event);
  }
  if (byKey.size < refs.size) {
    const found = await events.manyByNid(room.nid, refs.values());
    for (const [key, nid] of refs) {
      const stored = found.get(nid);
      if (stored !== undefined) byKey.set(key, stored.event);
    }
  }
  const createEvent = byKey.get(createKey);
  if (!selected.includes(createKey)) byKey.delete(createKey);
  return { createEvent, byKey };
};

/** Why a state does not authorise an event; undefined when it does. */
export const rejectionBy = (
  event: MatrixEvent,
  rules: RoomVersionRules,
  { createEvent, byKey }: AuthEvents,
): EventRejected | undefined =>
  rejectionOf(event, rules, {
    createEvent,
    state: (type, stateKey) => byKey.get(stateKeyOf(type, stateKey)),
  });
