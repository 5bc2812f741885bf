/** https://spec.matrix.org/v1.19/server-server-api/#put_matrixfederationv1sendtxnid */
import { Type } from 'typebox';
import { perUser } from '../../homeserver/http/rate-limits.ts';
import { type Auth, type Route, route } from '../../homeserver/http/route.ts';
import { matrixError } from '../../spec/errors.ts';
import type { JsonObject } from '../../spec/event.ts';
import { plainNumbers } from '../../spec/exact-numbers.ts';
import type { ServerName } from '../../spec/identifiers.ts';
import type { Edu } from '../transactions/edu-dispatcher.ts';
import type { TransactionReceiver } from '../transactions/transaction-receiver.ts';

export interface SendTransactionDeps {
  readonly auth: Auth<ServerName>;
  readonly transactions: TransactionReceiver;
}

const MAX_PDUS = 50;
const MAX_EDUS = 100;
/** Events and EDUs may each have 64 KiB, and what is around them is small. */
const MAX_BODY_BYTES = 10 * 1024 * 1024;
/** A hundred times what an event and an EDU usually hold, for each of them. */
const MAX_BODY_VALUES = 100_000;

export const sendTransaction = ({ auth, transactions }: SendTransactionDeps): Route =>
  route({
    operationId: 'sendTransaction',
    method: 'PUT',
    path: '/_matrix/federation/v1/send/{txnId}',
    auth,
    rateLimit: perUser('federation'),
    jsonTrust: 'signed',
    maxBodyBytes: MAX_BODY_BYTES,
    maxBodyValues: MAX_BODY_VALUES,
    params: Type.Object({ txnId: Type.String({ minLength: 1 }) }),
    body: Type.Object({
      origin: Type.Optional(Type.String()),
      // One entry that makes no sense is no reason to refuse the others for ever.
      pdus: Type.Array(Type.Unknown(), { maxItems: MAX_PDUS, default: [] }),
      edus: Type.Array(Type.Unknown(), { maxItems: MAX_EDUS, default: [] }),
    }),
    response: Type.Object({
      pdus: Type.Record(Type.String(), Type.Object({ error: Type.Optional(Type.String()) })),
    }),
    handler: async ({ params, body, requester }) => {
      if (body.origin !== undefined && body.origin !== requester) {
        throw matrixError('M_FORBIDDEN', 'The transaction is of another server');
      }
      const pdus = body.pdus.filter(isObject);
      const edus = body.edus.flatMap(eduIn);
      return { pdus: await transactions.receive(requester, params.txnId, { pdus, edus }) };
    },
  });

const isObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const eduIn = (value: unknown): Edu[] => {
  if (!isObject(value)) return [];
  // Nothing in an EDU is signed: its numbers are only what they are worth.
  const { edu_type, content } = plainNumbers(value);
  return typeof edu_type === 'string' && isObject(content) ? [{ edu_type, content }] : [];
};
