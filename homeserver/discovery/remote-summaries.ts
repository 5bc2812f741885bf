/**
 * Rooms that this server is not in, as other servers tell of them, to those who may be told.
 * https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1roomsroomidhierarchy
 */
import type { JsonObject } from '../../spec/event.ts';
import { isServerName, type RoomId, type ServerName, type UserId } from '../../spec/identifiers.ts';
import type { RemoteRooms, RemoteSpace } from '../rooms/remote-rooms.ts';
import type { RoomRegistry } from '../rooms/room-registry.ts';
import type { UserRooms } from '../rooms/user-rooms.ts';

export interface RemoteSummariesDeps {
  readonly remote: RemoteRooms;
  readonly registry: RoomRegistry;
  readonly userRooms: UserRooms;
  readonly serverName: ServerName;
}

const OPEN_RULES = new Set(['public', 'knock', 'knock_restricted']);

export class RemoteSummaries {
  readonly #deps: RemoteSummariesDeps;

  constructor(deps: RemoteSummariesDeps) {
    this.#deps = deps;
  }

  /** `undefined` where nobody tells, or this person may not be told. */
  async of(
    userId: UserId,
    roomId: RoomId,
    via: readonly string[],
    timeoutMs: number,
  ): Promise<RemoteSpace | undefined> {
    const { remote, serverName } = this.#deps;
    // Room ids of old versions name the server that made the room.
    const named = [...via, roomId.slice(roomId.indexOf(':') + 1)];
    const servers = named.filter(
      (name): name is ServerName => isServerName(name) && name !== serverName,
    );
    const space = await remote.space(roomId, servers, userId, timeoutMs);
    return space !== undefined && (await this.mayBeTold(userId, space.room)) ? space : undefined;
  }

  /** The user's standing in a room this server is not in. */
  async membership(userId: UserId, roomId: RoomId): Promise<string> {
    for (const room of (await this.#deps.userRooms.of(userId)).values()) {
      if (room.roomId === roomId) return room.membership;
    }
    return 'leave';
  }

  async mayBeTold(userId: UserId, summary: JsonObject): Promise<boolean> {
    const { world_readable, join_rule, allowed_room_ids: allowed, room_id: roomId } = summary;
    if (world_readable === true || OPEN_RULES.has(join_rule as string)) return true;
    if (join_rule === 'restricted') {
      for (const id of (allowed ?? []) as RoomId[]) {
        const room = await this.#deps.registry.find(id);
        if (room?.membership(userId) === 'join') return true;
      }
    }
    return (await this.membership(userId, roomId as RoomId)) === 'invite';
  }
}
