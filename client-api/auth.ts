/**
 * Who makes a request of the Client-Server API.
 *
 * Specification: https://spec.matrix.org/v1.19/client-server-api/#using-access-tokens
 */
import type { Accounts } from '../homeserver/accounts/accounts.ts';
import type { Appservice } from '../homeserver/accounts/appservices.ts';
import { assertNotLocked } from '../homeserver/accounts/credentials.ts';
import type { DeviceRequester, Requester } from '../homeserver/accounts/requester.ts';
import { addressKey } from '../homeserver/http/rate-limits.ts';
import type { HttpRequest } from '../homeserver/http/request.ts';
import type { Auth } from '../homeserver/http/route.ts';
import { matrixError } from '../spec/errors.ts';
import { isDeviceId, isUserId, type UserId } from '../spec/identifiers.ts';

export interface ClientAuth {
  /** A person with an account of their own. */
  readonly user: Auth<Requester>;
  /** Guests too. */
  readonly userOrGuest: Auth<Requester>;
  /** A person who is not suspended: for whatever others get to see, receipts excepted. */
  readonly active: Auth<Requester>;
  readonly activeOrGuest: Auth<Requester>;
  /** Whoever holds a token, locked accounts included: for logging out. */
  readonly anyToken: Auth<Requester>;
  readonly admin: Auth<Requester>;
}

const BEARER = /^Bearer +(\S+) *$/i;

/** What an `Authorization` header bears. */
export const bearerToken = (header: string | undefined): string | undefined =>
  BEARER.exec(header ?? '')?.[1];

/** The access token of a request, from its header or else its query. */
export const accessTokenOf = (request: HttpRequest): string | undefined => {
  const header = request.header('authorization');
  return header === undefined ? request.query.get('access_token')?.[0] : bearerToken(header);
};

export const clientAuth = (
  accounts: Pick<Accounts, 'sessions' | 'activity' | 'appservices' | 'users' | 'devices'>,
): ClientAuth => {
  /** https://spec.matrix.org/v1.19/application-service-api/#identity-assertion */
  const actAs = async (request: HttpRequest, appservice: Appservice): Promise<Requester> => {
    const asserted = request.query.get('user_id')?.[0];
    const userId = asserted ?? appservice.senderUserId;
    if (!isUserId(userId) || (asserted !== undefined && !mayActAs(appservice, userId))) {
      throw matrixError('M_FORBIDDEN', 'The application service may not act as this user');
    }
    const user = await accounts.users.get(userId);
    if (user === undefined || user.deactivatedAtMs !== undefined) {
      throw matrixError('M_FORBIDDEN', 'The application service has not registered this user');
    }
    const deviceId = request.query.get('device_id')?.[0];
    const isKnown =
      deviceId === undefined ||
      (isDeviceId(deviceId) && (await accounts.devices.get(userId, deviceId)) !== undefined);
    if (!isKnown) throw matrixError('M_UNKNOWN_DEVICE', 'The user has no such device');
    return {
      userId,
      deviceId: deviceId !== undefined && isDeviceId(deviceId) ? deviceId : undefined,
      isAdmin: user.isAdmin,
      isGuest: user.isGuest,
      locked: user.locked,
      suspended: user.suspended,
      appserviceId: appservice.id,
      rateLimited: appservice.rateLimited,
    };
  };

  const known = (request: HttpRequest, requester: DeviceRequester | undefined): Requester => {
    if (requester === undefined) throw matrixError('M_UNKNOWN_TOKEN', 'Unknown access token');
    accounts.activity.seen(requester, request.ip, request.header('user-agent'));
    return requester;
  };

  /** At once where the token is in memory, as it is for nearly every request. */
  const recognise = (request: HttpRequest): Requester | Promise<Requester> => {
    const token = accessTokenOf(request);
    if (token === undefined) throw matrixError('M_MISSING_TOKEN', 'Missing access token');
    const appservice = accounts.appservices.byToken(token);
    if (appservice !== undefined) return actAs(request, appservice);
    const owner = accounts.sessions.recognise(token);
    return owner instanceof Promise
      ? owner.then((requester) => known(request, requester))
      : known(request, owner);
  };

  const accepting = (...checks: ((requester: Requester) => void)[]): Auth<Requester> => {
    const checked = (requester: Requester): Requester => {
      for (const check of checks) check(requester);
      return requester;
    };
    return {
      name: 'accessTokenBearer',
      authenticate: (request) => {
        const requester = recognise(request);
        return requester instanceof Promise ? requester.then(checked) : checked(requester);
      },
      limitKey,
    };
  };

  return {
    user: accepting(assertNotLocked, assertNotGuest),
    userOrGuest: accepting(assertNotLocked),
    active: accepting(assertNotLocked, assertNotGuest, assertNotSuspended),
    activeOrGuest: accepting(assertNotLocked, assertNotSuspended),
    anyToken: accepting(),
    admin: accepting(assertNotLocked, assertNotSuspended, assertAdmin),
  };
};

const mayActAs = (appservice: Appservice, userId: UserId): boolean =>
  userId === appservice.senderUserId || appservice.claims(userId);

const assertNotGuest = ({ isGuest }: Requester): void => {
  if (isGuest) throw matrixError('M_GUEST_ACCESS_FORBIDDEN', 'Guests may not do this');
};

const assertAdmin = ({ isAdmin }: Requester): void => {
  if (!isAdmin) throw matrixError('M_FORBIDDEN', 'You are not an administrator of this server');
};

/** https://spec.matrix.org/v1.19/client-server-api/#account-suspension */
const assertNotSuspended = ({ suspended }: Requester): void => {
  if (suspended) {
    throw matrixError('M_USER_SUSPENDED', 'You cannot perform this action while suspended');
  }
};

/** An account of a guest costs nothing: those of one address share one allowance. */
const limitKey = ({ userId, isGuest, rateLimited }: Requester, ip: string): string | undefined => {
  if (!rateLimited) return undefined;
  return isGuest ? `guests ${addressKey(ip)}` : userId;
};

/** As `auth`, for paths where this parameter names a user who must be the one asking. */
export const self = (auth: Auth<Requester>, parameter: string): Auth<Requester> => ({
  ...auth,
  authorize: (requester, params) => {
    if (params[parameter] !== requester.userId) {
      throw matrixError('M_FORBIDDEN', 'You may do this for yourself alone');
    }
  },
});
