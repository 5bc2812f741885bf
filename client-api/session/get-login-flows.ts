/** https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3login */
import { Type } from 'typebox';
import { perIp } from '../../homeserver/http/rate-limits.ts';
import { route } from '../../homeserver/http/route.ts';
import { clientPaths } from '../paths.ts';
import { AnyObject } from '../schemas.ts';

const FLOWS = [
  { type: 'm.login.password' },
  { type: 'm.login.token', get_login_token: true },
  { type: 'm.login.application_service' },
];

export const getLoginFlows = () =>
  route({
    operationId: 'getLoginFlows',
    method: 'GET',
    path: clientPaths('v3', '/login'),
    rateLimit: perIp('general'),
    response: Type.Object({ flows: Type.Array(AnyObject) }),
    handler: () => ({ flows: FLOWS }),
  });
