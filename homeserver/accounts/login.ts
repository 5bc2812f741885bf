/**
 * Logging in with a password or a login token.
 *
 * Specification: https://spec.matrix.org/v1.19/client-server-api/#legacy-login
 */
import { matrixError } from '../../spec/errors.ts';
import type { UserId } from '../../spec/identifiers.ts';
import type { Clock } from '../clock.ts';
import type { Random } from '../random.ts';
import { insertLoginToken, takeLoginToken } from '../storage/access-tokens.ts';
import type { Database } from '../storage/database.ts';
import { userById } from '../storage/users.ts';
import type { Appservices } from './appservices.ts';
import {
  assertNotLocked,
  type Credentials,
  type LoginIdentifier,
  type PasswordProof,
} from './credentials.ts';
import type { PassedUia } from './interactive-auth.ts';
import { newSecret, secretHash } from './secrets.ts';
import type { NewSession, Sessions, SessionTokens } from './sessions.ts';

export interface LoginOptions {
  readonly database: Database;
  readonly clock: Clock;
  readonly random: Random;
  readonly credentials: Credentials;
  readonly sessions: Sessions;
  readonly appservices: Appservices;
}

export interface LoggedIn {
  readonly userId: UserId;
  readonly session: SessionTokens;
}

export type LoginSession = Omit<NewSession, 'userId'>;

/** What the specification recommends. */
export const LOGIN_TOKEN_LIFETIME_MS = 120_000;

export class Login {
  readonly #options: LoginOptions;

  constructor(options: LoginOptions) {
    this.#options = options;
  }

  /** Opens a session for somebody already known for sure. */
  async open(userId: UserId, session: LoginSession): Promise<LoggedIn> {
    const { database, sessions } = this.#options;
    return {
      userId,
      session: await database.transaction((tx) => sessions.open(tx, { ...session, userId })),
    };
  }

  /** Throws as {@link Credentials.checkPassword}. */
  async withPassword(proof: PasswordProof, session: LoginSession): Promise<LoggedIn> {
    const { userId } = await this.#options.credentials.checkPassword(proof);
    return this.open(userId, session);
  }

  /** Throws `M_FORBIDDEN` for a token that is unknown, used or expired. */
  async withToken(token: string, session: LoginSession): Promise<LoggedIn> {
    const { database, clock, sessions } = this.#options;
    return database.transaction(async (tx) => {
      const userId = await takeLoginToken(tx, secretHash(token), clock.nowMs());
      const user = userId && (await userById(tx, userId));
      if (user === undefined || user.deactivatedAtMs !== undefined) {
        throw matrixError('M_FORBIDDEN', 'This login token is not valid');
      }
      assertNotLocked(user);
      return {
        userId: user.userId,
        session: await sessions.open(tx, { ...session, userId: user.userId }),
      };
    });
  }

  /** https://spec.matrix.org/v1.19/client-server-api/#appservice-login */
  async asAppservice(
    appserviceToken: string | undefined,
    identifier: LoginIdentifier,
    session: LoginSession,
  ): Promise<LoggedIn> {
    const { database, appservices, credentials } = this.#options;
    if (appserviceToken === undefined) {
      throw matrixError('M_MISSING_TOKEN', 'Missing access token');
    }
    const appservice = appservices.byToken(appserviceToken);
    if (appservice === undefined) {
      throw matrixError('M_UNKNOWN_TOKEN', 'This is not the token of an application service');
    }
    const userId = identifier.kind === 'user' ? credentials.userIdOf(identifier.name) : undefined;
    const isTheirs =
      userId !== undefined && (userId === appservice.senderUserId || appservice.claims(userId));
    const user = isTheirs ? await userById(database, userId) : undefined;
    if (user === undefined || user.deactivatedAtMs !== undefined) {
      throw matrixError('M_FORBIDDEN', 'The application service has no such user');
    }
    return this.open(user.userId, session);
  }

  /** A token that logs another client in, once, within {@link LOGIN_TOKEN_LIFETIME_MS}. */
  async issueToken(userId: UserId, passed: PassedUia): Promise<string> {
    const { database, clock, random } = this.#options;
    const token = newSecret(random, 'login');
    const expiresAtMs = clock.nowMs() + LOGIN_TOKEN_LIFETIME_MS;
    await database.transaction(async (tx) => {
      await passed.finish(tx);
      await insertLoginToken(tx, secretHash(token), userId, expiresAtMs);
    });
    return token;
  }
}
