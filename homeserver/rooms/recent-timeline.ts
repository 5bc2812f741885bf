/**
 * The newest events of one room, kept in memory as they are committed, so that a client that keeps
 * up is answered without the database.
 */
import type { StateKey } from '../../spec/event.ts';
import type { Removed, StateRef } from './state-snapshot.ts';
import { bytesOfEvent, type StoredEvent } from './stored-event.ts';

export interface TimelineEntry {
  readonly position: number;
  /** Undefined for an event that is kept from clients (rejected or soft-failed). */
  readonly stored: StoredEvent | undefined;
  /** Events before it were missing when it came. */
  readonly isAfterGap: boolean;
  /** What the event changed in the room's current state. */
  readonly changes: ReadonlyMap<StateKey, StateRef | Removed>;
}

/** Kept at least; up to twice as many. Rooms are many, so this weighs more than the event cache. */
export const maxEntries = 24;

export class RecentTimeline {
  #entries: TimelineEntry[] = [];
  #bytes = 0;
  /** Every entry after this position is here. */
  #completeAfter: number;

  constructor(position: number) {
    this.#completeAfter = position;
  }

  /** Entries are added in log order, as they are committed. */
  add(entry: TimelineEntry): void {
    this.#entries.push(entry);
    this.#bytes += bytesOfEntry(entry);
    if (this.#entries.length < 2 * maxEntries) return;
    const dropped = this.#entries.length - maxEntries;
    this.#completeAfter = this.#entries[dropped - 1]?.position ?? this.#completeAfter;
    for (const gone of this.#entries.splice(0, dropped)) this.#bytes -= bytesOfEntry(gone);
  }

  /** Every entry after this position is here. */
  get completeAfter(): number {
    return this.#completeAfter;
  }

  /**
   * Takes up entries from before memory began, in log order: all with `completeAfter < position <=
   * upTo`. None where memory does not begin at `upTo` any more.
   */
  recall(upTo: number, completeAfter: number, entries: readonly TimelineEntry[]): void {
    if (this.#completeAfter !== upTo) return;
    this.#completeAfter = completeAfter;
    this.#entries = [...entries, ...this.#entries];
    this.#weigh();
  }

  find(nid: number): StoredEvent | undefined {
    return this.#entries.find(({ stored }) => stored?.nid === nid)?.stored;
  }

  /** An event changed after it was written: it was redacted. */
  replace(stored: StoredEvent): void {
    this.#entries = this.#entries.map((entry) =>
      entry.stored?.nid === stored.nid ? { ...entry, stored } : entry,
    );
    this.#weigh();
  }

  /** What the entries weigh. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Gives the memory back: who has not kept up reads the database. */
  forget(): void {
    this.#completeAfter = this.lastPosition;
    this.#entries = [];
    this.#bytes = 0;
  }

  get lastPosition(): number {
    return this.#entries.at(-1)?.position ?? this.#completeAfter;
  }

  /** Entries with `after < position <= upTo`, or undefined when some of them are no longer here. */
  between(after: number, upTo: number): readonly TimelineEntry[] | undefined {
    if (after < this.#completeAfter) return undefined;
    const entries = this.#entries;
    let end = entries.length;
    while (end > 0 && (entries[end - 1] as TimelineEntry).position > upTo) end -= 1;
    let start = end;
    while (start > 0 && (entries[start - 1] as TimelineEntry).position > after) start -= 1;
    return entries.slice(start, end);
  }

  #weigh(): void {
    this.#bytes = 0;
    for (const entry of this.#entries) this.#bytes += bytesOfEntry(entry);
  }
}

const ENTRY_BYTES = 100;
const CHANGE_BYTES = 200;

const bytesOfEntry = ({ stored, changes }: TimelineEntry): number =>
  ENTRY_BYTES + CHANGE_BYTES * changes.size + (stored === undefined ? 0 : bytesOfEvent(stored));
