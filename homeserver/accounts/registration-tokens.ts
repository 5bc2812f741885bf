/**
 * Registration tokens: who holds one may make an account.
 *
 * Specification: https://spec.matrix.org/v1.19/client-server-api/#token-authenticated-registration
 */
import { matrixError } from '../../spec/errors.ts';
import { isOpaqueId } from '../../spec/identifiers.ts';
import type { Clock } from '../clock.ts';
import type { Random } from '../random.ts';
import type { Database, Db } from '../storage/database.ts';
import {
  insertRegistrationToken,
  type RegistrationToken,
  registrationTokenByName,
} from '../storage/registration-tokens.ts';
import { countUsers, factValue, stateFact } from '../storage/users.ts';
import { readableText } from './secrets.ts';

const MAX_TOKEN_LENGTH = 64;
const NEW_TOKEN_LENGTH = 16;
const FIRST_START_FACT = 'first_start_registration_token';

export interface TokenTerms {
  /** Chosen at random unless given. */
  readonly token?: string | undefined;
  /** Any number of times unless given. */
  readonly usesAllowed?: number | undefined;
  readonly expiresAtMs?: number | undefined;
}

export class RegistrationTokens {
  readonly #database: Database;
  readonly #clock: Clock;
  readonly #random: Random;

  constructor(database: Database, clock: Clock, random: Random) {
    this.#database = database;
    this.#clock = clock;
    this.#random = random;
  }

  /** Throws `M_INVALID_PARAM` for a token outside the grammar or already there. */
  async create({ token, usesAllowed, expiresAtMs }: TokenTerms = {}): Promise<RegistrationToken> {
    const name = token ?? readableText(this.#random, NEW_TOKEN_LENGTH);
    if (!isOpaqueId(name) || name.length > MAX_TOKEN_LENGTH) {
      throw matrixError(
        'M_INVALID_PARAM',
        `A registration token has 1 to ${MAX_TOKEN_LENGTH} characters of A-Z a-z 0-9 . _ ~ -`,
      );
    }
    const terms = { token: name, usesAllowed, createdAtMs: this.#clock.nowMs(), expiresAtMs };
    const made = await this.#database.transaction((tx) => insertRegistrationToken(tx, terms));
    if (!made) throw matrixError('M_INVALID_PARAM', 'There is such a registration token already');
    return { ...terms, usesCompleted: 0 };
  }

  /** At this moment; what counts is whether a use is left when the account is made. */
  async isValid(token: string, db: Db = this.#database): Promise<boolean> {
    const found = token === '' ? undefined : await registrationTokenByName(db, token);
    if (found === undefined) return false;
    const { usesAllowed, usesCompleted, expiresAtMs } = found;
    return (
      (usesAllowed === undefined || usesCompleted < usesAllowed) &&
      (expiresAtMs === undefined || expiresAtMs > this.#clock.nowMs())
    );
  }

  /**
   * The token, good for one account, with which the first person registers: the same at every start
   * until there is an account, `undefined` from then on.
   */
  ensureFirstStartToken(): Promise<string | undefined> {
    return this.#database.transaction(async (tx) => {
      if ((await countUsers(tx)) > 0) return undefined;
      const token = readableText(this.#random, NEW_TOKEN_LENGTH);
      if (!(await stateFact(tx, FIRST_START_FACT, token))) {
        const earlier = await factValue(tx, FIRST_START_FACT);
        return earlier !== undefined && (await this.isValid(earlier, tx)) ? earlier : undefined;
      }
      const createdAtMs = this.#clock.nowMs();
      const terms = { token, usesAllowed: 1, createdAtMs, expiresAtMs: undefined };
      await insertRegistrationToken(tx, terms);
      return token;
    });
  }
}
