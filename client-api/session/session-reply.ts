/** The form in which clients get a new session. */
import { Type } from 'typebox';
import type { SessionTokens } from '../../homeserver/accounts/sessions.ts';
import { UserIdSchema } from '../../homeserver/http/identifier-schemas.ts';
import { type ServerName, serverNameOf, type UserId } from '../../spec/identifiers.ts';

export const SessionReply = Type.Object({
  user_id: UserIdSchema,
  home_server: Type.String(),
  access_token: Type.Optional(Type.String()),
  device_id: Type.Optional(Type.String()),
  refresh_token: Type.Optional(Type.String()),
  expires_in_ms: Type.Optional(Type.Integer()),
});

export interface SessionReply {
  user_id: UserId;
  /** Deprecated, and still looked for by some clients. */
  home_server: ServerName;
  access_token?: string;
  device_id?: string;
  refresh_token?: string;
  expires_in_ms?: number;
}

/** Without tokens where the client wanted no session. */
export const sessionReply = (userId: UserId, session: SessionTokens | undefined): SessionReply => ({
  user_id: userId,
  home_server: serverNameOf(userId),
  ...(session === undefined
    ? {}
    : { access_token: session.accessToken, device_id: session.deviceId, ...refreshPart(session) }),
});

/** Only for clients that can refresh. */
export const refreshPart = ({
  refreshToken,
  expiresInMs,
}: SessionTokens): Pick<SessionReply, 'refresh_token' | 'expires_in_ms'> => ({
  ...(refreshToken === undefined ? {} : { refresh_token: refreshToken }),
  ...(expiresInMs === undefined ? {} : { expires_in_ms: expiresInMs }),
});
