/**
 * Rooms in a sync response that the reader is not in: invited to, knocking on, left.
 * https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3sync
 */
import { DEFAULT_ROOM_VERSION, type RoomVersionRules, rulesOf } from '../../spec/room-versions.ts';
import type { ClientEvents, EventView } from '../rooms/client-events.ts';
import type { EventStore } from '../rooms/event-store.ts';
import type { LiveRoom } from '../rooms/live-room.ts';
import type { RoomAccesses } from '../rooms/room-accesses.ts';
import type { RoomRegistry } from '../rooms/room-registry.ts';
import type { StoredEvent } from '../rooms/stored-event.ts';
import { isFromIgnored } from '../rooms/stripped-state.ts';
import type { Stretch, Timeline } from '../rooms/timeline.ts';
import type { UserRoom } from '../rooms/user-rooms.ts';
import type { SyncResponse } from './response.ts';
import type { RoomReading } from './room-reading.ts';
import type { SyncContext } from './sync-stream.ts';
import { isAcceptable } from './timeline-filter.ts';
import { formatPlace } from './tokens.ts';

export interface RoomsOutsideDeps {
  readonly registry: RoomRegistry;
  readonly events: EventStore;
  readonly timeline: Timeline;
  readonly access: RoomAccesses;
  readonly clientEvents: ClientEvents;
}

/** To clients, member events look the same in every version. */
const anyRules = rulesOf(DEFAULT_ROOM_VERSION) as RoomVersionRules;

type Write = (
  context: SyncContext,
  reading: RoomReading,
  response: SyncResponse,
) => Promise<void> | undefined;

export class RoomsOutside {
  readonly #deps: RoomsOutsideDeps;
  readonly #write: Write;

  /** @param write adds to the response what was read of a room the reader was in */
  constructor(deps: RoomsOutsideDeps, write: Write) {
    this.#deps = deps;
    this.#write = write;
  }

  collect(context: SyncContext, room: UserRoom, response: SyncResponse): Promise<void> | undefined {
    const isNews = room.streamPos > (context.from?.position ?? -1);
    switch (room.membership) {
      case 'invite':
        if (isNews && !isFromIgnored(room.strippedState, context.ignoredUsers)) {
          response.invited(room.roomId, room.strippedState ?? '[]');
        }
        return undefined;
      case 'knock':
        if (isNews) response.knocked(room.roomId, room.strippedState ?? '[]');
        return undefined;
      default: {
        const isWanted =
          context.from === undefined
            ? context.filter.room.includeLeave
            : isNews || (context.fullState && context.filter.room.includeLeave);
        return isWanted ? this.#collectLeft(context, room, response) : undefined;
      }
    }
  }

  /**
   * A room the reader has left, or was kept out of: what they may see up to their departure, and the
   * event that made them what they are now.
   */
  async #collectLeft(context: SyncContext, room: UserRoom, response: SyncResponse): Promise<void> {
    const { registry, events, access: accesses, timeline } = this.#deps;
    const own = await events.byNid(room.roomNid, room.eventNid);
    const live = await registry.findByNid(room.roomNid);
    const access = live && (await accesses.inRoom(context.userId, live, room));
    if (live === undefined || access?.departure?.streamPos === undefined) {
      await this.#addOwn(context, room, live, own, response);
      return;
    }
    const after = context.from?.position ?? 0;
    const upTo = Math.min(access.departure.streamPos, context.to.position);
    const stretch = await timeline.newest(
      room.roomNid,
      { streamPos: after, backfillPos: 0 },
      { streamPos: upTo, backfillPos: 0 },
      context.filter.room.timeline.limit,
      isAcceptable(context),
    );
    const views = await access.views(stretch.events);
    const reading = withOwn(context, { stretch, views }, own);
    const fromStart = context.from === undefined;
    // Who came and went since their last sync knows nothing of the room yet.
    const isNew = fromStart || access.stayFrom > after;
    const fullState = isNew || context.fullState;
    await this.#write(
      context,
      { room, live, access, ...reading, fromStart, fullState, upTo },
      response,
    );
  }

  /** Of a room the reader never was in, or of which this server knows nothing, there is no more. */
  async #addOwn(
    context: SyncContext,
    room: UserRoom,
    live: LiveRoom | undefined,
    own: StoredEvent | undefined,
    response: SyncResponse,
  ): Promise<void> {
    const rules = live?.rules ?? anyRules;
    const { clientEvents } = this.#deps;
    const events: string[] = [];
    if (own !== undefined && isShown(context, own)) {
      await clientEvents.prepare([own]);
      const { replacesNid } = own;
      const hidden = replacesNid === undefined ? undefined : new Set([replacesNid]);
      const view = { stored: own, membership: room.membership, hidden };
      const { userId, deviceId, filter } = context;
      const format = { withRoomId: false, fields: filter.eventFields, format: filter.eventFormat };
      events.push(clientEvents.write(view, rules, { userId, deviceId }, format));
    }
    const part = response.left(room.roomId);
    part.timeline = {
      events,
      limited: false,
      prevBatch: formatPlace({ streamPos: room.streamPos, backfillPos: -1 }),
    };
    if (context.useStateAfter) part.stateAfter = [];
    else part.state = [];
  }
}

/** What brought someone's present membership, they are told even where it came after they left. */
const withOwn = (
  context: SyncContext,
  { stretch, views }: { readonly stretch: Stretch; readonly views: readonly EventView[] },
  own: StoredEvent | undefined,
): { readonly stretch: Stretch; readonly views: readonly EventView[] } => {
  const isKnown = own === undefined || views.some(({ stored }) => stored.nid === own.nid);
  if (isKnown || !isShown(context, own)) return { stretch, views };
  const { replacesNid } = own;
  const hidden = replacesNid === undefined ? undefined : new Set([replacesNid]);
  const added = [...views, { stored: own, membership: undefined, hidden }];
  const { limit } = context.filter.room.timeline;
  return added.length > limit
    ? { stretch: { events: stretch.events.slice(1), limited: true }, views: added.slice(1) }
    : { stretch, views: added };
};

const isShown = (context: SyncContext, own: StoredEvent): boolean =>
  context.filter.room.timeline.limit > 0 && isAcceptable(context)(own);
