/**
 * How an event relates to another, and which thread that puts it in.
 * https://spec.matrix.org/v1.19/client-server-api/#forming-relationships-between-events
 */
import type { JsonObject } from '../../spec/event.ts';
import { type EventId, isEventId } from '../../spec/identifiers.ts';
import type { EventStore } from './event-store.ts';
import type { StoredEvent } from './stored-event.ts';

export interface Relation {
  readonly type: string;
  readonly eventId: EventId;
}

/** The thread id of whatever is in no thread. */
export const mainTimeline = 'main';
/** Relations followed to find the thread of an event, as the specification recommends. */
const maxThreadHops = 3;

export const relationOf = (content: JsonObject): Relation | undefined => {
  const relation = content['m.relates_to'];
  if (typeof relation !== 'object' || relation === null || Array.isArray(relation)) {
    return undefined;
  }
  const { rel_type: type, event_id: eventId } = relation;
  return typeof type === 'string' && typeof eventId === 'string' && isEventId(eventId)
    ? { type, eventId }
    : undefined;
};

/**
 * The root of the thread an event is in, or `main`. At once when the events followed are in memory.
 * https://spec.matrix.org/v1.19/client-server-api/#threaded-read-receipts
 */
export const threadOf = (
  events: EventStore,
  stored: StoredEvent,
  hops = 0,
): string | Promise<string> => {
  const relation = relationOf(stored.event.content);
  if (relation === undefined) return mainTimeline;
  if (relation.type === 'm.thread') return relation.eventId;
  if (hops === maxThreadHops) return mainTimeline;
  const follow = (parent: StoredEvent | undefined): string | Promise<string> =>
    parent?.roomNid === stored.roomNid ? threadOf(events, parent, hops + 1) : mainTimeline;
  const parent = events.cachedById(relation.eventId);
  return parent === undefined ? events.byId(relation.eventId).then(follow) : follow(parent);
};
