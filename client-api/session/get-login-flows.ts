/** https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3login */
import { Type } from 'typebox';
import { noAppservices } from '../../homeserver/accounts/appservices.ts';
import { perIp } from '../../homeserver/http/rate-limits.ts';
import { route } from '../../homeserver/http/route.ts';
import type { ClientApiDeps } from '../deps.ts';
import { clientPaths } from '../paths.ts';
import { AnyObject } from '../schemas.ts';

const FLOWS = [{ type: 'm.login.password' }, { type: 'm.login.token', get_login_token: true }];
const APPSERVICE_FLOW = { type: 'm.login.application_service' };

export const getLoginFlows = ({ accounts }: Pick<ClientApiDeps, 'accounts'>) =>
  route({
    operationId: 'getLoginFlows',
    method: 'GET',
    path: clientPaths('v3', '/login'),
    rateLimit: perIp('general'),
    response: Type.Object({ flows: Type.Array(AnyObject) }),
    handler: () => ({
      flows: accounts.appservices === noAppservices ? FLOWS : [...FLOWS, APPSERVICE_FLOW],
    }),
  });
