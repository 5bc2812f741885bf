/** The events of a state that decide about an event. */
import { type Authorised, selectAuthKeys } from '../../spec/auth/auth-events.ts';
import { rejectionOf } from '../../spec/auth/authorise-event.ts';
import type { EventRejected } from '../../spec/auth/event-rejected.ts';
import { type MatrixEvent, stateKeyOf } from '../../spec/event.ts';
import type { RoomVersionRules } from '../../spec/room-versions.ts';
import type { EventStore } from './event-store.ts';
import type { StateSnapshot } from './state-snapshot.ts';

/** What authorises an event. */
export interface AuthEvents {
  readonly createEvent: MatrixEvent | undefined;
  /** What the event lists: one for each key selected from a state. A handful at most. */
  readonly listed: readonly MatrixEvent[];
}

const createKey = stateKeyOf('m.room.create', '');

/** At once while the events are in memory, as they are for a busy room. */
export const authEventsIn = (
  events: EventStore,
  room: { readonly nid: number; readonly rules: RoomVersionRules },
  state: StateSnapshot,
  event: Authorised,
): AuthEvents | Promise<AuthEvents> => {
  const nids = selectedNids(room.rules, state, event);
  return authEventsInMemory(events, nids) ?? readAuthEvents(events, room.nid, nids);
};

const readAuthEvents = async (
  events: EventStore,
  roomNid: number,
  { create, listed }: SelectedNids,
): Promise<AuthEvents> => {
  const found = await events.manyByNid(
    roomNid,
    create === undefined ? listed : [create, ...listed],
  );
  return {
    createEvent: create === undefined ? undefined : found.get(create)?.event,
    listed: listed.flatMap((nid) => found.get(nid)?.event ?? []),
  };
};

/** Undefined when some of the events are not in memory. */
const authEventsInMemory = (events: EventStore, nids: SelectedNids): AuthEvents | undefined => {
  const createEvent = nids.create === undefined ? undefined : events.cached(nids.create)?.event;
  if (createEvent === undefined && nids.create !== undefined) return undefined;
  const listed: MatrixEvent[] = [];
  for (const nid of nids.listed) {
    const stored = events.cached(nid);
    if (stored === undefined) return undefined;
    listed.push(stored.event);
  }
  return { createEvent, listed };
};

interface SelectedNids {
  readonly create: number | undefined;
  readonly listed: readonly number[];
}

/** The create event is needed to judge, whether or not the room version lists it. */
const selectedNids = (
  rules: RoomVersionRules,
  state: StateSnapshot,
  event: Authorised,
): SelectedNids => {
  const listed: number[] = [];
  for (const key of selectAuthKeys(event, rules)) {
    const ref = state.get(key);
    if (ref !== undefined) listed.push(ref.nid);
  }
  return { create: state.get(createKey)?.nid, listed };
};

/** What there is among a few events under a type and state key. */
export const stateIn =
  (events: readonly MatrixEvent[]) =>
  (type: string, stateKey: string): MatrixEvent | undefined =>
    events.find((event) => event.type === type && event.stateKey === stateKey);

/** Why a state does not authorise an event; undefined when it does. */
export const rejectionBy = (
  event: MatrixEvent,
  rules: RoomVersionRules,
  { createEvent, listed }: AuthEvents,
): EventRejected | undefined => rejectionOf(event, rules, { createEvent, state: stateIn(listed) });
