/** What the calls that bring somebody into a room have in common. */
import { type Static, Type } from 'typebox';
import {
  RoomIdSchema,
  ServerNameSchema,
  UserIdSchema,
} from '../../../homeserver/http/identifier-schemas.ts';
import type { ServerName } from '../../../spec/identifiers.ts';

const maxServers = 20;

const Servers = Type.Optional(Type.Array(ServerNameSchema));

/** `server_name` is what `via` was called before. */
export const ViaQuery = Type.Object({ via: Servers, server_name: Servers });

export const viaOf = (query: Static<typeof ViaQuery>): ServerName[] =>
  [...new Set([...(query.via ?? []), ...(query.server_name ?? [])])].slice(0, maxServers);

export const JoinBody = Type.Object({
  reason: Type.Optional(Type.String()),
  third_party_signed: Type.Optional(
    Type.Object({
      sender: UserIdSchema,
      mxid: UserIdSchema,
      token: Type.String(),
      signatures: Type.Record(Type.String(), Type.Record(Type.String(), Type.String())),
    }),
  ),
});

export const EnteredRoom = Type.Object({ room_id: RoomIdSchema });
