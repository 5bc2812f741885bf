/**
 * Passwords: Argon2id, computed on worker threads. Only a few are computed at a time, and addresses
 * take turns, so that one that sends many passwords does not keep others from logging in.
 */
import { hash, verify } from '@node-rs/argon2';
import { limitExceeded, matrixError } from '../../spec/errors.ts';
import { FairSlots } from '../fair-slots.ts';
import { addressKey } from '../http/rate-limits.ts';
import type { Random } from '../random.ts';

export interface PasswordPolicy {
  readonly minLength: number;
  /** Memory for one hash, in KiB. */
  readonly hashMemoryKib: number;
  readonly hashPasses: number;
}

/** Longer ones cost more to receive and hash than they are worth. */
const MAX_LENGTH = 1_024;
const SALT_BYTES = 16;
/** Node's pool has four threads, which files and host names need too. */
const HASHES_AT_ONCE = 3;
const MAX_WAITING_PER_ADDRESS = 50;
const MAX_WAITING = 1_000;
const RETRY_AFTER_MS = 5_000;

export class Passwords {
  readonly #policy: PasswordPolicy;
  readonly #random: Random;
  readonly #slots = new FairSlots({
    maxRunning: HASHES_AT_ONCE,
    maxWaitingPerKey: MAX_WAITING_PER_ADDRESS,
    maxWaiting: MAX_WAITING,
  });
  #decoy: Promise<string> | undefined;

  constructor(policy: PasswordPolicy, random: Random) {
    this.#policy = policy;
    this.#random = random;
  }

  /** How many wait to be hashed. */
  get waiting(): number {
    return this.#slots.waiting;
  }

  /** Throws `M_WEAK_PASSWORD` or `M_INVALID_PARAM`. */
  checkNew(password: string): void {
    const { minLength } = this.#policy;
    if ([...password].length < minLength) {
      throw matrixError('M_WEAK_PASSWORD', `A password needs at least ${minLength} characters`);
    }
    if (password.length > MAX_LENGTH) {
      throw matrixError('M_INVALID_PARAM', `A password has at most ${MAX_LENGTH} characters`);
    }
  }

  /**
   * In the PHC format, parameters and salt included. `ip` is who asks; an operator has none. Throws
   * `M_LIMIT_EXCEEDED` when too many wait already.
   */
  hash(password: string, ip = ''): Promise<string> {
    return this.#inTurn(ip, () => this.#hash(password));
  }

  /**
   * Takes as long for an account without password, or none at all, as for any other. Throws
   * `M_LIMIT_EXCEEDED` when too many wait already, whatever the password.
   */
  matches(password: string, passwordHash: string | undefined, ip: string): Promise<boolean> {
    return this.#inTurn(ip, async () => {
      if (password.length > MAX_LENGTH) return false;
      this.#decoy ??= this.#hash('');
      const matches = await verify(passwordHash ?? (await this.#decoy), password);
      return matches && passwordHash !== undefined;
    });
  }

  async #inTurn<T>(ip: string, work: () => Promise<T>): Promise<T> {
    const key = addressKey(ip);
    if (this.#slots.isFull(key)) throw limitExceeded(RETRY_AFTER_MS);
    return this.#slots.run(key, work);
  }

  #hash(password: string): Promise<string> {
    return hash(password, {
      memoryCost: this.#policy.hashMemoryKib,
      timeCost: this.#policy.hashPasses,
      parallelism: 1,
      salt: this.#random.bytes(SALT_BYTES),
    });
  }
}
