/**
 * What rooms need of other servers. The core says what it asks for; `federation` answers it, and
 * `main.ts` brings the two together.
 */
import { matrixError } from '../../spec/errors.ts';
import type { JsonObject, MatrixEvent } from '../../spec/event.ts';
import type { RoomAlias, RoomId, ServerName, UserId } from '../../spec/identifiers.ts';
import type { LiveRoom } from './live-room.ts';

/** A membership change of one of our users in a room that this server does not take part in. */
export interface RemoteMembership {
  readonly userId: UserId;
  readonly roomId: RoomId;
  /** Servers to try, the most promising first; without this one, without duplicates. */
  readonly servers: readonly ServerName[];
  /** Content of the member event, `membership` included. */
  readonly content: JsonObject;
}

export interface SignedInvite {
  readonly event: MatrixEvent;
  /** The PDU as JSON. */
  readonly json: string;
}

export interface PublicRoomsQuery {
  readonly limit?: number | undefined;
  readonly since?: string | undefined;
  readonly searchTerm?: string | undefined;
  /** `null` stands for rooms without a type. */
  readonly roomTypes?: readonly (string | null)[] | undefined;
  readonly includeAllNetworks?: boolean | undefined;
  readonly networkId?: string | undefined;
}

/** A room as another server tells of it, with the rooms directly in it where it is a space. */
export interface RemoteSpace {
  /** A summary, with `children_state`; checked for its form alone. */
  readonly room: JsonObject;
  readonly children: ReadonlyMap<RoomId, JsonObject>;
}

/** Every call is bounded in time and throws a MatrixError when no server helps. */
export interface RemoteRooms {
  /** Resolves once this server has the room and the join in it is durable. */
  join(request: RemoteMembership): Promise<void>;
  /**
   * Takes back an invite or a knock. Where no server can be reached the user is out of it all the
   * same, as far as this server is concerned.
   */
  leave(request: RemoteMembership): Promise<void>;
  /** Resolves once the knock is durable. */
  knock(request: RemoteMembership): Promise<void>;
  /** Has the invited user's server sign the invite. The caller appends the result. */
  invite(room: LiveRoom, invite: SignedInvite): Promise<SignedInvite>;
  /** Turns a pending third-party invite into an invite, through the server of who sent it. */
  exchangeThirdPartyInvite(roomId: RoomId, sender: UserId, content: JsonObject): Promise<void>;
  resolveAlias(
    alias: RoomAlias,
    asker: UserId,
  ): Promise<{ roomId: RoomId; servers: readonly ServerName[] }>;
  /** As the other server answers `/publicRooms`. */
  publicRooms(server: ServerName, query: PublicRoomsQuery, asker: UserId): Promise<JsonObject>;
  /** `undefined`, and no error, when none of the servers tells of the room. */
  space(
    roomId: RoomId,
    servers: readonly ServerName[],
    asker: UserId,
    timeoutMs: number,
  ): Promise<RemoteSpace | undefined>;
}

/** For a server that speaks with no other. */
export const noRemoteRooms: RemoteRooms = {
  join: async () => {
    throw matrixError('M_NOT_FOUND', 'This server is not in that room and cannot ask others');
  },
  leave: async () => {
    throw matrixError('M_NOT_FOUND', 'This server is not in that room and cannot ask others');
  },
  knock: async () => {
    throw matrixError('M_NOT_FOUND', 'This server is not in that room and cannot ask others');
  },
  invite: async (_room, { event }) => {
    throw matrixError(
      'M_FORBIDDEN',
      `${event.stateKey} is on another server, and this one speaks with no other`,
    );
  },
  exchangeThirdPartyInvite: async () => {
    throw matrixError('M_FORBIDDEN', 'The invite is from a server that this one cannot ask');
  },
  resolveAlias: async (alias) => {
    throw matrixError('M_NOT_FOUND', `No room has the alias ${alias}`);
  },
  publicRooms: async (server) => {
    throw matrixError('M_NOT_FOUND', `This server cannot ask ${server}`);
  },
  space: async () => undefined,
};
