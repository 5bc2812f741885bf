/** Synapse's admin API: begins a registration with the shared secret. */
import { Type } from 'typebox';
import { perIp } from '../../homeserver/http/rate-limits.ts';
import { route } from '../../homeserver/http/route.ts';
import type { ClientApiDeps } from '../deps.ts';

export const getRegisterNonce = ({ accounts }: Pick<ClientApiDeps, 'accounts'>) =>
  route({
    operationId: 'getRegisterNonce',
    method: 'GET',
    path: '/_synapse/admin/v1/register',
    rateLimit: perIp('token_check'),
    response: Type.Object({ nonce: Type.String() }),
    handler: () => ({ nonce: accounts.sharedSecret.nonce() }),
  });
