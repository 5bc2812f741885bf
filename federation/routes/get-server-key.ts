/**
 * Publishing our keys.
 * https://spec.matrix.org/v1.19/server-server-api/#get_matrixkeyv2server
 */
import { Type } from 'typebox';
import { perIp } from '../../homeserver/http/rate-limits.ts';
import { rawJson } from '../../homeserver/http/raw-json.ts';
import { type Route, route } from '../../homeserver/http/route.ts';
import type { SigningKeys } from '../../homeserver/signing-keys/signing-keys.ts';
import { canonicalJson } from '../../spec/canonical-json.ts';
import type { JsonObject } from '../../spec/event.ts';

export const KeyDocument = Type.Unsafe<JsonObject>(
  Type.Object({
    server_name: Type.String(),
    valid_until_ts: Type.Integer(),
    verify_keys: Type.Record(Type.String(), Type.Object({ key: Type.String() })),
    old_verify_keys: Type.Optional(
      Type.Record(Type.String(), Type.Object({ key: Type.String(), expired_ts: Type.Integer() })),
    ),
    signatures: Type.Record(Type.String(), Type.Record(Type.String(), Type.String())),
  }),
);

/** Strict verifiers want the bytes that were signed, besides the signature. */
const documentText = (signingKeys: SigningKeys): JsonObject =>
  rawJson(canonicalJson(signingKeys.document()));

export const getServerKey = (signingKeys: SigningKeys): Route =>
  route({
    operationId: 'getServerKey',
    method: 'GET',
    path: '/_matrix/key/v2/server',
    rateLimit: perIp('federation'),
    response: KeyDocument,
    handler: () => documentText(signingKeys),
  });

/** Older servers name the key they want; all of them are answered all the same. */
export const getServerKeyById = (signingKeys: SigningKeys): Route =>
  route({
    operationId: 'getServerKeyById',
    method: 'GET',
    path: '/_matrix/key/v2/server/{keyId}',
    rateLimit: perIp('federation'),
    params: Type.Object({ keyId: Type.String() }),
    response: KeyDocument,
    handler: () => documentText(signingKeys),
  });
