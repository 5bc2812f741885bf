/**
 * Answering as a notary.
 * https://spec.matrix.org/v1.19/server-server-api/#querying-keys-through-another-server
 */
import { Type } from 'typebox';
import type { Clock } from '../../homeserver/clock.ts';
import { ServerNameSchema } from '../../homeserver/http/identifier-schemas.ts';
import { perIp } from '../../homeserver/http/rate-limits.ts';
import { type Route, route } from '../../homeserver/http/route.ts';
import type { ServerName } from '../../spec/identifiers.ts';
import type { Notary, NotaryQuery } from '../keys/notary.ts';
import { KeyDocument } from './get-server-key.ts';

export interface KeyQueryDeps {
  readonly notary: Notary;
  readonly clock: Clock;
}

const MAX_SERVERS = 256;
const MAX_KEYS_PER_SERVER = 64;

const Timestamp = Type.Integer({ minimum: 0 });
const Answer = Type.Object({ server_keys: Type.Array(KeyDocument) });
const MinimumValidity = Type.Object({ minimum_valid_until_ts: Type.Optional(Timestamp) });

export const perspectivesKeyQuery = ({ notary, clock }: KeyQueryDeps): Route =>
  route({
    operationId: 'perspectivesKeyQuery',
    method: 'GET',
    path: '/_matrix/key/v2/query/{serverName}',
    params: Type.Object({ serverName: ServerNameSchema }),
    query: MinimumValidity,
    rateLimit: perIp('federation'),
    response: Answer,
    handler: async ({ params, query }) => {
      const validUntilTs = query.minimum_valid_until_ts ?? clock.nowMs();
      const { serverName } = params;
      return { server_keys: await notary.query([{ serverName, keys: new Map(), validUntilTs }]) };
    },
  });

/** Older servers name the key they want. */
export const perspectivesKeyQueryById = ({ notary, clock }: KeyQueryDeps): Route =>
  route({
    operationId: 'perspectivesKeyQueryById',
    method: 'GET',
    path: '/_matrix/key/v2/query/{serverName}/{keyId}',
    params: Type.Object({ serverName: ServerNameSchema, keyId: Type.String() }),
    query: MinimumValidity,
    rateLimit: perIp('federation'),
    response: Answer,
    handler: async ({ params, query }) => {
      const validUntilTs = query.minimum_valid_until_ts ?? clock.nowMs();
      const { serverName } = params;
      const keys = new Map([[params.keyId, validUntilTs]]);
      return { server_keys: await notary.query([{ serverName, keys, validUntilTs }]) };
    },
  });

export const bulkPerspectivesKeyQuery = ({ notary, clock }: KeyQueryDeps): Route =>
  route({
    operationId: 'bulkPerspectivesKeyQuery',
    method: 'POST',
    path: '/_matrix/key/v2/query',
    body: Type.Object({
      server_keys: Type.Record(
        Type.String(),
        Type.Record(Type.String(), MinimumValidity, { maxProperties: MAX_KEYS_PER_SERVER }),
        { maxProperties: MAX_SERVERS, propertyNames: ServerNameSchema },
      ),
    }),
    rateLimit: perIp('federation'),
    response: Answer,
    handler: async ({ body }) => {
      const nowMs = clock.nowMs();
      const queries = Object.entries(body.server_keys).map(
        ([name, criteria]): NotaryQuery => ({
          serverName: name as ServerName,
          keys: new Map(
            Object.entries(criteria).map(([keyId, { minimum_valid_until_ts }]) => [
              keyId,
              minimum_valid_until_ts ?? nowMs,
            ]),
          ),
          validUntilTs: nowMs,
        }),
      );
      return { server_keys: await notary.query(queries) };
    },
  });
