/**
 * What is asked for by single keys, asked together: keys named in one turn of the event loop go into
 * one question. The next question goes a while after it, or when it is full, and not while enough are
 * under way. A thousand clients who come back at once cost a few statements of each kind, and one who
 * comes alone waits for a turn.
 */
import { isDatabaseAway } from './storage/database-away.ts';

export interface BatchLimits<Key> {
  /** What the keys of one question weigh together, at most; a key by itself may weigh more. */
  readonly maxWeight?: number;
  /** One unless told. */
  readonly weigh?: (key: Key) => number;
  /** From one question to the next: those who come back at once do not come in one turn. */
  readonly spacingMs?: number;
}

interface Asked<Value> {
  readonly answer: Promise<Value | undefined>;
  readonly resolve: (value: Value | undefined) => void;
  readonly reject: (error: unknown) => void;
}

const MAX_WEIGHT = 100;
/** Of one kind. A slow one holds up those that come after it, not all. */
const MAX_RUNNING = 2;
const SPACING_MS = 20;

/**
 * @param loadMany the values of keys, all different; keys that have none are left out
 * @returns loads one; undefined where there is none. Of keys that the database refuses together each
 * hears of its own failure, and no other's.
 */
export const inBatches = <Key, Value>(
  loadMany: (keys: readonly Key[]) => Promise<ReadonlyMap<Key, Value>>,
  { maxWeight = MAX_WEIGHT, weigh = () => 1, spacingMs = SPACING_MS }: BatchLimits<Key> = {},
): ((key: Key) => Promise<Value | undefined>) => {
  const waiting = new Map<Key, Asked<Value>>();
  let running = 0;
  let lastStartMs = Number.NEGATIVE_INFINITY;
  let planned: NodeJS.Timeout | NodeJS.Immediate | undefined;

  const take = (): Map<Key, Asked<Value>> => {
    const batch = new Map<Key, Asked<Value>>();
    let weight = 0;
    for (const [key, asked] of waiting) {
      weight += weigh(key);
      if (batch.size > 0 && weight > maxWeight) break;
      batch.set(key, asked);
      waiting.delete(key);
    }
    return batch;
  };

  const isFull = (): boolean => {
    let weight = 0;
    for (const key of waiting.keys()) {
      weight += weigh(key);
      if (weight >= maxWeight) return true;
    }
    return false;
  };

  const load = async (batch: ReadonlyMap<Key, Asked<Value>>): Promise<void> => {
    try {
      const found = await loadMany([...batch.keys()]);
      for (const [key, { resolve }] of batch) resolve(found.get(key));
    } catch (error) {
      if (batch.size === 1 || isDatabaseAway(error)) {
        for (const { reject } of batch.values()) reject(error);
        return;
      }
      const keys = [...batch];
      const half = Math.ceil(keys.length / 2);
      await load(new Map(keys.slice(0, half)));
      await load(new Map(keys.slice(half)));
    }
  };

  const start = (): void => {
    planned = undefined;
    lastStartMs = performance.now();
    running += 1;
    void load(take()).then(() => {
      running -= 1;
      plan();
    });
    plan();
  };

  const plan = (): void => {
    if (planned !== undefined || running >= MAX_RUNNING || waiting.size === 0) return;
    const waitMs = lastStartMs + spacingMs - performance.now();
    planned = waitMs <= 0 || isFull() ? setImmediate(start) : setTimeout(start, waitMs);
  };

  return (key) => {
    const known = waiting.get(key);
    if (known !== undefined) return known.answer;
    const { promise: answer, resolve, reject } = withResolvers<Value | undefined>();
    waiting.set(key, { answer, resolve, reject });
    plan();
    return answer;
  };
};

const withResolvers = <T>() => {
  let resolve!: (value: T) => void;
  let reject!: (error: unknown) => void;
  const promise = new Promise<T>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return { promise, resolve, reject };
};
