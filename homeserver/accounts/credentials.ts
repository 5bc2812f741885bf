/**
 * Who somebody claims to be, and whether their password proves it.
 *
 * Specification: https://spec.matrix.org/v1.19/client-server-api/#identifier-types
 */
import { matrixError } from '../../spec/errors.ts';
import type { JsonObject } from '../../spec/event.ts';
import { type ServerName, type UserId, userIdFrom } from '../../spec/identifiers.ts';
import type { Clock } from '../clock.ts';
import { addressKey, type RateLimits } from '../http/rate-limits.ts';
import type { Database } from '../storage/database.ts';
import { isLoginAddress, noteLoginAddress } from '../storage/login-addresses.ts';
import { userByThreepid } from '../storage/threepids.ts';
import { type User, userById } from '../storage/users.ts';
import { PasswordLimits } from './password-limits.ts';
import type { Passwords } from './passwords.ts';

/** A name typed by a person, or an address of theirs. */
export type LoginIdentifier =
  | { readonly kind: 'user'; readonly name: string }
  | { readonly kind: 'threepid'; readonly medium: string; readonly address: string };

const textOf = (object: JsonObject, key: string): string => {
  const value = object[key];
  if (typeof value === 'string') return value;
  throw matrixError('M_MISSING_PARAM', `'${key}' of the user identifier is missing`);
};

/**
 * Reads `identifier`, or the deprecated keys beside it, of a login request or an `auth` object.
 * Throws `M_MISSING_PARAM`, or `M_UNKNOWN` for an identifier type that is not known.
 */
export const identifierOf = (source: JsonObject): LoginIdentifier => {
  const { identifier } = source;
  if (typeof identifier !== 'object' || identifier === null || Array.isArray(identifier)) {
    return typeof source['address'] === 'string'
      ? { kind: 'threepid', medium: textOf(source, 'medium'), address: source['address'] }
      : { kind: 'user', name: textOf(source, 'user') };
  }
  switch (identifier['type']) {
    case 'm.id.user':
      return { kind: 'user', name: textOf(identifier, 'user') };
    case 'm.id.thirdparty':
      return {
        kind: 'threepid',
        medium: textOf(identifier, 'medium'),
        address: textOf(identifier, 'address'),
      };
    case 'm.id.phone':
      return { kind: 'threepid', medium: 'msisdn', address: textOf(identifier, 'phone') };
    default:
      throw matrixError('M_UNKNOWN', 'Unknown type of user identifier', {}, { status: 400 });
  }
};

/** ASCII only: no other letter may stand in a localpart, lower-case or not. */
export const foldLocalpart = (name: string): string =>
  name.replace(/[A-Z]/g, (letter) => letter.toLowerCase());

export interface CredentialsOptions {
  readonly database: Database;
  readonly clock: Clock;
  readonly serverName: ServerName;
  readonly passwords: Passwords;
  readonly limits: RateLimits | undefined;
}

export interface PasswordProof {
  readonly identifier: LoginIdentifier;
  readonly password: string;
  /** From where it comes. */
  readonly ip: string;
}

const wrong = () => matrixError('M_FORBIDDEN', 'Wrong user name or password');

export class Credentials {
  readonly #options: CredentialsOptions;
  readonly #limits: PasswordLimits;
  /** How many wrong passwords this process has been shown. */
  wrongPasswords = 0;

  constructor(options: CredentialsOptions) {
    const { database, clock, limits } = options;
    this.#options = options;
    this.#limits = new PasswordLimits({
      limits,
      isKnownAddress: (account, address) =>
        isLoginAddress(database, account, address, clock.nowMs()),
    });
  }

  /** The user id a name stands for, whether or not there is such an account. */
  userIdOf(name: string): UserId | undefined {
    const { serverName } = this.#options;
    if (!name.startsWith('@')) return userIdFrom(foldLocalpart(name), serverName);
    const suffix = `:${serverName}`;
    return name.endsWith(suffix)
      ? userIdFrom(foldLocalpart(name.slice(1, -suffix.length)), serverName)
      : undefined;
  }

  /**
   * The flows by which somebody logged in proves again who they are. Throws `M_FORBIDDEN` for an
   * account without password: nothing it could be asked would prove anything.
   */
  async reauthenticationFlows(userId: UserId): Promise<string[][]> {
    const user = await userById(this.#options.database, userId);
    if (user?.passwordHash === undefined) {
      throw matrixError('M_FORBIDDEN', 'This account has no password to confirm this with');
    }
    return [['m.login.password']];
  }

  async #find(identifier: LoginIdentifier): Promise<UserId | undefined> {
    if (identifier.kind === 'user') return this.userIdOf(identifier.name);
    const { medium, address } = identifier;
    const canonical = medium === 'email' ? address.toLowerCase() : address.replace(/\D/g, '');
    return userByThreepid(this.#options.database, medium, canonical);
  }

  /**
   * The account, once the password has proved it: the one way in which passwords are looked at.
   * Throws `M_FORBIDDEN` for anything wrong, without saying what; `M_LIMIT_EXCEEDED` after too many
   * failures, whatever the password; `M_USER_LOCKED`.
   */
  async checkPassword({ identifier, password, ip }: PasswordProof): Promise<User> {
    const { database, clock, passwords } = this.#options;
    const userId = await this.#find(identifier);
    const giveBack = await this.#limits.take(ip, userId ?? nameIn(identifier));
    const user = userId && (await userById(database, userId));
    const isRight = await passwords.matches(password, user?.passwordHash, ip).catch((error) => {
      // Nothing was learnt of the password.
      giveBack();
      throw error;
    });
    if (!isRight || user === undefined) {
      this.wrongPasswords += 1;
      throw wrong();
    }
    giveBack();
    assertNotLocked(user);
    await database.transaction((tx) =>
      noteLoginAddress(tx, user.userId, addressKey(ip), clock.nowMs()),
    );
    return user;
  }

  /**
   * As {@link checkPassword}, of somebody already known: of anyone else nothing is looked at, so that
   * nobody who is logged in tries the passwords of others.
   */
  async checkOwnPassword(userId: UserId | undefined, proof: PasswordProof): Promise<void> {
    if (userId === undefined || (await this.#find(proof.identifier)) !== userId) throw wrong();
    await this.checkPassword(proof);
  }
}

const nameIn = (identifier: LoginIdentifier): string =>
  identifier.kind === 'user' ? identifier.name : `${identifier.medium} ${identifier.address}`;

/** https://spec.matrix.org/v1.19/client-server-api/#account-locking */
export const assertNotLocked = ({ locked }: { readonly locked: boolean }): void => {
  if (locked) {
    throw matrixError('M_USER_LOCKED', 'This account has been locked', { soft_logout: true });
  }
};
