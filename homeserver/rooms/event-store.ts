/**
 * Stored events by id, through a bounded cache. Events are immutable but for two things the log
 * tells the cache of: an outlier taking its place, and a redaction.
 */
import { storedEvent } from '../../spec/event-format.ts';
import type { EventId } from '../../spec/identifiers.ts';
import { BoundedCache } from '../bounded-cache.ts';
import type { MemoryBudget } from '../memory-budget.ts';
import type { Db } from '../storage/database.ts';
import {
  type EventRecord,
  eventsById,
  eventsByIdInRoom,
  eventsByNid,
  eventsOfRooms,
} from '../storage/events.ts';
import { unpackedJson } from '../storage/packed-json.ts';
import { turns } from '../turns.ts';
import { bytesOfEvent, type StoredEvent } from './stored-event.ts';

export const storedEventFrom = (record: EventRecord): StoredEvent => ({
  nid: record.event_nid,
  roomNid: record.room_nid,
  event: storedEvent(unpackedJson(record.packed_json), record.event_id),
  streamPos: record.stream_pos ?? undefined,
  backfillPos: record.backfill_pos,
  snapshotBefore: record.snapshot_before ?? undefined,
  snapshotAfter: record.snapshot_after ?? undefined,
  currentSnapshot: record.current_snapshot ?? undefined,
  replacesNid: record.replaces_nid ?? undefined,
  rejectedReason: record.rejected_reason ?? undefined,
  softFailed: record.soft_failed,
  redactedByNid: record.redacted_by_nid ?? undefined,
  senderDevice: record.sender_device ?? undefined,
  txnId: record.txn_id ?? undefined,
});

/** No event is lighter: as many ids as this are kept for the weight of the events. */
const MIN_EVENT_BYTES = 1_500;

/** Events read with one query, where there are many to read. */
const piece = 250;

export class EventStore {
  readonly #db: Db;
  readonly #byNid: BoundedCache<number, StoredEvent>;
  readonly #nidById: BoundedCache<EventId, number>;
  /** Events on their way to the database, which the cache must not lose before they are there. */
  readonly #heldByNid = new Map<number, StoredEvent>();
  readonly #heldById = new Map<EventId, StoredEvent>();

  constructor(db: Db, budget: MemoryBudget) {
    this.#db = db;
    // In each of two generations.
    const maxBytes = budget.bytesFor('events') / 2;
    this.#byNid = new BoundedCache(maxBytes, bytesOfEvent);
    this.#nidById = new BoundedCache(Math.ceil(maxBytes / MIN_EVENT_BYTES));
    budget.holds('events', () => this.#byNid.weight);
  }

  /** Puts a committed event in the cache, in place of what was known of it. */
  remember(stored: StoredEvent): void {
    this.#byNid.set(stored.nid, stored);
    this.#nidById.set(stored.event.eventId, stored.nid);
  }

  /** Takes rows just read from the database; a cached event is newer or the same, and is kept. */
  adopt(records: readonly EventRecord[]): StoredEvent[] {
    return records.map((record) => {
      const cached = this.#byNid.get(record.event_nid);
      if (cached !== undefined) return cached;
      const stored = storedEventFrom(record);
      this.remember(stored);
      return stored;
    });
  }

  /** Keeps events readable until they are written, however many; call what is returned then. */
  hold(events: readonly StoredEvent[]): () => void {
    for (const stored of events) {
      this.#heldByNid.set(stored.nid, stored);
      this.#heldById.set(stored.event.eventId, stored);
    }
    return () => {
      for (const { nid, event } of events) {
        this.#heldByNid.delete(nid);
        this.#heldById.delete(event.eventId);
      }
    };
  }

  cached(nid: number): StoredEvent | undefined {
    return this.#byNid.get(nid) ?? this.#heldByNid.get(nid);
  }

  cachedById(eventId: EventId): StoredEvent | undefined {
    const nid = this.#nidById.get(eventId);
    const cached = nid === undefined ? undefined : this.#byNid.get(nid);
    return cached ?? this.#heldById.get(eventId);
  }

  async byNid(roomNid: number, nid: number): Promise<StoredEvent | undefined> {
    return this.cached(nid) ?? (await this.manyByNid(roomNid, [nid])).get(nid);
  }

  async manyByNid(roomNid: number, nids: Iterable<number>): Promise<Map<number, StoredEvent>> {
    const found = new Map<number, StoredEvent>();
    const missing: number[] = [];
    for (const nid of nids) {
      const cached = this.cached(nid);
      if (cached === undefined) missing.push(nid);
      else found.set(nid, cached);
    }
    // A long list would empty the cache of what everybody reads.
    if (missing.length > piece) return this.#readLong(roomNid, missing, found);
    if (missing.length > 0) {
      for (const stored of this.adopt(await eventsByNid(this.#db, roomNid, missing))) {
        found.set(stored.nid, stored);
      }
    }
    return found;
  }

  /** Past the cache, and in turns with whatever else there is to do. */
  async #readLong(
    roomNid: number,
    nids: readonly number[],
    found: Map<number, StoredEvent>,
  ): Promise<Map<number, StoredEvent>> {
    const giveWay = turns();
    for (let start = 0; start < nids.length; start += piece) {
      const records = await eventsByNid(this.#db, roomNid, nids.slice(start, start + piece));
      for (const stored of this.passing(records)) {
        found.set(stored.nid, stored);
        const pause = giveWay();
        if (pause !== undefined) await pause;
      }
    }
    return found;
  }

  /**
   * Events of many rooms, by nid, read past the cache: one reader's long answer does not take the
   * place of what everybody reads.
   */
  async manyOfRooms(
    wanted: readonly { readonly roomNid: number; readonly nid: number }[],
  ): Promise<Map<number, StoredEvent>> {
    const found = new Map<number, StoredEvent>();
    const missing: { roomNid: number; nid: number }[] = [];
    for (const { roomNid, nid } of wanted) {
      const cached = this.cached(nid);
      if (cached === undefined) missing.push({ roomNid, nid });
      else found.set(nid, cached);
    }
    if (missing.length === 0) return found;
    const records = await eventsOfRooms(
      this.#db,
      missing.map(({ roomNid }) => roomNid),
      missing.map(({ nid }) => nid),
    );
    for (const stored of this.passing(records)) found.set(stored.nid, stored);
    return found;
  }

  /** Like `adopt`, for what is looked at once and not kept. */
  passing(records: readonly EventRecord[]): StoredEvent[] {
    return records.map((record) => this.cached(record.event_nid) ?? storedEventFrom(record));
  }

  async byId(eventId: EventId): Promise<StoredEvent | undefined> {
    return (await this.manyById([eventId])).get(eventId);
  }

  /** Events this server has, whatever their standing: outliers and rejected ones included. */
  async manyById(eventIds: Iterable<EventId>): Promise<Map<EventId, StoredEvent>> {
    const found = new Map<EventId, StoredEvent>();
    const missing: EventId[] = [];
    for (const eventId of eventIds) {
      const cached = this.cachedById(eventId);
      if (cached === undefined) missing.push(eventId);
      else found.set(eventId, cached);
    }
    if (missing.length > 0) {
      for (const stored of this.adopt(await eventsById(this.#db, missing))) {
        found.set(stored.event.eventId, stored);
      }
    }
    return found;
  }

  /**
   * Like `manyById`, of one room. An event may name any other, and in room versions 1 and 2 servers
   * choose ids: what another room has under an id is nothing to this one.
   */
  async manyInRoom(
    roomNid: number,
    eventIds: Iterable<EventId>,
  ): Promise<Map<EventId, StoredEvent>> {
    const found = await this.manyById(eventIds);
    const elsewhere: EventId[] = [];
    for (const [id, stored] of found) if (stored.roomNid !== roomNid) elsewhere.push(id);
    for (const id of elsewhere) found.delete(id);
    // The others are hashes, which no two rooms have.
    const chosen = elsewhere.filter((id) => id.includes(':'));
    if (chosen.length > 0) {
      for (const stored of this.adopt(await eventsByIdInRoom(this.#db, roomNid, chosen))) {
        found.set(stored.event.eventId, stored);
      }
    }
    return found;
  }

  async inRoom(roomNid: number, eventId: EventId): Promise<StoredEvent | undefined> {
    return (await this.manyInRoom(roomNid, [eventId])).get(eventId);
  }

  cachedInRoom(roomNid: number, eventId: EventId): StoredEvent | undefined {
    const cached = this.cachedById(eventId);
    return cached?.roomNid === roomNid ? cached : undefined;
  }

  forget(nid: number): void {
    this.#byNid.delete(nid);
  }

  /** The room is no longer one of this server; another may take its events in again. */
  forgetRoom(roomNid: number): void {
    this.#byNid.deleteWhere((stored) => stored.roomNid === roomNid);
  }

  clear(): void {
    this.#byNid.clear();
    this.#nidById.clear();
  }
}
