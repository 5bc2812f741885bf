/** https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3sendtodeviceeventtypetxnid */
import { Type } from 'typebox';
import { perUser } from '../../homeserver/http/rate-limits.ts';
import { route } from '../../homeserver/http/route.ts';
import type { ClientApiDeps } from '../deps.ts';
import { clientPaths } from '../paths.ts';
import { AnyObject, Done } from '../schemas.ts';

const BYTES_PER_COST = 65_536;

export const sendToDevice = ({ auth, encryption }: Pick<ClientApiDeps, 'auth' | 'encryption'>) =>
  route({
    operationId: 'sendToDevice',
    method: 'PUT',
    path: clientPaths('v3', '/sendToDevice/{eventType}/{txnId}'),
    auth: auth.userOrGuest,
    rateLimit: perUser('to_device'),
    rateCost: (_body, bytes) => Math.floor(bytes / BYTES_PER_COST),
    params: Type.Object({
      eventType: Type.String({ minLength: 1, maxLength: 255 }),
      txnId: Type.String({ minLength: 1, maxLength: 255 }),
    }),
    body: Type.Object({ messages: AnyObject }),
    response: Done,
    handler: async ({ requester: { userId, deviceId }, params: { eventType, txnId }, body }) => {
      await encryption.toDevice.send(userId, deviceId, eventType, txnId, body.messages);
      return {};
    },
  });
