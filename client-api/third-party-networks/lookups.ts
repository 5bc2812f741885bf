/**
 * Looking up what is on other networks, and what people and rooms here are called there. Without a
 * bridge nothing is. https://spec.matrix.org/v1.19/client-server-api/#third-party-lookups
 */
import { type TSchema, Type } from 'typebox';
import { perUser } from '../../homeserver/http/rate-limits.ts';
import { type Route, route } from '../../homeserver/http/route.ts';
import { matrixError } from '../../spec/errors.ts';
import type { ClientApiDeps } from '../deps.ts';
import { clientPaths } from '../paths.ts';

const OfProtocol = Type.Object({ protocol: Type.String() });

const lookup = (
  { auth }: Pick<ClientApiDeps, 'auth'>,
  operationId: string,
  path: string,
  schemas: { readonly params?: TSchema; readonly query?: TSchema },
  nothing: string,
): Route =>
  route({
    operationId,
    method: 'GET',
    path: clientPaths('v3', path),
    auth: auth.user,
    rateLimit: perUser('read'),
    ...schemas,
    handler: () => {
      throw matrixError('M_NOT_FOUND', nothing);
    },
  });

export const thirdPartyLookups = (deps: Pick<ClientApiDeps, 'auth'>): Route[] => [
  lookup(
    deps,
    'getProtocolMetadata',
    '/thirdparty/protocol/{protocol}',
    { params: OfProtocol },
    'The protocol is unknown',
  ),
  lookup(
    deps,
    'queryLocationByProtocol',
    '/thirdparty/location/{protocol}',
    { params: OfProtocol },
    'No portal rooms were found',
  ),
  lookup(
    deps,
    'queryUserByProtocol',
    '/thirdparty/user/{protocol}',
    { params: OfProtocol },
    'The Matrix user ID was not found',
  ),
  lookup(
    deps,
    'queryLocationByAlias',
    '/thirdparty/location',
    { query: Type.Object({ alias: Type.String() }) },
    'The Matrix room alias was not found',
  ),
  lookup(
    deps,
    'queryUserByID',
    '/thirdparty/user',
    { query: Type.Object({ userid: Type.String() }) },
    'The Matrix user ID was not found',
  ),
];
