/**
 * Who sent a request: the `Auth` of every route that other servers call.
 *
 * Specification: https://spec.matrix.org/v1.19/server-server-api/#request-authentication
 */
import type { Clock } from '../../homeserver/clock.ts';
import type { HttpRequest } from '../../homeserver/http/request.ts';
import type { Auth } from '../../homeserver/http/route.ts';
import { sharedTurn } from '../../homeserver/turns.ts';
import { lenientCanonicalJson } from '../../spec/canonical-json.ts';
import { matrixError } from '../../spec/errors.ts';
import type { JsonValue } from '../../spec/event.ts';
import { parseExactJson, plainNumbers } from '../../spec/exact-numbers.ts';
import { parseServerName, type ServerName } from '../../spec/identifiers.ts';
import { ALGORITHM_PREFIX, verifyBytes } from '../../spec/signing.ts';
import { SignatureFailure, type Signers } from '../keys/signature-failure.ts';
import { signedRequest } from './signed-request.ts';
import { parseXMatrix, type XMatrix } from './x-matrix-header.ts';

export interface ServerAuthOptions {
  readonly serverName: ServerName;
  readonly keys: Signers;
  readonly clock: Clock;
  /** Whether the operator lets this server in. */
  readonly isAllowed: (serverName: ServerName) => boolean;
  /** Told of every server that has proved to be there. */
  readonly heardFrom: (serverName: ServerName) => void;
}

/** A server may sign with several keys and send a header for each. */
const MAX_HEADERS = 4;

const unauthorized = (message: string) => matrixError('M_UNAUTHORIZED', message);

const headersOf = (request: HttpRequest): [XMatrix, ...XMatrix[]] => {
  const values = request.incoming.headersDistinct['authorization'] ?? [];
  const parsed = values.slice(0, MAX_HEADERS).map((value) => {
    const header = parseXMatrix(value);
    if (header === undefined) throw unauthorized('Malformed or incomplete X-Matrix authorization');
    return header;
  });
  const [first, ...others] = parsed;
  if (first === undefined) throw unauthorized('Missing X-Matrix authorization');
  return [first, ...others];
};

export const serverAuth = (options: ServerAuthOptions): Auth<ServerName> => ({
  name: 'signedRequest',
  limitKey: (origin) => origin,
  authenticate: async (request) => {
    const headers = headersOf(request);
    const origin = headers[0].origin as ServerName;
    for (const header of headers) {
      if (header.origin !== origin) throw unauthorized('One request has one origin');
      if (header.destination !== undefined && header.destination !== options.serverName) {
        throw unauthorized('This request is meant for another server');
      }
    }
    if (parseServerName(origin) === undefined) {
      throw matrixError('M_INVALID_PARAM', 'The origin is not a valid server name');
    }
    // Nobody else can have our key; a request that claims our name is a mistake or a reflection.
    if (origin === options.serverName) throw unauthorized('The origin is this server itself');
    if (!options.isAllowed(origin)) {
      throw matrixError('M_FORBIDDEN', 'This server does not federate with yours');
    }
    // The body stays in its connection until a key is known that could have signed it.
    const keys = await usableKeys(options, headers);
    const target = { origin, destination: options.serverName, method: request.method };
    if (!(await isSigned(request, { ...target, uri: request.url }, keys))) {
      throw unauthorized(`The signature of ${origin} is wrong`);
    }
    options.heardFrom(origin);
    return origin;
  },
});

interface Claim {
  readonly publicKey: string;
  readonly signature: string;
}

/** One for each header whose key is known and valid now. @throws MatrixError M_UNAUTHORIZED */
const usableKeys = async (
  { keys, clock }: ServerAuthOptions,
  headers: readonly XMatrix[],
): Promise<Claim[]> => {
  const origin = headers[0]?.origin as ServerName;
  const signatures = new Map(headers.map(({ key, sig }) => [key, sig]));
  const keyIds = [...signatures.keys()].filter((keyId) => keyId.startsWith(ALGORITHM_PREFIX));
  try {
    if (keyIds.length === 0) throw new SignatureFailure(origin, 'unsigned');
    const usable = await keys.usableKeys(origin, keyIds, clock.nowMs());
    return usable.map(({ keyId, publicKey }) => ({
      publicKey,
      signature: signatures.get(keyId) as string,
    }));
  } catch (error) {
    if (!(error instanceof SignatureFailure)) throw error;
    throw unauthorized(error.message);
  }
};

/**
 * The signature is on canonical JSON, and most servers send just that: their bytes are checked as
 * they came. A canonical form is made only for those that send another; where it has numbers that
 * JavaScript writes otherwise, that is both the one of the specification (`1e3` is 1000) and the one
 * with numbers as they were sent, which is what servers written in Python sign.
 */
const isSigned = async (
  request: HttpRequest,
  target: Parameters<typeof signedRequest>[0],
  claims: readonly Claim[],
): Promise<boolean> => {
  const { bytes, hasUnsafeNumber } = await request.body();
  const isSignedAs = async (canonicalBody: Buffer): Promise<boolean> => {
    await sharedTurn();
    const text = signedRequest(target, canonicalBody);
    return claims.some(({ signature, publicKey }) => verifyBytes(text, signature, publicKey));
  };
  if (await isSignedAs(bytes)) return true;
  if (bytes.length === 0) return false;
  await sharedTurn();
  const json = await request.json();
  await sharedTurn();
  if (await isSignedAs(canonical(hasUnsafeNumber ? plainNumbers(json) : json))) return true;
  if (!hasUnsafeNumber) return false;
  await sharedTurn();
  const exact = parseExactJson(bytes.toString('utf8'));
  await sharedTurn();
  return isSignedAs(canonical(exact));
};

const canonical = (json: JsonValue | undefined): Buffer =>
  Buffer.from(lenientCanonicalJson(json as JsonValue));
