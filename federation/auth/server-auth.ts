/**
 * Who sent a request: the `Auth` of every route that other servers call.
 *
 * Specification: https://spec.matrix.org/v1.19/server-server-api/#request-authentication
 */
import type { Clock } from '../../homeserver/clock.ts';
import type { HttpRequest } from '../../homeserver/http/request.ts';
import type { Auth } from '../../homeserver/http/route.ts';
import { matrixError } from '../../spec/errors.ts';
import { parseServerName, type ServerName } from '../../spec/identifiers.ts';
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
    const object = signedRequest({
      origin,
      destination: options.serverName,
      method: request.method,
      uri: request.url,
      content: await request.json(),
      signatures: Object.fromEntries(headers.map(({ key, sig }) => [key, sig])),
    });
    try {
      await options.keys.verifyJson(origin, object, options.clock.nowMs());
    } catch (error) {
      if (!(error instanceof SignatureFailure)) throw error;
      throw unauthorized(error.message);
    }
    options.heardFrom(origin);
    return origin;
  },
});
