/** Inviting people by something else than a user id: https://spec.matrix.org/v1.19/client-server-api/#third-party-invites */
import { Type } from 'typebox';
import { matrixError } from '../../../spec/errors.ts';

export const ThirdPartyInvite = Type.Object({
  id_server: Type.String(),
  id_access_token: Type.String(),
  medium: Type.String(),
  address: Type.String(),
});

/** The only answer while this server works with no identity server. */
export const noIdentityServer = () =>
  matrixError('M_SERVER_NOT_TRUSTED', 'This server works with no identity server');
