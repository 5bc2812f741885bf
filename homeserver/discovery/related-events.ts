/**
 * The events that relate to an event, and the threads of a room.
 * https://spec.matrix.org/v1.19/client-server-api/#relationships-api
 */
import type { EventId, RoomId, UserId } from '../../spec/identifiers.ts';
import type { Aggregations } from '../rooms/aggregations.ts';
import type { EventView } from '../rooms/client-events.ts';
import type { EventStore } from '../rooms/event-store.ts';
import type { History } from '../rooms/history.ts';
import type { LiveRoom } from '../rooms/live-room.ts';
import type { RoomAccesses } from '../rooms/room-accesses.ts';
import type { StoredEvent } from '../rooms/stored-event.ts';
import { startOfRoom } from '../rooms/timeline.ts';
import type { Db } from '../storage/database.ts';
import type { TimelinePlace } from '../storage/events.ts';
import { relatingEvents, threadRoots } from '../storage/relations.ts';

export interface RelatedEventsDeps {
  readonly db: Db;
  readonly access: RoomAccesses;
  readonly events: EventStore;
  readonly history: History;
  readonly aggregations: Aggregations;
}

export interface RelatedRequest {
  readonly userId: UserId;
  readonly roomId: RoomId;
  readonly eventId: EventId;
  readonly relType: string | undefined;
  readonly eventType: string | undefined;
  readonly from: TimelinePlace | undefined;
  readonly to: TimelinePlace | undefined;
  readonly direction: 'backwards' | 'forwards';
  readonly limit: number;
  readonly recurse: boolean;
}

export interface ThreadsRequest {
  readonly userId: UserId;
  readonly roomId: RoomId;
  readonly participatedOnly: boolean;
  readonly from: TimelinePlace | undefined;
  readonly limit: number;
}

export interface RelatedPage {
  readonly room: LiveRoom;
  readonly events: readonly EventView[];
  /** Where to go on; undefined when there is nothing further. */
  readonly next: TimelinePlace | undefined;
}

/** Levels of relations followed where indirect ones are asked for. */
export const recursionDepth = 3;

export class RelatedEvents {
  readonly #deps: RelatedEventsDeps;

  constructor(deps: RelatedEventsDeps) {
    this.#deps = deps;
  }

  /** @throws MatrixError M_FORBIDDEN; M_NOT_FOUND when the user may not see the event itself */
  async relatingTo(request: RelatedRequest): Promise<RelatedPage> {
    const { userId, roomId, eventId, from, to, direction, limit } = request;
    const { db, events, history } = this.#deps;
    const access = await this.#deps.access.of(userId, roomId);
    await history.eventIn(access, eventId);
    const { room, upTo } = access;
    const [after, last] =
      direction === 'backwards'
        ? [to ?? startOfRoom, earlier(from ?? upTo, upTo)]
        : [from ?? startOfRoom, earlier(to ?? upTo, upTo)];
    const records = await relatingEvents(db, {
      roomNid: room.nid,
      parentId: eventId,
      relType: request.relType,
      eventType: request.eventType,
      depth: request.recurse ? recursionDepth : 1,
      after,
      upTo: last,
      direction,
      limit: limit + 1,
    });
    const found = events.adopt(records.slice(0, limit));
    const end = found.at(-1);
    return {
      room,
      events: await history.shown(access, found),
      next: records.length > limit && end !== undefined ? nextPlace(end, direction) : undefined,
    };
  }

  /** Roots of threads, the one with the newest event first. @throws MatrixError M_FORBIDDEN */
  async threads(request: ThreadsRequest): Promise<RelatedPage> {
    const { userId, roomId, limit, participatedOnly } = request;
    const { db, events, history, aggregations } = this.#deps;
    const access = await this.#deps.access.of(userId, roomId);
    const { room, upTo } = access;
    const viewer = await aggregations.viewer(access);
    if (viewer === undefined) return { room, events: [], next: undefined };
    const before = request.from ?? { ...upTo, streamPos: upTo.streamPos + 1 };
    const roots = await threadRoots(db, room.nid, viewer, participatedOnly, before, limit + 1);
    const page = roots.slice(0, limit);
    const known = await events.manyById(page.map(({ rootId }) => rootId));
    const found = page.flatMap(({ rootId }) => known.get(rootId) ?? []);
    return {
      room,
      events: await history.shown(access, found),
      next: roots.length > limit ? page.at(-1)?.place : undefined,
    };
  }
}

const earlier = (a: TimelinePlace, b: TimelinePlace): TimelinePlace =>
  a.streamPos < b.streamPos || (a.streamPos === b.streamPos && a.backfillPos < b.backfillPos)
    ? a
    : b;

/** Forwards, what comes after the event; backwards, what comes up to the place before it. */
const nextPlace = (
  { streamPos, backfillPos }: StoredEvent,
  direction: 'backwards' | 'forwards',
): TimelinePlace => ({
  streamPos: streamPos as number,
  backfillPos: direction === 'backwards' ? backfillPos - 1 : backfillPos,
});
