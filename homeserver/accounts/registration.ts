/**
 * Making accounts.
 *
 * Specification: https://spec.matrix.org/v1.19/client-server-api/#legacy-account-registration
 */
import { matrixError } from '../../spec/errors.ts';
import { localpartOf, type ServerName, type UserId, userIdFrom } from '../../spec/identifiers.ts';
import type { Clock } from '../clock.ts';
import { addressKey } from '../http/rate-limits.ts';
import type { Random } from '../random.ts';
import type { Database, Tx } from '../storage/database.ts';
import { noteLoginAddress } from '../storage/login-addresses.ts';
import { putProfileField } from '../storage/profiles.ts';
import { useRegistrationToken } from '../storage/registration-tokens.ts';
import { insertUser, stateFact, upgradeGuest, userById } from '../storage/users.ts';
import type { AccountNews } from './account-news.ts';
import type { Appservices } from './appservices.ts';
import { foldLocalpart } from './credentials.ts';
import type { PassedUia } from './interactive-auth.ts';
import type { Passwords } from './passwords.ts';
import { readableText } from './secrets.ts';
import type { NewSession, Sessions, SessionTokens } from './sessions.ts';
import { DUMMY, REGISTRATION_TOKEN } from './uia-stages.ts';

export interface RegistrationPolicy {
  readonly enabled: boolean;
  readonly requireToken: boolean;
  readonly allowGuests: boolean;
}

export interface RegistrationOptions {
  readonly database: Database;
  readonly clock: Clock;
  readonly random: Random;
  readonly serverName: ServerName;
  readonly policy: RegistrationPolicy;
  readonly passwords: Passwords;
  readonly sessions: Sessions;
  readonly appservices: Appservices;
  readonly news: Pick<AccountNews, 'announce'>;
}

export interface NewAccount {
  readonly userId: UserId;
  readonly passwordHash?: string | undefined;
  /** By default only the first person's account is an administrator's. */
  readonly isAdmin?: boolean | undefined;
  readonly isGuest?: boolean | undefined;
  readonly appserviceId?: string | undefined;
  /** The localpart unless given. */
  readonly displayName?: string | undefined;
}

/** A new account, and its first session unless the client wants none. */
export interface Registered {
  readonly userId: UserId;
  readonly session: SessionTokens | undefined;
}

export type FirstSession = Omit<NewSession, 'userId'>;

const FIRST_ACCOUNT_FACT = 'first_account';
const GENERATED_LENGTH = 12;

export class Registration {
  readonly #options: RegistrationOptions;

  constructor(options: RegistrationOptions) {
    this.#options = options;
  }

  /** Of /register. Throws `M_FORBIDDEN` when people cannot register. */
  flows(): string[][] {
    const { enabled, requireToken } = this.#options.policy;
    if (!enabled) throw matrixError('M_FORBIDDEN', 'Registration is not open on this server');
    return [[requireToken ? REGISTRATION_TOKEN : DUMMY]];
  }

  /**
   * The user id a name becomes: ASCII letters are folded to lower case. Throws
   * `M_INVALID_USERNAME`, `M_EXCLUSIVE` or `M_USER_IN_USE`.
   */
  async claim(username: string, appserviceId?: string): Promise<UserId> {
    const { database, serverName, appservices } = this.#options;
    const userId = userIdFrom(foldLocalpart(username), serverName);
    if (userId === undefined) {
      throw matrixError(
        'M_INVALID_USERNAME',
        'A user name has the characters a-z 0-9 . _ = - / + and, with the server name, 255 bytes',
      );
    }
    const owner = appservices.exclusiveOwner(userId);
    if (owner !== undefined && owner.id !== appserviceId) {
      throw matrixError('M_EXCLUSIVE', 'This user name is reserved by an application service');
    }
    if ((await userById(database, userId)) !== undefined) throw inUse();
    return userId;
  }

  /** A free name that nobody chose. */
  #generate(prefix = ''): UserId {
    const { random, serverName } = this.#options;
    const localpart = prefix + readableText(random, GENERATED_LENGTH);
    return userIdFrom(localpart, serverName) as UserId;
  }

  /** Throws `M_USER_IN_USE`. */
  async create(tx: Tx, account: NewAccount): Promise<void> {
    const { userId, passwordHash, isGuest = false, appserviceId } = account;
    const isPerson = !isGuest && appserviceId === undefined;
    // Of two first accounts at the same moment, the second waits here for the first to commit.
    const isFirst = isPerson && (await stateFact(tx, FIRST_ACCOUNT_FACT, userId));
    const made = await insertUser(tx, {
      userId,
      passwordHash,
      isAdmin: account.isAdmin ?? isFirst,
      isGuest,
      appserviceId,
      createdAtMs: this.#options.clock.nowMs(),
    });
    if (!made) throw inUse();
    const displayName = account.displayName ?? localpartOf(userId);
    if (!isGuest) await putProfileField(tx, userId, 'displayname', displayName);
  }

  /**
   * The guest whose account is to become a person's.
   * https://spec.matrix.org/v1.19/client-server-api/#guest-access
   * @throws MatrixError M_FORBIDDEN unless the token is that guest's
   */
  async guestOf(accessToken: string, username: string): Promise<UserId> {
    const requester = await this.#options.sessions.recognise(accessToken);
    const isTheirs =
      requester?.isGuest === true &&
      !requester.locked &&
      localpartOf(requester.userId) === foldLocalpart(username);
    if (!isTheirs) {
      throw matrixError('M_FORBIDDEN', 'This is not the access token of a guest of that name');
    }
    return requester.userId;
  }

  /**
   * A person who has passed User-Interactive Authentication. The account of a guest keeps its name,
   * its rooms and its sessions.
   */
  async register(
    person: {
      readonly username?: string | undefined;
      /** Who registers has proved to be this guest. */
      readonly guest?: UserId | undefined;
      readonly password: string;
      readonly ip: string;
    },
    passed: PassedUia,
    session: FirstSession | undefined,
  ): Promise<Registered> {
    const { database, clock, passwords, sessions } = this.#options;
    const { guest, username } = person;
    const userId =
      guest ?? (username === undefined ? this.#generate() : await this.claim(username));
    passwords.checkNew(person.password);
    const passwordHash = await passwords.hash(person.password, person.ip);
    return database.transaction(async (tx) => {
      await passed.finish(tx, { user_id: userId });
      const token = passed.completed[REGISTRATION_TOKEN];
      if (typeof token === 'string' && !(await useRegistrationToken(tx, token, clock.nowMs()))) {
        throw matrixError('M_FORBIDDEN', 'This registration token has been used up');
      }
      if (guest === undefined) await this.create(tx, { userId, passwordHash });
      else await this.#upgrade(tx, guest, passwordHash);
      await noteLoginAddress(tx, userId, addressKey(person.ip), clock.nowMs());
      return { userId, session: session && (await sessions.open(tx, { ...session, userId })) };
    });
  }

  async #upgrade(tx: Tx, userId: UserId, passwordHash: string): Promise<void> {
    const { sessions, news } = this.#options;
    const isAdmin = await stateFact(tx, FIRST_ACCOUNT_FACT, userId);
    if (!(await upgradeGuest(tx, { userId, passwordHash, isAdmin }))) throw inUse();
    await news.announce(tx, userId);
    tx.onCommit(() => sessions.accountChanged(userId));
  }

  /** https://spec.matrix.org/v1.19/client-server-api/#guest-access */
  async registerGuest(displayName: string | undefined): Promise<Registered> {
    const { database, policy, sessions } = this.#options;
    if (!policy.allowGuests) {
      throw matrixError('M_GUEST_ACCESS_FORBIDDEN', 'This server has no guests');
    }
    const userId = this.#generate('guest-');
    return database.transaction(async (tx) => {
      await this.create(tx, { userId, isGuest: true });
      return { userId, session: await sessions.open(tx, { userId, displayName }) };
    });
  }

  /** By an operator, at the command line or with the shared secret: no policy is asked. */
  async registerByOperator(
    account: {
      readonly username: string;
      readonly password: string;
      readonly isAdmin?: boolean | undefined;
      readonly displayName?: string | undefined;
    },
    session: FirstSession | undefined,
  ): Promise<Registered> {
    const { database, passwords, sessions } = this.#options;
    const userId = await this.claim(account.username);
    const passwordHash = await passwords.hash(account.password);
    const { isAdmin, displayName } = account;
    return database.transaction(async (tx) => {
      await this.create(tx, { userId, passwordHash, isAdmin, displayName });
      return { userId, session: session && (await sessions.open(tx, { ...session, userId })) };
    });
  }

  /** https://spec.matrix.org/v1.19/application-service-api/#server-admin-style-permissions */
  async registerByAppservice(
    appserviceToken: string | undefined,
    username: string,
    session: FirstSession | undefined,
  ): Promise<Registered> {
    const { database, sessions, appservices } = this.#options;
    if (appserviceToken === undefined) {
      throw matrixError('M_MISSING_TOKEN', 'Missing access token');
    }
    const appservice = appservices.byToken(appserviceToken);
    if (appservice === undefined) {
      throw matrixError('M_UNKNOWN_TOKEN', 'This is not the token of an application service');
    }
    const userId = await this.claim(username, appservice.id);
    if (!appservice.claims(userId)) {
      throw matrixError('M_EXCLUSIVE', 'This user name is outside the namespace of the service');
    }
    return database.transaction(async (tx) => {
      await this.create(tx, { userId, appserviceId: appservice.id });
      return { userId, session: session && (await sessions.open(tx, { ...session, userId })) };
    });
  }
}

const inUse = () => matrixError('M_USER_IN_USE', 'This user name is taken');
