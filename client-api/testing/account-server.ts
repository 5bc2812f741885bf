/** The routes of accounts on a real listener with a database of their own, and people to use them. */
import { type Accounts, createAccounts } from '../../homeserver/accounts/accounts.ts';
import type { Appservices } from '../../homeserver/accounts/appservices.ts';
import type { RegistrationPolicy } from '../../homeserver/accounts/registration.ts';
import { RateLimits, type RateLimitTable } from '../../homeserver/http/rate-limits.ts';
import { type Answer, serve, type TestServer } from '../../homeserver/http/testing/serve.ts';
import { MemoryBudget } from '../../homeserver/memory-budget.ts';
import { silentLogger } from '../../homeserver/ops/logger.ts';
import type { Database } from '../../homeserver/storage/database.ts';
import { AccountData } from '../../homeserver/streams/account-data.ts';
import { Log } from '../../homeserver/streams/log.ts';
import { Notifier } from '../../homeserver/streams/notifier.ts';
import { FakeClock } from '../../homeserver/testing/fake-clock.ts';
import { seededRandom } from '../../homeserver/testing/seeded-random.ts';
import { testDatabase } from '../../homeserver/testing/test-database.ts';
import type { ServerName } from '../../spec/identifiers.ts';
import { clientAuth } from '../auth.ts';
import { accountRoutes } from '../routes.ts';
import type { WellKnown } from '../well-known/well-known.ts';

export interface AccountServerOptions {
  readonly registration?: Partial<RegistrationPolicy> & { readonly sharedSecret?: string };
  readonly appservices?: Appservices;
  readonly limits?: RateLimitTable;
  readonly wellKnown?: WellKnown;
  readonly trustedProxies?: readonly string[];
}

/** A registered person with a session. */
export interface Person {
  readonly userId: string;
  readonly token: string;
  readonly deviceId: string;
}

export interface AccountServer extends TestServer {
  readonly accounts: Accounts;
  readonly database: Database;
  readonly clock: FakeClock;
  /** Registers, with the password `<name>-password`. */
  person(name: string): Promise<Person>;
  logIn(name: string, more?: object): Promise<Answer>;
}

export const SERVER_NAME = 'parley.test' as ServerName;

export const passwordOf = (name: string): string => `${name}-password`;

/** Registration needs no token unless the options say so. */
export const accountServer = async (options: AccountServerOptions = {}): Promise<AccountServer> => {
  const { database, close } = await testDatabase();
  const clock = new FakeClock();
  const log = await Log.open(database, silentLogger);
  const notifier = new Notifier();
  const limits = options.limits && new RateLimits(options.limits, clock);
  const accounts = createAccounts({
    database,
    clock,
    random: seededRandom('accounts'),
    logger: silentLogger,
    serverName: SERVER_NAME,
    registration: {
      enabled: true,
      requireToken: false,
      allowGuests: false,
      sharedSecret: undefined,
      ...options.registration,
    },
    passwords: { minLength: 8, hashMemoryKib: 64, hashPasses: 1 },
    limits,
    appservices: options.appservices,
  });
  const routes = accountRoutes({
    auth: clientAuth(accounts),
    accounts,
    accountData: new AccountData({ db: database, log, notifier, budget: new MemoryBudget() }),
    wellKnown: options.wellKnown ?? {
      clientBaseUrl: undefined,
      support: undefined,
      clientExtra: {},
    },
    defaultRoomVersion: '12',
    serverName: SERVER_NAME,
  });
  const server = await serve(routes, {
    ...(limits !== undefined && { rateLimits: limits }),
    ...(options.trustedProxies !== undefined && { trustedProxies: options.trustedProxies }),
  });
  const identifier = (name: string) => ({ type: 'm.id.user', user: name });
  return {
    ...server,
    accounts,
    database,
    clock,
    person: async (name) => {
      const { body } = await server.request('POST', '/_matrix/client/v3/register', {
        body: { username: name, password: passwordOf(name), auth: { type: 'm.login.dummy' } },
      });
      return { userId: body.user_id, token: body.access_token, deviceId: body.device_id };
    },
    logIn: (name, more = {}) =>
      server.request('POST', '/_matrix/client/v3/login', {
        body: {
          type: 'm.login.password',
          identifier: identifier(name),
          password: passwordOf(name),
          ...more,
        },
      }),
    stop: async () => {
      await server.stop();
      await accounts.stop();
      await log.close();
      await close();
    },
  };
};
