/**
 * Paging through a room: `/messages`, `/context` and single events, for those who may see them.
 * https://spec.matrix.org/v1.19/client-server-api/#fetching-events-for-a-room
 */
import type { RoomEventFilter } from '../../spec/filter.ts';
import type { EventId, RoomId, UserId } from '../../spec/identifiers.ts';
import type { Db } from '../storage/database.ts';
import type { TimelinePlace } from '../storage/events.ts';
import { nearestGap } from '../storage/gaps.ts';
import type { Aggregations } from './aggregations.ts';
import type { EventView } from './client-events.ts';
import type { EventStore } from './event-store.ts';
import type { LiveRoom } from './live-room.ts';
import type { RoomAccess } from './room-access.ts';
import { eventNotFound, type RoomAccesses } from './room-accesses.ts';
import { Senders } from './senders.ts';
import type { SnapshotStore } from './snapshot-store.ts';
import type { StoredEvent } from './stored-event.ts';
import { type Accept, startOfRoom, type Timeline } from './timeline.ts';

/** Fetches history this server does not have; federation provides it. */
export interface HistoryFiller {
  /**
   * Fetches events that come before the one at `gap` and places them there. Resolves to whether
   * anything came. Failures of other servers are not errors.
   */
  fill(room: LiveRoom, gap: HistoryGap): Promise<boolean>;
  /**
   * Asks for an event in a gap by its time, and places it there. Resolves to whether one is there now
   * that was not, within some seconds. Failures of other servers are not errors.
   */
  fetchNear(room: LiveRoom, wanted: EventNearTime): Promise<boolean>;
}

/** Where events are missing: before the one named. */
export interface HistoryGap {
  readonly eventId: EventId;
  readonly place: TimelinePlace;
}

export interface EventNearTime {
  readonly asker: UserId;
  readonly gap: HistoryGap;
  readonly timestampMs: number;
  /** On which side of the time. */
  readonly direction: 'backwards' | 'forwards';
  /** An event further from the time than this is of no use. */
  readonly withinMs: number;
}

/** For a server that does not federate. */
export const noHistoryFiller: HistoryFiller = {
  fill: async () => false,
  fetchNear: async () => false,
};

export interface HistoryDeps {
  readonly db: Db;
  readonly access: RoomAccesses;
  readonly events: EventStore;
  readonly snapshots: SnapshotStore;
  readonly timeline: Timeline;
  readonly aggregations: Aggregations;
  readonly filler: HistoryFiller;
}

export interface MessagesRequest {
  readonly userId: UserId;
  readonly roomId: RoomId;
  readonly from: TimelinePlace | undefined;
  readonly to: TimelinePlace | undefined;
  readonly direction: 'backwards' | 'forwards';
  readonly limit: number;
  readonly filter: RoomEventFilter;
}

export interface MessagesPage {
  readonly room: LiveRoom;
  /** In the direction asked for. */
  readonly events: readonly EventView[];
  readonly start: TimelinePlace;
  /** Undefined when there is nothing further. */
  readonly end: TimelinePlace | undefined;
  /** Member events of the senders, where the filter asks for lazy loading. */
  readonly state: readonly EventView[];
}

export interface EventContext {
  readonly room: LiveRoom;
  readonly event: EventView;
  /** Newest first. */
  readonly before: readonly EventView[];
  /** Oldest first. */
  readonly after: readonly EventView[];
  readonly start: TimelinePlace;
  readonly end: TimelinePlace;
  /** The room's state at the last event returned. */
  readonly state: readonly EventView[];
}

/** How often one request may fetch from other servers before it answers with what there is. */
const maxFills = 3;

export class History {
  readonly #deps: HistoryDeps;
  readonly #senders: Senders;

  constructor(deps: HistoryDeps) {
    this.#deps = deps;
    this.#senders = new Senders(deps.events, deps.snapshots);
  }

  /** @throws MatrixError M_FORBIDDEN for those who may see nothing of the room */
  async messages(request: MessagesRequest): Promise<MessagesPage> {
    const access = await this.#deps.access.of(request.userId, request.roomId);
    const { room, upTo } = access;
    const backwards = request.direction === 'backwards';
    const start = request.from ?? (backwards ? upTo : startOfRoom);
    const [low, high] = backwards
      ? [request.to ?? startOfRoom, earlier(start, upTo)]
      : [start, earlier(request.to ?? upTo, upTo)];
    const accept: Accept = ({ event }) => request.filter.matchesEvent(event);
    const page = await this.#page(room, low, high, request, accept);
    const views = await this.shown(access, page.events);
    return {
      room,
      events: views,
      start,
      end: this.#end(page, backwards),
      state: request.filter.lazyLoadMembers ? await this.#senders.of(access, views) : [],
    };
  }

  /** One event. @throws MatrixError M_NOT_FOUND also for what the user may not see */
  async event(userId: UserId, roomId: RoomId, eventId: EventId): Promise<[LiveRoom, EventView]> {
    const access = await this.#deps.access.ofEvent(userId, roomId);
    return [access.room, await this.eventIn(access, eventId)];
  }

  /** Like `event`, for whom access has been found. */
  async eventIn(access: RoomAccess, eventId: EventId): Promise<EventView> {
    const stored = await this.#deps.events.inRoom(access.room.nid, eventId);
    if (stored === undefined || isHidden(stored)) throw eventNotFound();
    const [view] = await this.shown(access, [stored]);
    if (view === undefined) throw eventNotFound();
    return view;
  }

  /** An event with up to `limit` events around it, half before and half after. */
  async context(
    userId: UserId,
    roomId: RoomId,
    eventId: EventId,
    limit: number,
    filter: RoomEventFilter,
  ): Promise<EventContext> {
    const access = await this.#deps.access.of(userId, roomId);
    const { room, upTo } = access;
    const event = await this.eventIn(access, eventId);
    const { stored } = event;
    if (stored.streamPos === undefined) throw eventNotFound();
    const at = { streamPos: stored.streamPos, backfillPos: stored.backfillPos };
    const justBefore = { ...at, backfillPos: at.backfillPos - 1 };
    const accept: Accept = (other) => filter.matchesEvent(other.event);
    const half = Math.floor(limit / 2);
    const request = { direction: 'backwards', limit: half } as const;
    const before = await this.#page(room, startOfRoom, justBefore, request, accept);
    const after = await this.#deps.timeline.page(
      room.nid,
      at,
      upTo,
      'forwards',
      limit - half,
      accept,
    );
    const [beforeViews, afterViews] = await Promise.all([
      this.shown(access, before.events),
      this.shown(access, after.events),
    ]);
    const all = [...beforeViews, event, ...afterViews];
    return {
      room,
      event,
      before: beforeViews,
      after: afterViews,
      start: placeBefore(before.events.at(-1)) ?? justBefore,
      end: placeOf(after.events.at(-1)) ?? at,
      state: filter.lazyLoadMembers
        ? await this.#senders.of(access, all)
        : await this.#stateAt(access, (afterViews.at(-1) ?? event).stored),
    };
  }

  /** Those of these events that the user may see, with what is told of their relations. */
  async shown(access: RoomAccess, events: readonly StoredEvent[]): Promise<readonly EventView[]> {
    return this.#deps.aggregations.bundle(access, await access.views(events));
  }

  /** Reads a page, fetching from other servers where it runs into a gap. */
  async #page(
    room: LiveRoom,
    low: TimelinePlace,
    high: TimelinePlace,
    { direction, limit }: Pick<MessagesRequest, 'direction' | 'limit'>,
    accept: Accept,
  ): ReturnType<Timeline['page']> {
    // What is missing before the event just above is missing here.
    const gapUpTo = { ...high, backfillPos: high.backfillPos + 1 };
    for (let fills = 0; ; fills += 1) {
      const page = await this.#deps.timeline.page(room.nid, low, high, direction, limit, accept);
      if (direction === 'forwards' || fills === maxFills || room.missingPrevEvents.size === 0) {
        return page;
      }
      const reached = page.more && page.last !== undefined ? page.last : low;
      const gap = await nearestGap(this.#deps.db, room.nid, reached, gapUpTo);
      if (gap === undefined || !(await this.#deps.filler.fill(room, gap))) return page;
    }
  }

  #end(
    page: { events: readonly StoredEvent[]; more: boolean; last: TimelinePlace | undefined },
    backwards: boolean,
  ): TimelinePlace | undefined {
    // An empty page is the end. One with events is never said to be the last, though it may be:
    // some clients take a page without an end for a failure.
    if (page.last === undefined || (!page.more && page.events.length === 0)) return undefined;
    return backwards ? { ...page.last, backfillPos: page.last.backfillPos - 1 } : page.last;
  }

  async #stateAt(access: RoomAccess, stored: StoredEvent): Promise<EventView[]> {
    const { nid } = access.room;
    const state = await this.#deps.snapshots.load(nid, stored.snapshotAfter ?? 0);
    const nids = [...state.entries()].map(([, ref]) => ref.nid);
    return access.stateViews([...(await this.#deps.events.manyByNid(nid, nids)).values()]);
  }
}

const isHidden = (stored: StoredEvent): boolean =>
  stored.rejectedReason !== undefined || stored.softFailed;

const earlier = (a: TimelinePlace, b: TimelinePlace): TimelinePlace =>
  a.streamPos < b.streamPos || (a.streamPos === b.streamPos && a.backfillPos < b.backfillPos)
    ? a
    : b;

const placeOf = (stored: StoredEvent | undefined): TimelinePlace | undefined =>
  stored?.streamPos === undefined
    ? undefined
    : { streamPos: stored.streamPos, backfillPos: stored.backfillPos };

const placeBefore = (stored: StoredEvent | undefined): TimelinePlace | undefined => {
  const place = placeOf(stored);
  return place && { ...place, backfillPos: place.backfillPos - 1 };
};
