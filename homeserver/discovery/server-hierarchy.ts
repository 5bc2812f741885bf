/**
 * What a space tells another server of its rooms: the space itself and those directly in it. Told
 * again for a while as it was: "responses should be cached for a period of time".
 * https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1hierarchyroomid
 */
import { LRUCache } from 'lru-cache';
import { matrixError } from '../../spec/errors.ts';
import type { JsonObject } from '../../spec/event.ts';
import type { RoomId, ServerName } from '../../spec/identifiers.ts';
import type { Clock } from '../clock.ts';
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
  readonly #clock: Clock;
  /** By server, room and question. Each process has its own; nothing is lost with it. */
  readonly #told: LRUCache<
    string,
    { readonly space: Promise<SpaceForServer>; readonly expiresAtMs: number }
  >;

  constructor(deps: {
    registry: RoomRegistry;
    summaries: RoomSummaries;
    clock: Clock;
    /** Of all answers kept; characters of their JSON. */
    maxToldLength?: number;
  }) {
    this.#told = new LRUCache({ max: maxTold, maxSize: deps.maxToldLength ?? maxToldLength });
    this.#registry = deps.registry;
    this.#summaries = deps.summaries;
    this.#clock = deps.clock;
  }

  /** @throws MatrixError M_NOT_FOUND when the server may not be told of the space */
  of(server: ServerName, room: LiveRoom, suggestedOnly: boolean): Promise<SpaceForServer> {
    const key = `${server} ${room.nid} ${suggestedOnly}`;
    const nowMs = this.#clock.nowMs();
    const told = this.#told.get(key);
    if (told !== undefined && told.expiresAtMs > nowMs) return told.space;
    const space = this.#of(server, room, suggestedOnly);
    const entry = { space, expiresAtMs: nowMs + toldForMs };
    this.#told.set(key, entry, { size: 1 });
    space.then(
      (found) => {
        // What is larger than all that may be kept is kept no longer.
        if (this.#told.peek(key) === entry) this.#told.set(key, entry, { size: lengthOf(found) });
      },
      () => {
        if (this.#told.peek(key) === entry) this.#told.delete(key);
      },
    );
    return space;
  }

  async #of(server: ServerName, space: LiveRoom, suggestedOnly: boolean): Promise<SpaceForServer> {
    const summaries = this.#summaries;
    const own = await summaries.summary(space);
    if (!(await this.#isOpenTo(server, space, own))) {
      throw matrixError('M_NOT_FOUND', 'Room not found');
    }
    const events = await summaries.children(space, suggestedOnly);
    const children: JsonObject[] = [];
    const inaccessibleChildren: RoomId[] = [];
    for (const { stateKey } of events.slice(0, maxChildren)) {
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
    if (room.hasJoinedServer(server) || room.hasInvitedServer(server)) return true;
    if (await this.#summaries.isVisibleTo(undefined, room)) return true;
    const allowed = (summary['allowed_room_ids'] as RoomId[] | undefined) ?? [];
    for (const roomId of allowed.slice(0, maxAllowedRooms)) {
      if ((await this.#registry.find(roomId))?.hasJoinedServer(server) === true) return true;
    }
    return false;
  }
}

const lengthOf = ({ room, children }: SpaceForServer): number =>
  JSON.stringify(room).length + JSON.stringify(children).length;

const toldForMs = 60_000;
const maxTold = 200;
const maxToldLength = 8 * 1024 * 1024;
/** Looked into for one answer; all are named. */
const maxChildren = 200;
/** Rooms looked into that let their members into a restricted one. */
const maxAllowedRooms = 50;
