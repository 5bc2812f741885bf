/**
 * How the memory that an operator gives to caches (`caches.max_bytes`) is shared out, and what things
 * weigh in it. Weights are estimates of what V8 takes: what others send counts by its size, and what
 * goes with any object by a constant.
 */
import type { JsonValue } from '../spec/event.ts';

/** Hundredths of the whole: what each kind of memory may take. */
export const memoryShares = {
  /** Events by id, parsed. */
  events: 14,
  /** The newest events of busy rooms, for readers who keep up. */
  timelines: 13,
  /** Who is in the rooms in memory, and their state. */
  rooms: 30,
  /** Events as other servers are sent them, until the sender has picked them up. */
  outbound: 9,
  accountData: 5,
  receipts: 6,
  deviceLists: 4,
  /** Which devices have messages, and which rooms have changed. */
  marks: 7,
  /** What people have not read: those who wait are told of it at every message. */
  counters: 12,
} as const;

export type MemoryShare = keyof typeof memoryShares;

export const DEFAULT_CACHE_BYTES = 128_000_000;

export class MemoryBudget {
  readonly totalBytes: number;
  readonly #holders: { readonly share: MemoryShare; readonly bytes: () => number }[] = [];

  constructor(totalBytes: number = DEFAULT_CACHE_BYTES) {
    this.totalBytes = totalBytes;
  }

  bytesFor(share: MemoryShare): number {
    return Math.floor((this.totalBytes * memoryShares[share]) / 100);
  }

  /** To be told once by each memory that lives on a share: how to ask what it holds. */
  holds(share: MemoryShare, bytes: () => number): void {
    this.#holders.push({ share, bytes });
  }

  /** What is held of each share. */
  heldBytes(): Map<MemoryShare, number> {
    const held = new Map<MemoryShare, number>();
    for (const { share, bytes } of this.#holders) held.set(share, (held.get(share) ?? 0) + bytes());
    return held;
  }
}

/** An object or array with its first few fields, and each value in it. */
const OBJECT_BYTES = 56;
const VALUE_BYTES = 16;
const STRING_BYTES = 24;

/** What a parsed JSON value takes, roughly. Walks all of it: what it is given is bounded. */
export const bytesOfJson = (value: JsonValue | undefined): number => {
  if (typeof value === 'string') return STRING_BYTES + value.length;
  if (typeof value !== 'object' || value === null) return VALUE_BYTES;
  let bytes = OBJECT_BYTES;
  if (Array.isArray(value)) {
    for (const each of value) bytes += bytesOfJson(each);
    return bytes;
  }
  for (const key in value) bytes += VALUE_BYTES + bytesOfJson(value[key]);
  return bytes;
};
