/** Randomness as a value that is passed in, so that tests can repeat themselves. */
import { randomBytes } from 'node:crypto';

export interface Random {
  /** `count` unpredictable bytes, fit for secrets. */
  bytes(count: number): Buffer;
}

export const systemRandom: Random = { bytes: (count) => randomBytes(count) };
