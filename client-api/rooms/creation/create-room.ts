/** https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3createroom */
import { Type } from 'typebox';
import { RoomIdSchema, UserIdSchema } from '../../../homeserver/http/identifier-schemas.ts';
import { perUser } from '../../../homeserver/http/rate-limits.ts';
import { route } from '../../../homeserver/http/route.ts';
import type { ClientApiDeps } from '../../deps.ts';
import { clientPaths } from '../../paths.ts';
import { AnyObject } from '../../schemas.ts';
import { noIdentityServer, ThirdPartyInvite } from '../membership/third-party-invite-schema.ts';

const maxInvites = 500;
const maxInitialState = 500;

const Preset = Type.Union([
  Type.Literal('private_chat'),
  Type.Literal('public_chat'),
  Type.Literal('trusted_private_chat'),
]);

const Body = Type.Object({
  visibility: Type.Optional(Type.Union([Type.Literal('public'), Type.Literal('private')])),
  room_alias_name: Type.Optional(Type.String()),
  name: Type.Optional(Type.String()),
  topic: Type.Optional(Type.String()),
  invite: Type.Optional(Type.Array(UserIdSchema, { maxItems: maxInvites })),
  invite_3pid: Type.Optional(Type.Array(ThirdPartyInvite)),
  room_version: Type.Optional(Type.String()),
  creation_content: Type.Optional(AnyObject),
  initial_state: Type.Optional(
    Type.Array(
      Type.Object({
        type: Type.String(),
        state_key: Type.String({ default: '' }),
        content: AnyObject,
      }),
      { maxItems: maxInitialState },
    ),
  ),
  preset: Type.Optional(Preset),
  is_direct: Type.Optional(Type.Boolean()),
  power_level_content_override: Type.Optional(AnyObject),
});

export const createRoom = ({ auth, roomCreator }: Pick<ClientApiDeps, 'auth' | 'roomCreator'>) =>
  route({
    operationId: 'createRoom',
    method: 'POST',
    path: clientPaths('v3', '/createRoom'),
    auth: auth.active,
    rateLimit: perUser('create_room'),
    body: Body,
    response: Type.Object({ room_id: RoomIdSchema }),
    handler: async ({ requester, body }) => {
      if ((body.invite_3pid ?? []).length > 0) throw noIdentityServer();
      const roomId = await roomCreator.create(requester.userId, {
        visibility: body.visibility,
        preset: body.preset,
        aliasName: body.room_alias_name,
        name: body.name,
        topic: body.topic,
        invite: body.invite,
        isDirect: body.is_direct,
        version: body.room_version,
        byAdmin: requester.isAdmin,
        creationContent: body.creation_content,
        initialState: body.initial_state?.map(({ type, state_key: stateKey, content }) => ({
          type,
          stateKey,
          content,
        })),
        powerLevelOverride: body.power_level_content_override,
      });
      return { room_id: roomId };
    },
  });
