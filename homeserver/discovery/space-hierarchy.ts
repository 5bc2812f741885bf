/**
 * The rooms of a space, and of the spaces in it, as far as this server has them.
 * https://spec.matrix.org/v1.19/client-server-api/#discovering-rooms-within-spaces
 */
import { matrixError } from '../../spec/errors.ts';
import type { JsonObject, MatrixEvent } from '../../spec/event.ts';
import type { RoomId, UserId } from '../../spec/identifiers.ts';
import type { LiveRoom } from '../rooms/live-room.ts';
import type { RoomRegistry } from '../rooms/room-registry.ts';
import type { RoomSummaries } from './room-summaries.ts';

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

export class SpaceHierarchy {
  readonly #registry: RoomRegistry;
  readonly #summaries: RoomSummaries;

  constructor(deps: { registry: RoomRegistry; summaries: RoomSummaries }) {
    this.#registry = deps.registry;
    this.#summaries = deps.summaries;
  }

  /**
   * Rooms depth first, each once. Every page walks from the space again, so that nothing is kept
   * between them.
   * @throws MatrixError M_FORBIDDEN
   */
  async page(request: HierarchyRequest): Promise<HierarchyPage> {
    const { userId, roomId, suggestedOnly, maxDepth, limit, offset } = request;
    if ((await this.#visible(userId, roomId)) === undefined) {
      throw matrixError('M_FORBIDDEN', 'You may not view this room');
    }
    const rooms: JsonObject[] = [];
    const met = new Set<RoomId>();
    const stack: { roomId: RoomId; depth: number }[] = [{ roomId, depth: 0 }];
    let count = 0;
    for (let place = stack.pop(); place !== undefined; place = stack.pop()) {
      if (met.has(place.roomId) || met.size === maxRooms) continue;
      met.add(place.roomId);
      const room = await this.#visible(userId, place.roomId);
      if (room === undefined) continue;
      if (rooms.length === limit) return { rooms, next: offset + limit };
      const children = await this.#summaries.children(room, suggestedOnly);
      if (place.depth < maxDepth) {
        for (const { stateKey } of children.toReversed()) {
          stack.push({ roomId: stateKey as RoomId, depth: place.depth + 1 });
        }
      }
      count += 1;
      if (count <= offset) continue;
      const summary = await this.#summaries.summary(room);
      rooms.push({ ...summary, children_state: children.map(strippedChild) });
    }
    return { rooms, next: undefined };
  }

  /** A room whose present this server knows, if the user may be told of it. */
  async #visible(userId: UserId, roomId: RoomId): Promise<LiveRoom | undefined> {
    const room = await this.#registry.find(roomId);
    if (room?.hasJoinedServer(room.localServer) !== true) return undefined;
    return (await this.#summaries.isVisibleTo(userId, room)) ? room : undefined;
  }
}

export const strippedChild = (event: MatrixEvent): JsonObject => ({
  type: event.type,
  state_key: event.stateKey as string,
  sender: event.sender,
  content: event.content,
  origin_server_ts: event.originServerTs,
});
