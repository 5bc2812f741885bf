/** https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3sendtodeviceeventtypetxnid */
import { Type } from 'typebox';
import { route } from '../../homeserver/http/route.ts';
import type { ClientApiDeps } from '../deps.ts';
import { clientPaths } from '../paths.ts';
import { AnyObject, Done } from '../schemas.ts';

export const sendToDevice = ({ auth, encryption }: Pick<ClientApiDeps, 'auth' | 'encryption'>) =>
  route({
    operationId: 'sendToDevice',
    method: 'PUT',
    path: clientPaths('v3', '/sendToDevice/{eventType}/{txnId}'),
    auth: auth.userOrGuest,
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
