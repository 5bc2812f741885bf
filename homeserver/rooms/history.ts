/**
 * Paging through a room: `/messages`, `/context` and single events, for those who may see them.
 * https://spec.matrix.org/v1.19/client-server-api/#fetching-events-for-a-room
 */
import { MatrixError, matrixError } from '../../spec/errors.ts';
import { stateKeyOf } from '../../spec/event.ts';
import type { RoomEventFilter } from '../../spec/filter.ts';
import type { EventId, RoomId, UserId } from '../../spec/identifiers.ts';
import type { Db } from '../storage/database.ts';
import type { TimelinePlace } from '../storage/events.ts';
import { nearestGap } from '../storage/gaps.ts';
import type { Log } from '../streams/log.ts';
import type { Aggregations } from './aggregations.ts';
import type { EventView } from './client-events.ts';
import type { EventStore } from './event-store.ts';
import type { LiveRoom } from './live-room.ts';
import type { RoomRegistry } from './room-registry.ts';
import type { SnapshotStore } from './snapshot-store.ts';
import type { StoredEvent } from './stored-event.ts';
import { type Accept, startOfRoom, type Timeline } from './timeline.ts';
import type { UserRoom, UserRooms } from './user-rooms.ts';
import type { Visibility } from './visibility.ts';

/** Fetches history this server does not have; federation provides it. */
export interface HistoryFiller {
  /**
   * Fetches events that come before the one at `gap` and places them there. Resolves to whether
   * anything came. Failures of other servers are not errors.
   */
  fill(room: LiveRoom, gap: { eventId: EventId; place: TimelinePlace }): Promise<boolean>;
}

/** For a server that does not federate. */
export const noHistoryFiller: HistoryFiller = { fill: async () => false };

export interface HistoryDeps {
  readonly db: Db;
  readonly log: Log;
  readonly registry: RoomRegistry;
  readonly events: EventStore;
  readonly snapshots: SnapshotStore;
  readonly timeline: Timeline;
  readonly visibility: Visibility;
  readonly aggregations: Aggregations;
  readonly userRooms: UserRooms;
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
  readonly state: readonly StoredEvent[];
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
  readonly state: readonly StoredEvent[];
}

/** How often one request may fetch from other servers before it answers with what there is. */
const maxFills = 3;

export interface Access {
  readonly room: LiveRoom;
  readonly userRoom: UserRoom | undefined;
  /** Nothing later is shown: the present, or the moment the user left. */
  readonly upTo: TimelinePlace;
}

export class History {
  readonly #deps: HistoryDeps;

  constructor(deps: HistoryDeps) {
    this.#deps = deps;
  }

  /** @throws MatrixError M_FORBIDDEN for those who may see nothing of the room */
  async messages(request: MessagesRequest): Promise<MessagesPage> {
    const access = await this.access(request.userId, request.roomId);
    const { room, upTo } = access;
    const backwards = request.direction === 'backwards';
    const start = request.from ?? (backwards ? upTo : startOfRoom);
    const [low, high] = backwards
      ? [request.to ?? startOfRoom, earlier(start, upTo)]
      : [start, earlier(request.to ?? upTo, upTo)];
    const accept: Accept = ({ event }) => request.filter.matchesEvent(event);
    const page = await this.#page(room, low, high, request, accept);
    const views = await this.shown(request.userId, access, page.events);
    return {
      room,
      events: views,
      start,
      end: this.#end(page, backwards),
      state: request.filter.lazyLoadMembers ? await this.#senders(room, views) : [],
    };
  }

  /** One event. @throws MatrixError M_NOT_FOUND also for what the user may not see */
  async event(userId: UserId, roomId: RoomId, eventId: EventId): Promise<[LiveRoom, EventView]> {
    const access = await this.accessIfAny(userId, roomId);
    const stored = access && (await this.#deps.events.byId(eventId));
    if (access === undefined || stored?.roomNid !== access.room.nid || isHidden(stored)) {
      throw matrixError('M_NOT_FOUND', 'Event not found');
    }
    const [view] = await this.shown(userId, access, [stored]);
    if (view === undefined) throw matrixError('M_NOT_FOUND', 'Event not found');
    return [access.room, view];
  }

  /** An event with up to `limit` events around it, half before and half after. */
  async context(
    userId: UserId,
    roomId: RoomId,
    eventId: EventId,
    limit: number,
    filter: RoomEventFilter,
  ): Promise<EventContext> {
    const access = await this.access(userId, roomId);
    const { room, upTo } = access;
    const [, event] = await this.event(userId, roomId, eventId);
    const { stored } = event;
    if (stored.streamPos === undefined) throw matrixError('M_NOT_FOUND', 'Event not found');
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
      this.shown(userId, access, before.events),
      this.shown(userId, access, after.events),
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
        ? await this.#senders(room, all)
        : await this.#stateAt(room, (afterViews.at(-1) ?? event).stored),
    };
  }

  /** Like `access`, where having none is no error. */
  async accessIfAny(userId: UserId, roomId: RoomId): Promise<Access | undefined> {
    try {
      return await this.access(userId, roomId);
    } catch (error) {
      if (error instanceof MatrixError) return undefined;
      throw error;
    }
  }

  /** Those of these events that the user may see, with what is told of their relations. */
  async shown(
    userId: UserId,
    { room, userRoom }: Pick<Access, 'room' | 'userRoom'>,
    events: readonly StoredEvent[],
  ): Promise<readonly EventView[]> {
    const { visibility, aggregations } = this.#deps;
    const views = await visibility.visibleTo(userId, userRoom, events);
    return aggregations.bundle(userId, room.nid, views);
  }

  /**
   * What a user may read of a room: all of it while joined, up to their departure afterwards, and
   * whatever is world-readable otherwise.
   * @throws MatrixError M_FORBIDDEN
   */
  async access(userId: UserId, roomId: RoomId): Promise<Access> {
    const room = await this.#deps.registry.find(roomId);
    const upTo = { streamPos: this.#deps.log.position, backfillPos: 0 };
    if (room === undefined) throw matrixError('M_FORBIDDEN', 'You are not in this room');
    const userRoom = await this.#deps.userRooms.get(userId, room.nid);
    if (userRoom?.membership === 'join') return { room, userRoom, upTo };
    const setting = await this.#deps.visibility.settingIn(room.nid, room.state);
    if (setting === 'world_readable') return { room, userRoom, upTo };
    const wasThere = userRoom?.membership === 'leave' || userRoom?.membership === 'ban';
    if (userRoom === undefined || !wasThere || userRoom.forgotten) {
      throw matrixError('M_FORBIDDEN', 'You are not in this room');
    }
    return { room, userRoom, upTo: { streamPos: userRoom.streamPos, backfillPos: 0 } };
  }

  /** Reads a page, fetching from other servers where it runs into a gap. */
  async #page(
    room: LiveRoom,
    low: TimelinePlace,
    high: TimelinePlace,
    { direction, limit }: Pick<MessagesRequest, 'direction' | 'limit'>,
    accept: Accept,
  ): ReturnType<Timeline['page']> {
    for (let fills = 0; ; fills += 1) {
      const page = await this.#deps.timeline.page(room.nid, low, high, direction, limit, accept);
      if (direction === 'forwards' || fills === maxFills) return page;
      const reached = page.more && page.last !== undefined ? page.last : low;
      const gap = await nearestGap(this.#deps.db, room.nid, reached, high);
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

  async #senders(room: LiveRoom, views: readonly EventView[]): Promise<StoredEvent[]> {
    const users = new Set(views.map(({ stored }) => stored.event.sender));
    const nids = [...users].flatMap(
      (user) => room.state.get(stateKeyOf('m.room.member', user))?.nid ?? [],
    );
    return [...(await this.#deps.events.manyByNid(room.nid, nids)).values()];
  }

  async #stateAt(room: LiveRoom, stored: StoredEvent): Promise<StoredEvent[]> {
    const state = await this.#deps.snapshots.load(room.nid, stored.snapshotAfter ?? 0);
    const nids = [...state.entries()].map(([, ref]) => ref.nid);
    return [...(await this.#deps.events.manyByNid(room.nid, nids)).values()];
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
