/**
 * https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1publicrooms and
 * https://spec.matrix.org/v1.19/server-server-api/#post_matrixfederationv1publicrooms
 */
import { Type } from 'typebox';
import { perUser } from '../../homeserver/http/rate-limits.ts';
import { type Auth, type Route, route } from '../../homeserver/http/route.ts';
import type { PublicRooms } from '../../homeserver/rooms/public-rooms.ts';
import { matrixError } from '../../spec/errors.ts';
import type { JsonObject } from '../../spec/event.ts';
import type { ServerName } from '../../spec/identifiers.ts';

export interface PublicRoomsDeps {
  readonly auth: Auth<ServerName>;
  /** None where the operator does not show them to other servers. */
  readonly publicRooms: Pick<PublicRooms, 'list'> | undefined;
}

const path = '/_matrix/federation/v1/publicRooms';

const response = Type.Unsafe<JsonObject>(
  Type.Object({
    chunk: Type.Array(Type.Object({})),
    next_batch: Type.Optional(Type.String()),
    prev_batch: Type.Optional(Type.String()),
    total_room_count_estimate: Type.Optional(Type.Integer()),
  }),
);

const commonFields = {
  limit: Type.Optional(Type.Integer({ minimum: 0 })),
  since: Type.Optional(Type.String()),
  include_all_networks: Type.Optional(Type.Boolean()),
  third_party_instance_id: Type.Optional(Type.String()),
};

/** "Defaults to 0 (no limit)." */
const limitOf = (limit: number | undefined): number | undefined =>
  limit === 0 ? undefined : limit;

const shown = <T>(publicRooms: T | undefined): T => {
  if (publicRooms === undefined) {
    throw matrixError('M_FORBIDDEN', 'This server does not show its rooms to other servers');
  }
  return publicRooms;
};

export const getPublicRooms = ({ auth, publicRooms }: PublicRoomsDeps): Route =>
  route({
    operationId: 'getPublicRooms',
    method: 'GET',
    path,
    auth,
    rateLimit: perUser('federation'),
    query: Type.Object(commonFields),
    response,
    handler: ({ query }) =>
      shown(publicRooms).list({
        limit: limitOf(query.limit),
        since: query.since,
        includeAllNetworks: query.include_all_networks,
        networkId: query.third_party_instance_id,
      }),
  });

/** Of what somebody looks for. */
const MAX_BODY_BYTES = 64 * 1024;
const MAX_BODY_VALUES = 1_000;

export const queryPublicRooms = ({ auth, publicRooms }: PublicRoomsDeps): Route =>
  route({
    operationId: 'queryPublicRooms',
    method: 'POST',
    path,
    auth,
    rateLimit: perUser('federation'),
    maxBodyBytes: MAX_BODY_BYTES,
    maxBodyValues: MAX_BODY_VALUES,
    body: Type.Object({
      ...commonFields,
      filter: Type.Optional(
        Type.Object({
          generic_search_term: Type.Optional(Type.String()),
          room_types: Type.Optional(Type.Array(Type.Union([Type.String(), Type.Null()]))),
        }),
      ),
    }),
    response,
    handler: ({ body }) =>
      shown(publicRooms).list({
        limit: limitOf(body.limit),
        since: body.since,
        searchTerm: body.filter?.generic_search_term,
        roomTypes: body.filter?.room_types,
        includeAllNetworks: body.include_all_networks,
        networkId: body.third_party_instance_id,
      }),
  });
