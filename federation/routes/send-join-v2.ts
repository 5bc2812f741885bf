/** https://spec.matrix.org/v1.19/server-server-api/#put_matrixfederationv2send_joinroomideventid */
import { type Static, Type } from 'typebox';
import { perUser } from '../../homeserver/http/rate-limits.ts';
import { rawJson } from '../../homeserver/http/raw-json.ts';
import { type Route, route } from '../../homeserver/http/route.ts';
import { exactJson } from '../../spec/canonical-json.ts';
import type { JsonObject } from '../../spec/event.ts';
import type { ServerName } from '../../spec/identifiers.ts';
import type { StateAnswers } from '../rooms/state-answers.ts';
import { eventBody, type HandshakeRouteDeps, SubmittedParams } from './handshake-schemas.ts';
import { PduSchema } from './room-reading.ts';

export interface SendJoinDeps extends HandshakeRouteDeps {
  readonly serverName: ServerName;
  readonly states: StateAnswers;
}

export const JoinAnswer = Type.Object({
  auth_chain: Type.Array(PduSchema),
  state: Type.Array(PduSchema),
  event: PduSchema,
  origin: Type.String(),
  members_omitted: Type.Literal(false),
});

/** Takes in a signed join. */
export const joinAnswer = async (
  { handshakes, serverName, states }: SendJoinDeps,
  requester: ServerName,
  { roomId, eventId }: Static<typeof SubmittedParams>,
  pdu: JsonObject,
): Promise<Static<typeof JoinAnswer>> => {
  const { room, stored } = await handshakes.accept(requester, roomId, eventId, pdu, 'join');
  const { state, authChain } = await states.stateBefore(room, stored, { withEvent: true });
  return {
    auth_chain: rawJson<JsonObject[]>(await states.list(room, authChain)),
    state: rawJson<JsonObject[]>(await states.list(room, state)),
    event: rawJson<JsonObject>(exactJson(stored.event.pdu)),
    // Not in the specification any more, but older servers look for it.
    origin: serverName,
    members_omitted: false,
  };
};

export const sendJoinV2 = (deps: SendJoinDeps): Route =>
  route({
    operationId: 'sendJoinV2',
    method: 'PUT',
    path: '/_matrix/federation/v2/send_join/{roomId}/{eventId}',
    auth: deps.auth,
    rateLimit: perUser('federation'),
    jsonTrust: 'signed',
    ...eventBody,
    params: SubmittedParams,
    // Members may be omitted from the answer, but need not be: it always has them all.
    query: Type.Object({ omit_members: Type.Boolean({ default: false }) }),
    body: PduSchema,
    response: JoinAnswer,
    handler: ({ params, body, requester }) => joinAnswer(deps, requester, params, body),
  });
