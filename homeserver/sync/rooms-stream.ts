/**
 * The rooms of a sync response: timelines, state, invites, knocks and departures.
 * https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3sync
 */

import type { Aggregations } from '../rooms/aggregations.ts';
import type { ClientEvents, ClientFormat, EventView, Viewer } from '../rooms/client-events.ts';
import type { EventStore } from '../rooms/event-store.ts';
import type { RoomAccess } from '../rooms/room-access.ts';
import type { RoomAccesses } from '../rooms/room-accesses.ts';
import type { RoomActivity } from '../rooms/room-activity.ts';
import type { RoomRegistry } from '../rooms/room-registry.ts';
import type { StoredEvent } from '../rooms/stored-event.ts';
import type { ReadableRoom, StoredRooms } from '../rooms/stored-rooms.ts';
import { type Stretch, sinceLastGap, type Timeline } from '../rooms/timeline.ts';
import type { UserRoom } from '../rooms/user-rooms.ts';
import type { Db } from '../storage/database.ts';
import { roomsChangedBetween } from '../storage/events.ts';
import { turns } from '../turns.ts';
import { type FreshRoom, type FreshRooms, freshRoomsTogether } from './fresh-rooms.ts';
import type { SyncResponse } from './response.ts';
import type { RoomReading } from './room-reading.ts';
import type { RoomStateReader } from './room-state-reader.ts';
import { RoomsOutside } from './rooms-outside.ts';
import type { SummaryReader } from './summary-reader.ts';
import { isNewlyJoined, type SyncContext, type SyncStream } from './sync-stream.ts';
import { isAcceptable } from './timeline-filter.ts';
import { formatPlace, placeBefore } from './tokens.ts';

export interface RoomsStreamDeps {
  readonly db: Db;
  readonly registry: RoomRegistry;
  readonly activity: RoomActivity;
  readonly timeline: Timeline;
  readonly events: EventStore;
  readonly access: RoomAccesses;
  readonly clientEvents: ClientEvents;
  readonly aggregations: Aggregations;
  readonly state: RoomStateReader;
  readonly summaries: SummaryReader;
  readonly fresh: FreshRooms;
  readonly stored: StoredRooms;
}

export class RoomsStream implements SyncStream {
  readonly name = 'rooms';
  readonly #deps: RoomsStreamDeps;
  readonly #outside: RoomsOutside;

  constructor(deps: RoomsStreamDeps) {
    this.#deps = deps;
    this.#outside = new RoomsOutside(deps, (context, reading, response) =>
      this.#write(context, reading, response),
    );
  }

  collect(context: SyncContext, response: SyncResponse): Promise<void> | undefined {
    const waits: Promise<void>[] = [];
    const fresh: UserRoom[] = [];
    for (const room of context.changedRooms) {
      if (room.membership === 'join') {
        if (isNewlyJoined(context, room)) fresh.push(room);
      } else {
        const wait = this.#outside.collect(context, room, response);
        if (wait !== undefined) waits.push(wait);
      }
    }
    if (fresh.length > 0) waits.push(this.#collectFresh(context, fresh, response));
    const changed = this.#changedRooms(context);
    if (Array.isArray(changed)) {
      for (const room of changed) {
        const wait = this.#collectChanged(context, room, response);
        if (wait !== undefined) waits.push(wait);
      }
    } else {
      waits.push(
        changed.then(async (rooms) => {
          for (const room of rooms) await this.#collectChanged(context, room, response);
        }),
      );
    }
    return waits.length === 0 ? undefined : Promise.all(waits).then(() => undefined);
  }

  /** Joined rooms with something new that the reader has been following. */
  #changedRooms(context: SyncContext): UserRoom[] | Promise<UserRoom[]> {
    const { from, to, fullState } = context;
    if (from === undefined) return [];
    const following = context.changedRooms.filter(
      (room) => room.membership === 'join' && !isNewlyJoined(context, room),
    );
    if (fullState) return following;
    if (this.#deps.activity.knows(from.position)) {
      return following.filter(({ roomNid }) =>
        this.#deps.activity.changedSince(roomNid, from.position),
      );
    }
    return roomsChangedBetween(
      this.#deps.db,
      following.map(({ roomNid }) => roomNid),
      from.position,
      to.position,
    ).then((changed) => following.filter(({ roomNid }) => changed.has(roomNid)));
  }

  /** A room the reader has been following: answered from memory where it reaches back far enough. */
  #collectChanged(
    context: SyncContext,
    room: UserRoom,
    response: SyncResponse,
  ): Promise<void> | undefined {
    const reading = this.#fromMemory(context, room);
    return reading === undefined
      ? this.#readChanged(context, room, response)
      : this.#write(context, reading, response);
  }

  #fromMemory(context: SyncContext, room: UserRoom): RoomReading | undefined {
    const live = this.#deps.registry.cached(room.roomNid);
    const after = context.from?.position ?? 0;
    const upTo = context.to.position;
    const { timeline: filter } = context.filter.room;
    const accept = isAcceptable(context);
    const recent = this.#deps.timeline.fromMemory(room.roomNid, after, upTo, filter.limit, accept);
    const stretch = live && recent && sinceLastGap(live, recent);
    // Bundling the relations of what comes after a gap takes the database.
    if (live === undefined || stretch === undefined || stretch.limited || context.fullState) {
      return undefined;
    }
    const access = this.#deps.access.ofMember(context.userId, live, room);
    const views = stretch.events.map((stored) => ({ stored, membership: 'join' }));
    return { room, live, access, stretch, views, fromStart: false, fullState: false, upTo };
  }

  async #readChanged(context: SyncContext, room: UserRoom, response: SyncResponse): Promise<void> {
    const live = await this.#deps.registry.findByNid(room.roomNid);
    if (live === undefined) return;
    const recalling = this.#deps.timeline.recall(live, context.from?.position ?? 0);
    if (recalling !== undefined) {
      await recalling;
      const recalled = this.#fromMemory(context, room);
      if (recalled !== undefined) return this.#write(context, recalled, response);
    }
    const upTo = context.to.position;
    const newest = await this.#deps.timeline.newest(
      room.roomNid,
      { streamPos: context.from?.position ?? 0, backfillPos: 0 },
      { streamPos: upTo, backfillPos: 0 },
      context.filter.room.timeline.limit,
      isAcceptable(context),
    );
    const stretch = sinceLastGap(live, newest);
    const access = this.#deps.access.ofMember(context.userId, live, room);
    const views = await this.#withRelations(access, stretch, await access.views(stretch.events));
    const { fullState } = context;
    const reading = { room, live, access, stretch, views, fromStart: false, fullState, upTo };
    await this.#write(context, reading, response);
  }

  /** After a gap the reader does not know of all the relations before it. */
  async #withRelations(
    access: RoomAccess<ReadableRoom>,
    stretch: Stretch,
    views: readonly EventView[],
    related?: ReadonlySet<string>,
  ): Promise<readonly EventView[]> {
    return stretch.limited ? this.#deps.aggregations.bundle(access, views, related) : views;
  }

  /** Rooms that are new to the reader: some are read while those before them are written. */
  async #collectFresh(
    context: SyncContext,
    rooms: readonly UserRoom[],
    response: SyncResponse,
  ): Promise<void> {
    const giveWay = turns();
    let reading = this.#readSome(context, rooms.slice(0, freshRoomsTogether));
    for (let end = freshRoomsTogether; ; end += freshRoomsTogether) {
      const some = await reading;
      const isLast = end >= rooms.length;
      if (!isLast) {
        reading = this.#readSome(context, rooms.slice(end, end + freshRoomsTogether));
        // Heard of when its turn comes, unless what comes before it fails.
        reading.catch(() => undefined);
      }
      await this.#writeSome(context, some, response, giveWay);
      if (isLast) return;
    }
  }

  async #readSome(context: SyncContext, rooms: readonly UserRoom[]): Promise<FreshRoom[]> {
    const { stored, timeline } = this.#deps;
    const { limit } = context.filter.room.timeline;
    const lives = await stored.findMany(rooms.map(({ roomNid }) => roomNid));
    const stretches = await timeline.newestOfRooms(
      lives.values(),
      context.to.position,
      limit,
      isAcceptable(context),
    );
    const fresh: FreshRoom[] = [];
    for (const room of rooms) {
      const live = lives.get(room.roomNid);
      const stretch = stretches.get(room.roomNid);
      if (live === undefined || stretch === undefined) continue;
      fresh.push({ room, live, stretch: sinceLastGap(live, stretch) });
    }
    return fresh;
  }

  async #writeSome(
    context: SyncContext,
    fresh: readonly FreshRoom[],
    response: SyncResponse,
    giveWay: ReturnType<typeof turns>,
  ): Promise<void> {
    const upTo = context.to.position;
    const limited = fresh.filter(({ stretch }) => stretch.limited);
    const related = await this.#deps.aggregations.related(
      limited.flatMap(({ stretch }) => stretch.events),
    );
    const release = await this.#deps.fresh.hold(context, fresh);
    try {
      // Beside each other, so that what they ask for in one turn of the event loop is asked together.
      await Promise.all(
        fresh.map(async ({ room, live, stretch }) => {
          const access = this.#deps.access.ofMember(context.userId, live, room);
          const seen = await access.views(stretch.events);
          const views = await this.#withRelations(access, stretch, seen, related);
          const part = { room, live, access, stretch, views, fromStart: true, fullState: true };
          const pause = giveWay();
          if (pause !== undefined) await pause;
          await this.#write(context, { ...part, upTo }, response);
        }),
      );
    } finally {
      release();
    }
  }

  /** Stays synchronous when everything the texts refer to is in memory. */
  #write(
    context: SyncContext,
    reading: RoomReading,
    response: SyncResponse,
  ): Promise<void> | undefined {
    const state = this.#deps.state.read(context, reading);
    const shown = reading.views.map(({ stored }) => stored);
    if (state instanceof Promise) {
      return state.then(async (stateViews) => {
        const isLong = stateViews.length > maxStateAtOnce;
        const texts = isLong ? await this.#writeLong(context, reading, stateViews) : undefined;
        const referring = isLong ? shown : [...shown, ...shownEvents(stateViews)];
        await this.#deps.clientEvents.prepare(referring);
        await this.#finish(context, reading, stateViews, response, texts);
      });
    }
    const preparing = this.#deps.clientEvents.prepare(shown);
    return preparing === undefined
      ? this.#finish(context, reading, state, response)
      : preparing.then(() => this.#finish(context, reading, state, response));
  }

  /** The whole state of a large room: everyone else gets their turn meanwhile. */
  #writeLong(
    context: SyncContext,
    { live }: RoomReading,
    state: readonly EventView[],
  ): Promise<string[]> {
    return this.#deps.clientEvents.writeMany(state, live.rules, context, formatOf(context));
  }

  #finish(
    context: SyncContext,
    reading: RoomReading,
    state: readonly EventView[],
    response: SyncResponse,
    writtenState?: readonly string[],
  ): Promise<void> | undefined {
    const { room, live, stretch, views, fromStart, fullState } = reading;
    const [first] = stretch.events;
    const joined = room.membership === 'join';
    if (!fullState && joined && views.length === 0 && state.length === 0 && !stretch.limited) {
      return undefined;
    }
    const part = joined ? response.joined(room.roomId) : response.left(room.roomId);
    const viewer: Viewer = { userId: context.userId, deviceId: context.deviceId };
    const format = formatOf(context);
    const write = (view: EventView): string =>
      this.#deps.clientEvents.write(view, live.rules, viewer, format);
    part.timeline = {
      events: views.map(write),
      // Whatever the reader may have of an earlier stay does not join on to this one.
      limited: stretch.limited || (fromStart && joined && context.from !== undefined),
      prevBatch:
        first === undefined
          ? formatPlace(fromStart || stretch.limited ? endOf(reading) : beginning(context))
          : placeBefore({
              streamPos: first.streamPos as number,
              backfillPos: first.backfillPos,
            }),
    };
    const stateTexts = writtenState ?? state.map(write);
    if (context.useStateAfter) part.stateAfter = stateTexts;
    else part.state = stateTexts;
    const affectsMembers =
      fullState || [...state, ...views].some(({ stored }) => affectsSummary(stored.event.type));
    return joined && affectsMembers
      ? this.#deps.summaries.read(context.userId, live).then((summary) => {
          part.summary = summary;
        })
      : undefined;
  }
}

/** State events of a room written in one piece. */
const maxStateAtOnce = 200;

const formatOf = ({ filter }: SyncContext): ClientFormat => ({
  withRoomId: false,
  fields: filter.eventFields,
  format: filter.eventFormat,
});

const beginning = ({ from }: SyncContext) => ({ streamPos: from?.position ?? 0, backfillPos: 0 });

const endOf = ({ upTo }: RoomReading) => ({ streamPos: upTo, backfillPos: 0 });

const shownEvents = (views: readonly EventView[]): StoredEvent[] =>
  views.map(({ stored }) => stored);

const affectsSummary = (type: string): boolean =>
  type === 'm.room.member' || type === 'm.room.name' || type === 'm.room.canonical_alias';
