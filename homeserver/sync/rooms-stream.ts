/**
 * The rooms of a sync response: timelines, state, invites, knocks and departures.
 * https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3sync
 */

import type { Aggregations } from '../rooms/aggregations.ts';
import type { ClientEvents, EventView, Viewer } from '../rooms/client-events.ts';
import type { RoomActivity } from '../rooms/room-activity.ts';
import type { RoomRegistry } from '../rooms/room-registry.ts';
import type { StoredEvent } from '../rooms/stored-event.ts';
import { type Stretch, startOfRoom, type Timeline } from '../rooms/timeline.ts';
import type { UserRoom } from '../rooms/user-rooms.ts';
import type { Visibility } from '../rooms/visibility.ts';
import type { Db } from '../storage/database.ts';
import { roomsChangedBetween } from '../storage/events.ts';
import type { SyncResponse } from './response.ts';
import type { RoomReading } from './room-reading.ts';
import type { RoomStateReader } from './room-state-reader.ts';
import type { SummaryReader } from './summary-reader.ts';
import { isNewlyJoined, type SyncContext, type SyncStream } from './sync-stream.ts';
import { isAcceptable } from './timeline-filter.ts';
import { formatPlace, placeBefore } from './tokens.ts';

export interface RoomsStreamDeps {
  readonly db: Db;
  readonly registry: RoomRegistry;
  readonly activity: RoomActivity;
  readonly timeline: Timeline;
  readonly visibility: Visibility;
  readonly clientEvents: ClientEvents;
  readonly aggregations: Aggregations;
  readonly state: RoomStateReader;
  readonly summaries: SummaryReader;
}

export class RoomsStream implements SyncStream {
  readonly name = 'rooms';
  readonly #deps: RoomsStreamDeps;

  constructor(deps: RoomsStreamDeps) {
    this.#deps = deps;
  }

  collect(context: SyncContext, response: SyncResponse): Promise<void> | undefined {
    const waits: Promise<void>[] = [];
    const fresh: UserRoom[] = [];
    for (const room of context.changedRooms) {
      if (room.membership === 'join') {
        if (context.fullState || isNewlyJoined(context, room)) fresh.push(room);
      } else {
        const wait = this.#collectOutside(context, room, response);
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
    if (from === undefined || fullState) return [];
    const following = context.changedRooms.filter(
      (room) => room.membership === 'join' && !isNewlyJoined(context, room),
    );
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
    const live = this.#deps.registry.cached(room.roomNid);
    const after = context.from?.position ?? 0;
    const upTo = context.to.position;
    const { timeline: filter } = context.filter.room;
    const accept = isAcceptable(context);
    const stretch = this.#deps.timeline.fromMemory(room.roomNid, after, upTo, filter.limit, accept);
    // Bundling the relations of what comes after a gap takes the database.
    if (live === undefined || stretch === undefined || stretch.limited) {
      return this.#readChanged(context, room, response);
    }
    const views = stretch.events.map((stored) => ({ stored, membership: 'join' }));
    return this.#write(context, { room, live, stretch, views, fromStart: false, upTo }, response);
  }

  async #readChanged(context: SyncContext, room: UserRoom, response: SyncResponse): Promise<void> {
    const live = await this.#deps.registry.findByNid(room.roomNid);
    if (live === undefined) return;
    const upTo = context.to.position;
    const stretch = await this.#deps.timeline.newest(
      room.roomNid,
      { streamPos: context.from?.position ?? 0, backfillPos: 0 },
      { streamPos: upTo, backfillPos: 0 },
      context.filter.room.timeline.limit,
      isAcceptable(context),
    );
    const views = stretch.events.map((stored) => ({ stored, membership: 'join' }));
    const shown = await this.#withRelations(context, room, stretch, views);
    const reading = { room, live, stretch, views: shown, fromStart: false, upTo };
    await this.#write(context, reading, response);
  }

  /** After a gap the reader does not know of all the relations before it. */
  async #withRelations(
    context: SyncContext,
    room: UserRoom,
    stretch: Stretch,
    views: readonly EventView[],
    related?: ReadonlySet<string>,
  ): Promise<readonly EventView[]> {
    if (!stretch.limited) return views;
    const { aggregations } = this.#deps;
    return aggregations.bundle(context.userId, room.roomNid, views, related);
  }

  /** Rooms that are new to the reader, or asked for in full. */
  async #collectFresh(
    context: SyncContext,
    rooms: readonly UserRoom[],
    response: SyncResponse,
  ): Promise<void> {
    const { limit } = context.filter.room.timeline;
    const upTo = context.to.position;
    const stretches = await this.#deps.timeline.newestOfRooms(
      rooms.map(({ roomNid }) => roomNid),
      upTo,
      limit,
      isAcceptable(context),
    );
    const limited = [...stretches.values()].filter((stretch) => stretch.limited);
    const related = await this.#deps.aggregations.related(limited.flatMap(({ events }) => events));
    const lives = await this.#deps.registry.findMany(rooms.map(({ roomNid }) => roomNid));
    await Promise.all(
      rooms.map(async (room) => {
        const live = lives.get(room.roomNid);
        const stretch = stretches.get(room.roomNid);
        if (live === undefined || stretch === undefined) return;
        const views = await this.#deps.visibility.visibleTo(context.userId, room, stretch.events);
        const shown = await this.#withRelations(context, room, stretch, views, related);
        const reading = { room, live, stretch, views: shown, fromStart: true, upTo };
        await this.#write(context, reading, response);
      }),
    );
  }

  #collectOutside(
    context: SyncContext,
    room: UserRoom,
    response: SyncResponse,
  ): Promise<void> | undefined {
    const since = context.from?.position ?? -1;
    switch (room.membership) {
      case 'invite':
        if (room.streamPos > since) response.invited(room.roomId, room.strippedState ?? '[]');
        return undefined;
      case 'knock':
        if (room.streamPos > since) response.knocked(room.roomId, room.strippedState ?? '[]');
        return undefined;
      default: {
        const wanted =
          context.from === undefined || context.fullState
            ? context.filter.room.includeLeave
            : room.streamPos > since;
        return wanted ? this.#collectLeft(context, room, response) : undefined;
      }
    }
  }

  /** A room the reader has left, or was made to: everything up to the departure. */
  async #collectLeft(context: SyncContext, room: UserRoom, response: SyncResponse): Promise<void> {
    const live = await this.#deps.registry.findByNid(room.roomNid);
    if (live === undefined) {
      // An invite to a room this server is not in was declined or withdrawn.
      response.left(room.roomId).timeline = {
        events: [],
        limited: false,
        prevBatch: formatPlace({ streamPos: room.streamPos, backfillPos: 0 }),
      };
      return;
    }
    const fromStart = context.from === undefined || context.fullState;
    const after = fromStart ? 0 : (context.from?.position ?? 0);
    const upTo = Math.min(room.streamPos, context.to.position);
    const stretch = await this.#deps.timeline.newest(
      room.roomNid,
      { streamPos: after, backfillPos: 0 },
      { streamPos: upTo, backfillPos: 0 },
      context.filter.room.timeline.limit,
      isAcceptable(context),
    );
    const views = await this.#deps.visibility.visibleTo(context.userId, room, stretch.events);
    await this.#write(context, { room, live, stretch, views, fromStart, upTo }, response);
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
      return state.then(async (events) => {
        await this.#deps.clientEvents.prepare([...shown, ...events]);
        await this.#finish(context, reading, events, response);
      });
    }
    const preparing = this.#deps.clientEvents.prepare(shown);
    return preparing === undefined
      ? this.#finish(context, reading, state, response)
      : preparing.then(() => this.#finish(context, reading, state, response));
  }

  #finish(
    context: SyncContext,
    reading: RoomReading,
    state: readonly StoredEvent[],
    response: SyncResponse,
  ): Promise<void> | undefined {
    const { room, live, stretch, views, fromStart } = reading;
    const [first] = stretch.events;
    const joined = room.membership === 'join';
    if (!fromStart && joined && views.length === 0 && state.length === 0 && !stretch.limited) {
      return undefined;
    }
    const part = joined ? response.joined(room.roomId) : response.left(room.roomId);
    const viewer: Viewer = { userId: context.userId, deviceId: context.deviceId };
    const format = {
      withRoomId: false,
      fields: context.filter.eventFields,
      format: context.filter.eventFormat,
    };
    const write = (view: EventView): string =>
      this.#deps.clientEvents.write(view, live.rules, viewer, format);
    part.timeline = {
      events: views.map(write),
      // Whatever the reader may have of an earlier stay does not join on to this one.
      limited: stretch.limited || (fromStart && joined && context.from !== undefined),
      prevBatch:
        first === undefined
          ? formatPlace(fromStart ? startOfRoom : beginning(context))
          : placeBefore({
              streamPos: first.streamPos as number,
              backfillPos: first.backfillPos,
            }),
    };
    const stateTexts = state.map((stored) => write({ stored, membership: undefined }));
    if (context.useStateAfter) part.stateAfter = stateTexts;
    else part.state = stateTexts;
    const affectsMembers =
      fromStart ||
      [...state, ...shownEvents(views)].some(({ event }) => affectsSummary(event.type));
    return joined && affectsMembers
      ? this.#deps.summaries.read(context.userId, live).then((summary) => {
          part.summary = summary;
        })
      : undefined;
  }
}

const beginning = ({ from }: SyncContext) => ({ streamPos: from?.position ?? 0, backfillPos: 0 });

const shownEvents = (views: readonly EventView[]): StoredEvent[] =>
  views.map(({ stored }) => stored);

const affectsSummary = (type: string): boolean =>
  type === 'm.room.member' || type === 'm.room.name' || type === 'm.room.canonical_alias';
