/** Passwords: Argon2id, computed on worker threads. */
import { hash, verify } from '@node-rs/argon2';
import { matrixError } from '../../spec/errors.ts';
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

export class Passwords {
  readonly #policy: PasswordPolicy;
  readonly #random: Random;
  #decoy: Promise<string> | undefined;

  constructor(policy: PasswordPolicy, random: Random) {
    this.#policy = policy;
    this.#random = random;
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

  /** In the PHC format, parameters and salt included. */
  hash(password: string): Promise<string> {
    return hash(password, {
      memoryCost: this.#policy.hashMemoryKib,
      timeCost: this.#policy.hashPasses,
      parallelism: 1,
      salt: this.#random.bytes(SALT_BYTES),
    });
  }

  /** Takes as long for an account without password, or none at all, as for any other. */
  async matches(password: string, passwordHash: string | undefined): Promise<boolean> {
    if (password.length > MAX_LENGTH) return false;
    this.#decoy ??= this.hash('');
    const matches = await verify(passwordHash ?? (await this.#decoy), password);
    return matches && passwordHash !== undefined;
  }
}
