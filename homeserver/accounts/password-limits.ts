/**
 * How many wrong passwords are tried. An attempt is taken from the limits before anything is computed
 * and given back when the password was right: guesses sent at the same moment count like any others,
 * and being refused says nothing about the guess.
 *
 * Three allowances hold: of one address for one account, of one address, and of one account. The last
 * two are what somebody else can use up. Whoever logged in lately from an address is not kept out by
 * them there: only their own attempts count.
 */
import { limitExceeded } from '../../spec/errors.ts';
import { addressKey, type RateLimits } from '../http/rate-limits.ts';

export interface PasswordLimitsOptions {
  /** No limits without. */
  readonly limits: RateLimits | undefined;
  /** Whether the account's password was lately given right from there; see `addressKey`. */
  isKnownAddress(account: string, address: string): Promise<boolean>;
}

/** Gives an attempt back. */
export type GiveBack = () => void;

/** Names that are no user id are counted as they are written; nobody needs a longer one. */
const MAX_ACCOUNT_LENGTH = 255;

export class PasswordLimits {
  readonly #options: PasswordLimitsOptions;

  constructor(options: PasswordLimitsOptions) {
    this.#options = options;
  }

  /**
   * Takes one attempt. `account` is whoever was named, whether or not there is such an account.
   * Throws `M_LIMIT_EXCEEDED`.
   */
  async take(ip: string, account: string): Promise<GiveBack> {
    const { limits, isKnownAddress } = this.#options;
    if (limits === undefined) return () => undefined;
    const address = addressKey(ip);
    const name = account.slice(0, MAX_ACCOUNT_LENGTH);
    const pair = `${address} ${name}`;
    const waitMs = Math.max(
      limits.waitMs('login_address', address),
      limits.waitMs('login_account', name),
    );
    if (waitMs > 0) {
      if (!(await isKnownAddress(name, address))) throw limitExceeded(waitMs);
      limits.take('login', pair);
      return () => limits.giveBack('login', pair);
    }
    limits.take('login', pair);
    limits.take('login_address', address);
    limits.take('login_account', name);
    return () => {
      limits.giveBack('login', pair);
      limits.giveBack('login_address', address);
      limits.giveBack('login_account', name);
    };
  }
}
