/**
 * What a space tells another server of its rooms: the space itself and those directly in it.
 * https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1hierarchyroomid
 */
import { matrixError } from '../../spec/errors.ts';
import type { JsonObject } from '../../spec/event.ts';
import type { RoomId, ServerName } from '../../spec/identifiers.ts';
import type { LiveRoom } from '../rooms/live-room.ts';
import type { RoomRegistry } from '../rooms/room-registry.ts';
import type { RoomSummaries } from './room-summaries.ts';
import { strippedChild } from './space-hierarchy.ts';

export interface SpaceForServer {
  readonly room: JsonObject;
  /** Rooms that someone of the server may look into or join. */
  readonly children: readonly JsonObject[];
  /** Rooms that are here, but are none of the server's business. */
  readonly inaccessibleChildren: readonly RoomId[];
}

export class ServerHierarchy {
  readonly #registry: RoomRegistry;
  readonly #summaries: RoomSummaries;

  constructor(deps: { registry: RoomRegistry; summaries: RoomSummaries }) {
    this.#registry = deps.registry;
    this.#summaries = deps.summaries;
  }

  /** @throws MatrixError M_NOT_FOUND when the server may not be told of the space */
  async of(server: ServerName, space: LiveRoom, suggestedOnly: boolean): Promise<SpaceForServer> {
    const summaries = this.#summaries;
    const own = await summaries.summary(space);
    if (!(await this.#isOpenTo(server, space, own))) {
      throw matrixError('M_NOT_FOUND', 'Room not found');
    }
    const events = await summaries.children(space, suggestedOnly);
    const children: JsonObject[] = [];
    const inaccessibleChildren: RoomId[] = [];
    for (const { stateKey } of events) {
      const room = await this.#registry.find(stateKey as RoomId);
      if (room?.hasJoinedServer(room.localServer) !== true) continue;
      const summary = await summaries.summary(room);
      if (await this.#isOpenTo(server, room, summary)) children.push(summary);
      else inaccessibleChildren.push(room.id);
    }
    const room = { ...own, children_state: events.map(strippedChild) };
    return { room, children, inaccessibleChildren };
  }

  async #isOpenTo(server: ServerName, room: LiveRoom, summary: JsonObject): Promise<boolean> {
    if (room.hasJoinedServer(server)) return true;
    if (await this.#summaries.isVisibleTo(undefined, room)) return true;
    const allowed = (summary['allowed_room_ids'] as RoomId[] | undefined) ?? [];
    for (const roomId of allowed.slice(0, maxAllowedRooms)) {
      if ((await this.#registry.find(roomId))?.hasJoinedServer(server) === true) return true;
    }
    return false;
  }
}

/** Rooms looked into that let their members into a restricted one. */
const maxAllowedRooms = 50;
