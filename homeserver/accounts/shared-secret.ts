/**
 * Registration by programs that know the server's shared secret, as Synapse's admin API has it: a
 * nonce, then an HMAC-SHA1 over nonce, user name, password and whether an administrator is made.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { matrixError } from '../../spec/errors.ts';
import type { Clock } from '../clock.ts';
import type { Random } from '../random.ts';

const NONCE_LIFETIME_MS = 60_000;
const MAX_NONCES = 10_000;

export interface SharedSecretClaim {
  readonly nonce: string;
  readonly username: string;
  readonly password: string;
  readonly isAdmin: boolean;
  readonly userType: string | undefined;
  /** Hexadecimal. */
  readonly mac: string;
}

export class SharedSecret {
  readonly #secret: string | undefined;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #nonces = new LRUCache<string, number>({ max: MAX_NONCES });

  constructor(secret: string | undefined, clock: Clock, random: Random) {
    this.#secret = secret;
    this.#clock = clock;
    this.#random = random;
  }

  #configured(): string {
    if (this.#secret === undefined) {
      const message = 'Registration with a shared secret is not enabled';
      throw matrixError('M_UNKNOWN', message, {}, { status: 400 });
    }
    return this.#secret;
  }

  /** Good for one claim within a minute. Throws when there is no shared secret. */
  nonce(): string {
    this.#configured();
    const nonce = this.#random.bytes(32).toString('hex');
    this.#nonces.set(nonce, this.#clock.nowMs() + NONCE_LIFETIME_MS);
    return nonce;
  }

  /** Throws `M_UNKNOWN` (400) for a nonce that is not ours, `M_FORBIDDEN` for a wrong HMAC. */
  check(claim: SharedSecretClaim): void {
    const secret = this.#configured();
    const expiresAtMs = this.#nonces.get(claim.nonce) ?? 0;
    this.#nonces.delete(claim.nonce);
    if (expiresAtMs <= this.#clock.nowMs()) {
      throw matrixError('M_UNKNOWN', 'Unknown nonce', {}, { status: 400 });
    }
    const parts = [
      claim.nonce,
      claim.username,
      claim.password,
      claim.isAdmin ? 'admin' : 'notadmin',
      ...(claim.userType === undefined ? [] : [claim.userType]),
    ];
    const expected = createHmac('sha1', secret).update(parts.join('\u0000')).digest();
    const given = Buffer.from(claim.mac, 'hex');
    if (given.length !== expected.length || !timingSafeEqual(given, expected)) {
      throw matrixError('M_FORBIDDEN', 'Wrong HMAC');
    }
  }
}
