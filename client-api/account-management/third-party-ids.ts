/**
 * Adding e-mail addresses and telephone numbers to an account, which takes sending them something,
 * and telling identity servers of them: this server does neither, and says so.
 * https://spec.matrix.org/v1.19/client-server-api/#adding-account-administrative-contact-information
 */
import { Type } from 'typebox';
import { perIp, perUser } from '../../homeserver/http/rate-limits.ts';
import { type Route, route } from '../../homeserver/http/route.ts';
import { matrixError } from '../../spec/errors.ts';
import type { ClientApiDeps } from '../deps.ts';
import { clientPaths } from '../paths.ts';

const MediumSchema = Type.Union([Type.Literal('email'), Type.Literal('msisdn')]);
const ThreepidBody = Type.Object({
  medium: MediumSchema,
  address: Type.String({ minLength: 1 }),
  id_server: Type.Optional(Type.String()),
});
const UnbindResult = Type.Object({ id_server_unbind_result: Type.Literal('no-support') });
const unbound = { id_server_unbind_result: 'no-support' } as const;

const requestToken = (operationId: string, medium: 'email' | 'msisdn', message: string): Route =>
  route({
    operationId,
    method: 'POST',
    path: clientPaths('v3', `/account/3pid/${medium}/requestToken`),
    rateLimit: perIp('token_check'),
    body: Type.Object({
      client_secret: Type.String(),
      send_attempt: Type.Integer(),
      ...(medium === 'email'
        ? { email: Type.String() }
        : { country: Type.String(), phone_number: Type.String() }),
    }),
    handler: () => {
      throw matrixError('M_THREEPID_DENIED', message);
    },
  });

export const add3PID = ({ auth }: Pick<ClientApiDeps, 'auth'>): Route =>
  route({
    operationId: 'add3PID',
    method: 'POST',
    path: clientPaths('v3', '/account/3pid/add'),
    auth: auth.user,
    rateLimit: perUser('general'),
    body: Type.Object({ client_secret: Type.String(), sid: Type.String() }),
    handler: () => {
      // No session can exist, so there is no point in asking for a password first.
      const message = 'There is no such validation session';
      throw matrixError('M_NO_VALID_SESSION', message, {}, { status: 400 });
    },
  });

export const bind3PID = ({ auth }: Pick<ClientApiDeps, 'auth'>): Route =>
  route({
    operationId: 'bind3PID',
    method: 'POST',
    path: clientPaths('v3', '/account/3pid/bind'),
    auth: auth.user,
    rateLimit: perUser('general'),
    body: Type.Object({
      client_secret: Type.String(),
      id_server: Type.String(),
      id_access_token: Type.String(),
      sid: Type.String(),
    }),
    handler: ({ body }) => {
      const message = `This server does not work with the identity server ${body.id_server}`;
      throw matrixError('M_SERVER_NOT_TRUSTED', message);
    },
  });

export const delete3pidFromAccount = ({
  auth,
  accounts,
}: Pick<ClientApiDeps, 'auth' | 'accounts'>): Route =>
  route({
    operationId: 'delete3pidFromAccount',
    method: 'POST',
    path: clientPaths('v3', '/account/3pid/delete'),
    // Suspended people may add ways to reach them, and take none away.
    auth: auth.active,
    rateLimit: perUser('general'),
    body: ThreepidBody,
    response: UnbindResult,
    handler: async ({ requester, body: { medium, address } }) => {
      await accounts.users.removeThreepid(requester.userId, medium, address);
      return unbound;
    },
  });

export const unbind3pidFromAccount = ({ auth }: Pick<ClientApiDeps, 'auth'>): Route =>
  route({
    operationId: 'unbind3pidFromAccount',
    method: 'POST',
    path: clientPaths('v3', '/account/3pid/unbind'),
    auth: auth.active,
    rateLimit: perUser('general'),
    body: ThreepidBody,
    response: UnbindResult,
    handler: () => unbound,
  });

export const thirdPartyIdRoutes = (deps: Pick<ClientApiDeps, 'auth' | 'accounts'>): Route[] => [
  requestToken('requestTokenTo3PIDEmail', 'email', 'This server sends no e-mail'),
  requestToken('requestTokenTo3PIDMSISDN', 'msisdn', 'This server sends no text messages'),
  add3PID(deps),
  bind3PID(deps),
  delete3pidFromAccount(deps),
  unbind3pidFromAccount(deps),
];
