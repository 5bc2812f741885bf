/**
 * Which servers may ask about a room at all: those its access control list lets in, and for most of
 * what can be asked, those with someone in it.
 *
 * Specification:
 * https://spec.matrix.org/v1.19/server-server-api/#server-access-control-lists-acls
 */
import type { EventStore } from '../../homeserver/rooms/event-store.ts';
import type { LiveRoom } from '../../homeserver/rooms/live-room.ts';
import type { RoomRegistry } from '../../homeserver/rooms/room-registry.ts';
import { matrixError } from '../../spec/errors.ts';
import type { MatrixEvent } from '../../spec/event.ts';
import type { RoomId, ServerName } from '../../spec/identifiers.ts';
import { EVERYONE_ALLOWED, type ServerAcl, serverAclOf } from '../../spec/server-acl.ts';

export class RoomAccess {
  readonly #registry: RoomRegistry;
  readonly #events: EventStore;
  readonly #acls = new WeakMap<MatrixEvent, ServerAcl>();

  constructor(deps: { readonly registry: RoomRegistry; readonly events: EventStore }) {
    this.#registry = deps.registry;
    this.#events = deps.events;
  }

  /** A room that this server takes part in. What is known of others may be long out of date. */
  async ours(roomId: RoomId): Promise<LiveRoom | undefined> {
    const room = await this.#registry.find(roomId);
    return room?.hasJoinedServer(room.localServer) === true ? room : undefined;
  }

  /** The room's access control list, as it is now. */
  async aclOf(room: LiveRoom): Promise<ServerAcl> {
    const ref = room.stateRef('m.room.server_acl', '');
    const event = ref && (await this.#events.byNid(room.nid, ref.nid))?.event;
    if (event === undefined) return EVERYONE_ALLOWED;
    let acl = this.#acls.get(event);
    if (acl === undefined) {
      acl = serverAclOf(event.content);
      this.#acls.set(event, acl);
    }
    return acl;
  }

  /**
   * The room, for a server that wants to come in or to go.
   * @throws MatrixError M_NOT_FOUND, M_FORBIDDEN
   */
  async forVisitor(origin: ServerName, roomId: RoomId): Promise<LiveRoom> {
    const room = await this.ours(roomId);
    if (room === undefined) throw matrixError('M_NOT_FOUND', 'Unknown room');
    if (!(await this.aclOf(room)).allows(origin)) {
      throw matrixError('M_FORBIDDEN', 'Your server is not allowed in this room');
    }
    return room;
  }

  /**
   * The room, for a server that has someone in it.
   * @throws MatrixError M_NOT_FOUND, M_FORBIDDEN
   */
  async forParticipant(origin: ServerName, roomId: RoomId): Promise<LiveRoom> {
    const room = await this.forVisitor(origin, roomId);
    if (!room.hasJoinedServer(origin)) {
      throw matrixError('M_FORBIDDEN', 'Your server is not in this room');
    }
    return room;
  }
}
