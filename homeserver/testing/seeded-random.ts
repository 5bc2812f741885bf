/** Randomness that repeats itself: the same seed, the same bytes. Never for secrets. */
import { createHash } from 'node:crypto';
import type { Random } from '../random.ts';

export const seededRandom = (seed: string): Random => {
  let counter = 0;
  let rest: Buffer = Buffer.alloc(0);
  return {
    bytes(count) {
      while (rest.length < count) {
        const block = createHash('sha256').update(`${seed}/${counter}`).digest();
        counter += 1;
        rest = Buffer.concat([rest, block]);
      }
      const result = rest.subarray(0, count);
      rest = rest.subarray(count);
      return result;
    },
  };
};
