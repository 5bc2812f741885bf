/** Everything about accounts, built once and closed once. */
import type { Logger } from 'pino';
import { DEFAULT_FILTER_LIMITS } from '../../spec/filter.ts';
import type { ServerName } from '../../spec/identifiers.ts';
import type { Clock } from '../clock.ts';
import type { RateLimits } from '../http/rate-limits.ts';
import type { Random } from '../random.ts';
import type { Database } from '../storage/database.ts';
import { AccountChanges } from './account-changes.ts';
import { AccountNews } from './account-news.ts';
import { type Appservices, noAppservices } from './appservices.ts';
import { Credentials } from './credentials.ts';
import { DeviceActivity } from './device-activity.ts';
import { Devices } from './devices.ts';
import { Filters } from './filters.ts';
import { InteractiveAuth, type UiaStage } from './interactive-auth.ts';
import { Login } from './login.ts';
import { type PasswordPolicy, Passwords } from './passwords.ts';
import { Profiles, type RemoteProfiles } from './profiles.ts';
import { Registration, type RegistrationPolicy } from './registration.ts';
import { RegistrationTokens } from './registration-tokens.ts';
import { type DeviceListener, Sessions } from './sessions.ts';
import { SharedSecret } from './shared-secret.ts';
import { TokenCache } from './token-cache.ts';
import { dummyStage, passwordStage, registrationTokenStage } from './uia-stages.ts';
import { Users } from './users.ts';

export interface AccountsOptions {
  readonly database: Database;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly serverName: ServerName;
  readonly registration: RegistrationPolicy & { readonly sharedSecret: string | undefined };
  readonly passwords: PasswordPolicy;
  readonly limits?: RateLimits | undefined;
  readonly appservices?: Appservices | undefined;
  readonly remoteProfiles?: RemoteProfiles | undefined;
  readonly deviceListeners?: readonly DeviceListener[];
  /** Stages besides those this server knows itself. */
  readonly stages?: readonly UiaStage[];
}

export interface Accounts {
  readonly users: Users;
  readonly passwords: Passwords;
  readonly tokenCache: TokenCache;
  readonly sessions: Sessions;
  readonly devices: Devices;
  readonly credentials: Credentials;
  readonly login: Login;
  readonly interactiveAuth: InteractiveAuth;
  readonly registration: Registration;
  readonly registrationTokens: RegistrationTokens;
  readonly sharedSecret: SharedSecret;
  readonly changes: AccountChanges;
  readonly profiles: Profiles;
  readonly filters: Filters;
  readonly activity: DeviceActivity;
  readonly appservices: Appservices;
  /**
   * Begins the work that goes on in the background. Resolves when it is told of what other processes
   * change.
   */
  start(): Promise<void>;
  /** Ends it and writes what is waiting. */
  stop(): Promise<void>;
}

const ACCESS_TOKEN_LIFETIME_MS = 3_600_000;
const UIA_SESSION_LIFETIME_MS = 3_600_000;

export const createAccounts = (options: AccountsOptions): Accounts => {
  const { database, clock, random, logger, serverName, limits } = options;
  const appservices = options.appservices ?? noAppservices;
  const deviceListeners = options.deviceListeners ?? [];
  const passwords = new Passwords(options.passwords, random);
  const tokenCache = new TokenCache();
  const news = new AccountNews(database, logger, random, {
    accountChanged: (userId) => {
      tokenCache.forget({ userId, deviceIds: undefined });
      for (const listener of deviceListeners) listener.changedElsewhere?.();
      changes.resumeDepartures().catch((error: unknown) => {
        logger.error({ err: error, userId }, 'departures could not be looked for');
      });
    },
    tokensChanged: (userId) => tokenCache.forget({ userId, deviceIds: undefined }),
    missed: () => tokenCache.clear(),
  });
  const sessions = new Sessions({
    database,
    clock,
    random,
    cache: tokenCache,
    news,
    accessTokenLifetimeMs: ACCESS_TOKEN_LIFETIME_MS,
    deviceListeners,
  });
  const devices = new Devices({ database, clock, sessions, listeners: deviceListeners });
  const credentials = new Credentials({ database, clock, serverName, passwords, limits });
  const login = new Login({ database, clock, random, credentials, sessions, appservices });
  const registrationTokens = new RegistrationTokens(database, clock, random);
  const interactiveAuth = new InteractiveAuth({
    database,
    clock,
    random,
    stages: [
      dummyStage,
      passwordStage(credentials),
      registrationTokenStage(registrationTokens),
      ...(options.stages ?? []),
    ],
    sessionLifetimeMs: UIA_SESSION_LIFETIME_MS,
  });
  const activity = new DeviceActivity(database, clock, logger);
  const changes = new AccountChanges({ database, clock, logger, passwords, sessions, news });

  return {
    users: new Users(database),
    passwords,
    tokenCache,
    sessions,
    devices,
    credentials,
    login,
    interactiveAuth,
    registration: new Registration({
      database,
      clock,
      random,
      serverName,
      policy: options.registration,
      passwords,
      sessions,
      appservices,
      news,
    }),
    registrationTokens,
    sharedSecret: new SharedSecret(options.registration.sharedSecret, clock, random),
    changes,
    profiles: new Profiles({
      database,
      serverName,
      listeners: [],
      remote: options.remoteProfiles,
    }),
    filters: new Filters(database, DEFAULT_FILTER_LIMITS),
    activity,
    appservices,
    start: async () => {
      activity.start();
      await news.start();
    },
    stop: async () => {
      news.stop();
      await activity.stop();
    },
  };
};
