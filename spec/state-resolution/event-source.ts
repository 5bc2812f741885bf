/**
 * Where state resolution gets its events from: functions of the caller, asked in batches, and a
 * cache that lives for one resolution so that nothing is asked for twice.
 */
import type { MatrixEvent, StateKey, StateMap } from '../event.ts';
import type { EventId } from '../identifiers.ts';

/** Answers with the events it knows; an event it does not know is absent, never an error. */
export type FetchEvents = (
  eventIds: readonly EventId[],
) => Promise<ReadonlyMap<EventId, MatrixEvent>>;

/** What all states have alike: a map will do, and so will a view of one that is not written out. */
export interface AgreedState {
  get(key: StateKey): EventId | undefined;
  values(): Iterable<EventId>;
}

export interface ResolutionSource {
  readonly fetchEvents: FetchEvents;
  /**
   * Whether an event was rejected on receipt; asked only of events that `fetchEvents` answered.
   * A rejected event authorises nothing. Without this function no event counts as rejected.
   */
  readonly isRejected?: (eventId: EventId) => boolean;
  /**
   * The auth difference of the states, when an index can tell it faster than walking the auth
   * chains (see `authDifferenceByWalking` for its exact meaning). `undefined`: the index cannot.
   */
  readonly authDifference?: (
    differing: readonly StateMap[],
    agreed: AgreedState,
  ) => Promise<ReadonlySet<EventId> | undefined>;
  /** The conflicted state subgraph of a conflicted state set, likewise; asked only by v2.1. */
  readonly conflictedSubgraph?: (
    conflicted: ReadonlySet<EventId>,
  ) => Promise<ReadonlySet<EventId> | undefined>;
  /** Awaited between the steps of long work, so that others get their turn. */
  readonly giveWay?: () => Promise<void> | undefined;
}

/**
 * Events that resolution cannot do without are not known. Guessing without them would split the
 * room between servers, so the caller has to obtain them and start again.
 */
export class MissingEventsError extends Error {
  readonly eventIds: readonly EventId[];

  constructor(eventIds: readonly EventId[]) {
    super(`State resolution needs ${eventIds.length} unknown event(s), first ${eventIds[0]}`);
    this.name = 'MissingEventsError';
    this.eventIds = eventIds;
  }
}

/** The events one resolution has seen. */
export class EventCache {
  readonly #fetchEvents: FetchEvents;
  readonly #events = new Map<EventId, MatrixEvent>();

  constructor(fetchEvents: FetchEvents) {
    this.#fetchEvents = fetchEvents;
  }

  /** Makes `get` answer for these events. Throws {@link MissingEventsError}. */
  async load(eventIds: Iterable<EventId>): Promise<void> {
    const wanted = [...new Set(eventIds)].filter((eventId) => !this.#events.has(eventId));
    if (wanted.length === 0) return;
    const found = await this.#fetchEvents(wanted);
    for (const [eventId, event] of found) this.#events.set(eventId, event);
    const missing = wanted.filter((eventId) => !this.#events.has(eventId));
    if (missing.length > 0) throw new MissingEventsError(missing);
  }

  /** An event that was loaded before. */
  get(eventId: EventId): MatrixEvent {
    const event = this.#events.get(eventId);
    if (event === undefined) throw new MissingEventsError([eventId]);
    return event;
  }

  /** An event's auth events in the order it lists them, loaded before. */
  authEventsOf(event: MatrixEvent): MatrixEvent[] {
    return event.authEventIds.map((eventId) => this.get(eventId));
  }
}
