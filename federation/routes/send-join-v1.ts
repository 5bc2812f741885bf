/**
 * No longer in the specification, but servers that know nothing newer ask so:
 * https://spec.matrix.org/v1.2/server-server-api/#put_matrixfederationv1send_joinroomideventid
 */
import { type Static, Type } from 'typebox';
import { perUser } from '../../homeserver/http/rate-limits.ts';
import { type Route, route } from '../../homeserver/http/route.ts';
import { eventBody, SubmittedParams } from './handshake-schemas.ts';
import { PduSchema } from './room-reading.ts';
import { JoinAnswer, joinAnswer, type SendJoinDeps } from './send-join-v2.ts';

export const sendJoinV1 = (deps: SendJoinDeps): Route =>
  route({
    operationId: 'sendJoinV1',
    method: 'PUT',
    path: '/_matrix/federation/v1/send_join/{roomId}/{eventId}',
    auth: deps.auth,
    rateLimit: perUser('federation'),
    jsonTrust: 'signed',
    ...eventBody,
    params: SubmittedParams,
    body: PduSchema,
    response: Type.Tuple([Type.Literal(200), JoinAnswer]),
    handler: async ({ params, body, requester }): Promise<[200, Static<typeof JoinAnswer>]> => [
      200,
      await joinAnswer(deps, requester, params, body),
    ],
  });
