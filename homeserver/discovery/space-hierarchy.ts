/**
 * The rooms of a space, and of the spaces in it, as far as this server has them or others tell of them.
 * https://spec.matrix.org/v1.19/client-server-api/#discovering-rooms-within-spaces
 */
import { matrixError } from '../../spec/errors.ts';
import type { JsonObject, MatrixEvent } from '../../spec/event.ts';
import type { RoomId, UserId } from '../../spec/identifiers.ts';
import type { LiveRoom } from '../rooms/live-room.ts';
import type { RoomRegistry } from '../rooms/room-registry.ts';
import type { RemoteSummaries } from './remote-summaries.ts';
import { byOrder, type RoomSummaries } from './room-summaries.ts';

export interface HierarchyRequest {
  readonly userId: UserId;
  readonly roomId: RoomId;
  readonly suggestedOnly: boolean;
  /** Levels below the space; 0 gives the space alone. */
  readonly maxDepth: number;
  readonly limit: number;
  /** Rooms of earlier pages. */
  readonly offset: number;
}

export interface HierarchyPage {
  readonly rooms: readonly JsonObject[];
  /** Rooms of this page and those before; undefined when there are no more. */
  readonly next: number | undefined;
}

/** Rooms walked through in all: the rest of a larger tree is not shown. */
const maxRooms = 2000;
/** For all other servers that are asked for one page; what they told lately is known. */
const askingTimeMs = 10_000;
const spaceType = 'm.space';

interface Place {
  readonly roomId: RoomId;
  readonly depth: number;
  /** Servers that may know the room. */
  readonly via: readonly string[];
  /** What the server that told of its space tells of the room. */
  readonly told?: JsonObject | undefined;
}

/** A room that may be shown. */
interface Shown {
  readonly room: JsonObject;
  readonly inside: readonly Omit<Place, 'depth'>[];
}

export class SpaceHierarchy {
  readonly #registry: RoomRegistry;
  readonly #summaries: RoomSummaries;
  readonly #remote: RemoteSummaries;

  constructor(deps: {
    registry: RoomRegistry;
    summaries: RoomSummaries;
    remoteSummaries: RemoteSummaries;
  }) {
    this.#registry = deps.registry;
    this.#summaries = deps.summaries;
    this.#remote = deps.remoteSummaries;
  }

  /**
   * Rooms depth first, each once. Every page walks from the space again, so that nothing is kept
   * between them.
   * @throws MatrixError M_FORBIDDEN
   */
  async page(request: HierarchyRequest): Promise<HierarchyPage> {
    const { roomId, maxDepth, limit, offset } = request;
    const deadlineMs = performance.now() + askingTimeMs;
    const rooms: JsonObject[] = [];
    const met = new Set<RoomId>();
    const stack: Place[] = [{ roomId, depth: 0, via: [] }];
    let count = 0;
    for (let place = stack.pop(); place !== undefined; place = stack.pop()) {
      if (met.has(place.roomId) || met.size === maxRooms) continue;
      met.add(place.roomId);
      const shown =
        (await this.#here(request, place)) ?? (await this.#elsewhere(request, place, deadlineMs));
      if (shown === undefined) {
        if (place.depth === 0) throw matrixError('M_FORBIDDEN', 'You may not view this room');
        continue;
      }
      if (rooms.length === limit) return { rooms, next: offset + limit };
      if (place.depth < maxDepth) {
        const depth = place.depth + 1;
        for (const inside of shown.inside.toReversed()) stack.push({ ...inside, depth });
      }
      count += 1;
      if (count > offset) rooms.push(shown.room);
    }
    return { rooms, next: undefined };
  }

  /** A room whose present this server knows, if the user may be told of it. */
  async #here(
    { userId, suggestedOnly }: HierarchyRequest,
    { roomId }: Place,
  ): Promise<Shown | undefined> {
    const room = await this.#registry.find(roomId);
    if (!isHere(room) || !(await this.#summaries.isVisibleTo(userId, room))) return undefined;
    const children = await this.#summaries.children(room, suggestedOnly);
    const summary = await this.#summaries.summary(room);
    return {
      room: { ...summary, children_state: children.map(strippedChild) },
      inside: children.map(({ stateKey, content }) => ({
        roomId: stateKey as RoomId,
        via: content['via'] as string[],
      })),
    };
  }

  /** A room that only others know. A room that is no space is known from the space it is in. */
  async #elsewhere(
    { userId, suggestedOnly }: HierarchyRequest,
    { roomId, via, told }: Place,
    deadlineMs: number,
  ): Promise<Shown | undefined> {
    if (isHere(await this.#registry.find(roomId))) return undefined;
    if (told !== undefined && told['room_type'] !== spaceType) {
      const isVisible = await this.#remote.mayBeTold(userId, told);
      return isVisible ? { room: { ...told, children_state: [] }, inside: [] } : undefined;
    }
    const leftMs = deadlineMs - performance.now();
    const space = leftMs > 0 ? await this.#remote.of(userId, roomId, via, leftMs) : undefined;
    if (space === undefined) return undefined;
    const children = (space.room['children_state'] as JsonObject[])
      .filter(({ content }) => !suggestedOnly || (content as JsonObject)['suggested'] === true)
      .sort((a, b) => byOrder(childIn(a), childIn(b)));
    return {
      room: { ...space.room, children_state: children },
      inside: children.map(({ state_key: child, content }) => ({
        roomId: child as RoomId,
        via: (content as JsonObject)['via'] as string[],
        told: space.children.get(child as RoomId),
      })),
    };
  }
}

const childIn = ({ content, origin_server_ts: ts, state_key: stateKey }: JsonObject) => ({
  content: content as JsonObject,
  originServerTs: ts as number,
  stateKey: stateKey as string,
});

/** Whether this server takes part in a room, and so knows its present. */
const isHere = (room: LiveRoom | undefined): room is LiveRoom =>
  room?.hasJoinedServer(room.localServer) === true;

export const strippedChild = (event: MatrixEvent): JsonObject => ({
  type: event.type,
  state_key: event.stateKey as string,
  sender: event.sender,
  content: event.content,
  origin_server_ts: event.originServerTs,
});
