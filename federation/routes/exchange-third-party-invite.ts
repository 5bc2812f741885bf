/** https://spec.matrix.org/v1.19/server-server-api/#put_matrixfederationv1exchange_third_party_inviteroomid */
import { Type } from 'typebox';
import { RoomIdSchema, UserIdSchema } from '../../homeserver/http/identifier-schemas.ts';
import { perUser } from '../../homeserver/http/rate-limits.ts';
import { type Auth, type Route, route } from '../../homeserver/http/route.ts';
import type { Invites } from '../../homeserver/rooms/invites.ts';
import { matrixError } from '../../spec/errors.ts';
import type { JsonObject } from '../../spec/event.ts';
import { type ServerName, serverNameOf } from '../../spec/identifiers.ts';
import type { RoomAccess } from '../rooms/room-access.ts';

export interface ExchangeThirdPartyInviteDeps {
  readonly auth: Auth<ServerName>;
  readonly serverName: ServerName;
  readonly access: RoomAccess;
  readonly localInvites: Pick<Invites, 'send'>;
}

export const exchangeThirdPartyInvite = (deps: ExchangeThirdPartyInviteDeps): Route =>
  route({
    operationId: 'exchangeThirdPartyInvite',
    method: 'PUT',
    path: '/_matrix/federation/v1/exchange_third_party_invite/{roomId}',
    auth: deps.auth,
    rateLimit: perUser('federation'),
    params: Type.Object({ roomId: RoomIdSchema }),
    body: Type.Object({
      type: Type.Literal('m.room.member'),
      room_id: RoomIdSchema,
      sender: UserIdSchema,
      state_key: UserIdSchema,
      content: Type.Object({
        membership: Type.Literal('invite'),
        third_party_invite: Type.Unsafe<JsonObject>(Type.Object({})),
      }),
    }),
    response: Type.Object({}),
    handler: async ({ params, body, requester }) => {
      const { serverName, access, localInvites } = deps;
      if (body.room_id !== params.roomId) {
        throw matrixError('M_INVALID_PARAM', 'The event is of another room');
      }
      if (serverNameOf(body.sender) !== serverName) {
        throw matrixError('M_INVALID_PARAM', 'The sender of the invite is not of this server');
      }
      await access.forVisitor(requester, params.roomId);
      // The rules on member events check the signature by which the invite is theirs.
      await localInvites.send(body.sender, params.roomId, body.state_key, {
        third_party_invite: body.content.third_party_invite,
      });
      return {};
    },
  });
