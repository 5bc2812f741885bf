/** What rooms need of other servers, answered by the federation. */

import type { LiveRoom } from '../../homeserver/rooms/live-room.ts';
import type {
  PublicRoomsQuery,
  RemoteMembership,
  RemoteRooms,
  RemoteSpace,
  SignedInvite,
} from '../../homeserver/rooms/remote-rooms.ts';
import { matrixError } from '../../spec/errors.ts';
import type { JsonObject, JsonValue } from '../../spec/event.ts';
import {
  isRoomId,
  isServerName,
  type RoomAlias,
  type RoomId,
  type ServerName,
  serverNameOf,
  type UserId,
} from '../../spec/identifiers.ts';
import { RefusedByServer } from '../federation-error.ts';
import type { FederationClient, FederationRequest } from '../http-client.ts';
import { FederatedSpaces } from '../remote-spaces.ts';
import { errorForPerson } from './candidates.ts';
import { OutboundDeparture, type OutboundDepartureDeps } from './outbound-departure.ts';
import { OutboundInvite, type OutboundInviteDeps } from './outbound-invite.ts';
import { OutboundJoin, type OutboundJoinDeps } from './outbound-join.ts';

export type FederatedRoomsDeps = OutboundJoinDeps & OutboundDepartureDeps & OutboundInviteDeps;

const QUERY_TIMEOUT_MS = 15_000;
const ALIAS_BOUNDS = { maxBytes: 256 * 1024, maxValues: 10_000 };
const DIRECTORY_BOUNDS = { maxBytes: 4 * 1024 * 1024, maxValues: 50_000 };
const MAX_SERVERS = 50;
const MAX_PUBLIC_ROOMS = 500;

export class FederatedRooms implements RemoteRooms {
  readonly #client: FederationClient;
  readonly #joins: OutboundJoin;
  readonly #departures: OutboundDeparture;
  readonly #invites: OutboundInvite;
  readonly #spaces: FederatedSpaces;

  constructor(deps: FederatedRoomsDeps) {
    this.#client = deps.client;
    this.#joins = new OutboundJoin(deps);
    this.#departures = new OutboundDeparture(deps);
    this.#invites = new OutboundInvite(deps);
    this.#spaces = new FederatedSpaces(deps);
  }

  space(
    roomId: RoomId,
    servers: readonly ServerName[],
    asker: UserId,
    timeoutMs: number,
  ): Promise<RemoteSpace | undefined> {
    return this.#spaces.space(roomId, servers, asker, timeoutMs);
  }

  join(request: RemoteMembership): Promise<void> {
    return this.#joins.join(request);
  }

  leave(request: RemoteMembership): Promise<void> {
    return this.#departures.leave(request);
  }

  knock(request: RemoteMembership): Promise<void> {
    return this.#departures.knock(request);
  }

  invite(room: LiveRoom, invite: SignedInvite): Promise<SignedInvite> {
    return this.#invites.invite(room, invite);
  }

  exchangeThirdPartyInvite(roomId: RoomId, sender: UserId, content: JsonObject): Promise<void> {
    return this.#invites.exchangeThirdPartyInvite(roomId, sender, content);
  }

  async resolveAlias(
    alias: RoomAlias,
    asker: UserId,
  ): Promise<{ roomId: RoomId; servers: readonly ServerName[] }> {
    const server = serverNameOf(alias);
    const { room_id: roomId, servers } = await this.#query({
      destination: server,
      method: 'GET',
      path: '/_matrix/federation/v1/query/directory',
      query: { room_alias: alias },
      ...ALIAS_BOUNDS,
      requester: asker,
    });
    if (typeof roomId !== 'string' || !isRoomId(roomId)) {
      throw matrixError('M_NOT_FOUND', `${server} knows no room with the alias ${alias}`);
    }
    const named = (Array.isArray(servers) ? servers : []).filter(
      (name): name is ServerName => typeof name === 'string' && isServerName(name),
    );
    return { roomId, servers: [...new Set([server, ...named])].slice(0, MAX_SERVERS) };
  }

  async publicRooms(
    server: ServerName,
    query: PublicRoomsQuery,
    asker: UserId,
  ): Promise<JsonObject> {
    const answer = await this.#query({
      destination: server,
      method: 'POST',
      path: '/_matrix/federation/v1/publicRooms',
      body: directoryQuery(query),
      ...DIRECTORY_BOUNDS,
      requester: asker,
    });
    return checkedDirectory(answer);
  }

  async #query(
    request: Omit<FederationRequest, 'purpose' | 'timeoutMs' | 'essential'>,
  ): Promise<JsonObject> {
    try {
      return await this.#client.request({
        ...request,
        purpose: 'person',
        essential: true,
        timeoutMs: QUERY_TIMEOUT_MS,
      });
    } catch (error) {
      // A server that answers so has nothing of the kind, whatever it calls it.
      if (error instanceof RefusedByServer && error.status === 404) {
        throw matrixError('M_NOT_FOUND', `${request.destination}: not found`);
      }
      throw errorForPerson(error);
    }
  }
}

const directoryQuery = (query: PublicRoomsQuery): JsonObject => {
  const { limit, since, searchTerm, roomTypes, includeAllNetworks, networkId } = query;
  const filter: JsonObject = {
    ...(searchTerm !== undefined && { generic_search_term: searchTerm }),
    ...(roomTypes !== undefined && { room_types: [...roomTypes] }),
  };
  return {
    ...(limit !== undefined && { limit }),
    ...(since !== undefined && { since }),
    ...(Object.keys(filter).length > 0 && { filter }),
    ...(includeAllNetworks !== undefined && { include_all_networks: includeAllNetworks }),
    ...(networkId !== undefined && { third_party_instance_id: networkId }),
  };
};

/** Entries that clients could stumble over are left out, and so is what we do not know. */
const checkedDirectory = (answer: JsonObject): JsonObject => {
  const { chunk, next_batch, prev_batch, total_room_count_estimate } = answer;
  const rooms = (Array.isArray(chunk) ? chunk : []).slice(0, MAX_PUBLIC_ROOMS).filter(isPublicRoom);
  return {
    chunk: rooms,
    ...(typeof next_batch === 'string' && { next_batch }),
    ...(typeof prev_batch === 'string' && { prev_batch }),
    ...(Number.isSafeInteger(total_room_count_estimate) && { total_room_count_estimate }),
  };
};

const TEXTS = ['name', 'topic', 'canonical_alias', 'avatar_url', 'join_rule', 'room_type'];

const isPublicRoom = (room: JsonValue): boolean => {
  if (typeof room !== 'object' || room === null || Array.isArray(room)) return false;
  const roomId = room['room_id'];
  return (
    typeof roomId === 'string' &&
    isRoomId(roomId) &&
    Number.isSafeInteger(room['num_joined_members']) &&
    typeof room['world_readable'] === 'boolean' &&
    typeof room['guest_can_join'] === 'boolean' &&
    TEXTS.every((field) => room[field] === undefined || typeof room[field] === 'string')
  );
};
