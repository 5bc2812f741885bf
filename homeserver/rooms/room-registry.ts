/** The rooms in memory: loaded on demand, bounded, and never dropped while being written. */
import type { Logger } from 'pino';
import type { RoomId, ServerName } from '../../spec/identifiers.ts';
import { rulesOf } from '../../spec/room-versions.ts';
import type { MemoryBudget } from '../memory-budget.ts';
import type { Db } from '../storage/database.ts';
import { missingPrevEvents } from '../storage/gaps.ts';
import { unappliedRedactions } from '../storage/redactions.ts';
import { type RoomHeadRecord, roomsById, roomsByNid } from '../storage/rooms.ts';
import type { Log } from '../streams/log.ts';
import type { EventStore } from './event-store.ts';
import { LiveRoom, type LiveRoomInit } from './live-room.ts';
import { goesOnWithout } from './room-head.ts';
import type { SnapshotStore } from './snapshot-store.ts';
import type { StateSnapshot } from './state-snapshot.ts';

export interface RoomRegistryDeps {
  readonly db: Db;
  readonly log: Log;
  readonly events: EventStore;
  readonly snapshots: SnapshotStore;
  readonly localServer: ServerName;
  readonly budget: MemoryBudget;
  readonly logger: Logger;
}

/** What a member, or another entry of the state, takes in a room in memory. */
const ENTRY_BYTES = 180;

const maxKnownIds = 100_000;
/** Rooms that were asked for last stay, whatever they weigh: whoever asked is about to use them. */
const justUsed = 8;

export class RoomRegistry {
  readonly #deps: RoomRegistryDeps;
  readonly #maxWeight: number;
  /** What the recent events of all rooms together may weigh, roughly. */
  readonly #maxRecentBytes: number;
  /** Weight added since the last count. */
  #added = 0;
  /** Bytes of recent events added since the last count. */
  #addedBytes = 0;
  readonly #rooms = new Map<number, LiveRoom>();
  /** Counts the uses of rooms: the order in which they were last used. */
  #uses = 0;
  readonly #loading = new Map<number, Promise<LiveRoom | undefined>>();
  /** Of rooms that are being loaded: what has been committed since, by other processes. */
  readonly #committedMeanwhile = new Map<number, ((room: LiveRoom) => void)[]>();
  readonly #nidById = new Map<RoomId, number>();
  /** Rooms dropped while a write to them may be under way, and when it no longer is. */
  readonly #settling = new Map<number, { room: LiveRoom; settled: Promise<void> }>();
  /** Counts how often everything was dropped. */
  #generation = 0;

  constructor(deps: RoomRegistryDeps) {
    this.#deps = deps;
    this.#maxWeight = deps.budget.bytesFor('rooms') / ENTRY_BYTES;
    this.#maxRecentBytes = deps.budget.bytesFor('timelines');
    deps.budget.holds('timelines', () => this.recentBytes);
    deps.budget.holds('rooms', () => this.#weight() * ENTRY_BYTES);
  }

  /**
   * The room, if this server has its state: not for a room known only from an invite. At once where
   * it is in memory, as busy ones are.
   */
  find(roomId: RoomId): LiveRoom | Promise<LiveRoom | undefined> {
    const nid = this.#nidById.get(roomId);
    return nid === undefined ? this.#findStored(roomId) : this.findByNid(nid);
  }

  async #findStored(roomId: RoomId): Promise<LiveRoom | undefined> {
    const [record] = await roomsById(this.#deps.db, [roomId]);
    if (record === undefined) return undefined;
    this.#rememberNid(roomId, record.room_nid);
    return this.findByNid(record.room_nid);
  }

  /** A room in memory, without looking further. */
  cached(roomNid: number): LiveRoom | undefined {
    const room = this.#rooms.get(roomNid);
    return room?.dead === false ? room : undefined;
  }

  /**
   * The room that a committed write is told to: also one that was dropped while the write was under
   * way, because those who are in it are still to hear of it.
   */
  following(roomNid: number): LiveRoom | undefined {
    return this.#rooms.get(roomNid) ?? this.#settling.get(roomNid)?.room;
  }

  /**
   * For a write to a room that is not in memory: `show` brings the room in line with it once it is
   * loaded, before anybody has it. Nothing where it is not being loaded.
   */
  onceLoaded(roomNid: number, show: (room: LiveRoom) => void): void {
    this.#committedMeanwhile.get(roomNid)?.push(show);
  }

  /** Like `find`. */
  findByNid(roomNid: number): LiveRoom | Promise<LiveRoom | undefined> {
    const room = this.cached(roomNid);
    if (room !== undefined) {
      this.#use(room);
      return room;
    }
    return this.#loading.get(roomNid) ?? this.#loads(roomNid, this.#loadMany([roomNid]));
  }

  /** Until then, whoever asks for the room waits for this one. */
  #loads(
    roomNid: number,
    batch: Promise<ReadonlyMap<number, LiveRoom>>,
  ): Promise<LiveRoom | undefined> {
    const loading = batch
      .then((rooms) => rooms.get(roomNid))
      .finally(() => {
        this.#loading.delete(roomNid);
        this.#committedMeanwhile.delete(roomNid);
      });
    this.#loading.set(roomNid, loading);
    return loading;
  }

  /**
   * Many rooms at once, by nid; those this server does not have are left out. Those not in memory
   * are read together: ask for as many as may be held at a time.
   */
  async findMany(roomNids: readonly number[]): Promise<Map<number, LiveRoom>> {
    const absent = roomNids.filter(
      (nid) => this.cached(nid) === undefined && !this.#loading.has(nid),
    );
    if (absent.length > 0) {
      const batch = this.#loadMany(absent);
      for (const nid of absent) this.#loads(nid, batch);
    }
    const rooms = await Promise.all(roomNids.map((nid) => this.cached(nid) ?? this.findByNid(nid)));
    return new Map(rooms.flatMap((room) => (room === undefined ? [] : [[room.nid, room]])));
  }

  get size(): number {
    return this.#rooms.size;
  }

  /** Adds a room that is being made. */
  add(room: LiveRoom): void {
    this.#rooms.set(room.nid, room);
    this.#use(room);
    this.#rememberNid(room.id, room.nid);
    this.#added += weightOf(room);
    // Counting all of them for each one added would be quadratic.
    if (this.#added < this.#maxWeight / 20) return;
    this.#added = 0;
    this.#evict();
  }

  /**
   * To be told by how many bytes a room's recent events have grown. Where all rooms together keep too
   * many, those used least lately give up theirs.
   */
  recentAdded(bytes: number): void {
    this.#addedBytes += Math.max(0, bytes);
    if (this.#addedBytes < this.#maxRecentBytes / 10) return;
    this.#addedBytes = 0;
    let held = this.recentBytes;
    if (held <= this.#maxRecentBytes) return;
    for (const [, { recent }] of this.#byLastUse()) {
      held -= recent.bytes;
      recent.forget();
      if (held <= this.#maxRecentBytes * 0.8) return;
    }
  }

  /** What the recent events of all rooms weigh. */
  get recentBytes(): number {
    let held = 0;
    for (const room of this.#rooms.values()) held += room.recent.bytes;
    return held;
  }

  /** Memory may be wrong: the room is loaded anew when next asked for. */
  drop(room: LiveRoom): void {
    room.dead = true;
    if (this.#rooms.get(room.nid) === room) this.#rooms.delete(room.nid);
    this.#nidById.delete(room.id);
    // What is being written now would reach only the room that is gone.
    const settled = this.#deps.log.settled().then(() => {
      if (this.#settling.get(room.nid)?.settled === settled) this.#settling.delete(room.nid);
    });
    this.#settling.set(room.nid, { room, settled });
  }

  clear(): void {
    this.#generation += 1;
    for (const room of [...this.#rooms.values()]) this.drop(room);
  }

  async #loadMany(roomNids: readonly number[]): Promise<Map<number, LiveRoom>> {
    const { db, log, events, snapshots } = this.#deps;
    for (const nid of roomNids) await this.#settling.get(nid)?.settled;
    const generation = this.#generation;
    // Read before the rows: a commit in between is then seen twice, never missed.
    const position = log.position;
    for (const nid of roomNids) this.#committedMeanwhile.set(nid, []);
    const rows = (await roomsByNid(db, roomNids)).filter(hasHead);
    const [states, extremities, redactions, gaps] = await Promise.all([
      snapshots
        .loadOfRooms(rows.map(({ room_nid: roomNid, snapshot_nid: nid }) => ({ roomNid, nid })))
        .catch((error: Error) => error),
      events.manyOfRooms(
        rows.flatMap(({ room_nid: roomNid, extremities }) =>
          extremities.map((nid) => ({ roomNid, nid })),
        ),
      ),
      ofRooms(rows, 'has_redactions', (nid) => unappliedRedactions(db, nid)),
      ofRooms(rows, 'has_gaps', (nid) => missingPrevEvents(db, nid)),
    ]);
    if (generation !== this.#generation) return this.#loadMany(roomNids);
    const rooms = new Map<number, LiveRoom>();
    for (const row of rows) {
      const nid = row.room_nid;
      const found = row.extremities.flatMap((event) => extremities.get(event) ?? []);
      const state =
        states instanceof Error || found.length < row.extremities.length
          ? await goesOnWithout(this.#deps, row, found)
          : (states.get(row.snapshot_nid) as StateSnapshot);
      const rules = rulesOf(row.version ?? '');
      if (rules === undefined) throw new Error(`Room ${row.room_id} has version ${row.version}`);
      const room = new LiveRoom({
        nid,
        id: row.room_id,
        rules,
        extremities: found,
        state,
        localServer: this.#deps.localServer,
        position,
        unappliedRedactions: redactions.get(nid) ?? noRedactions,
        missingPrevEvents: gaps.get(nid) ?? noGaps,
      });
      this.add(room);
      rooms.set(nid, room);
      for (const show of this.#committedMeanwhile.get(nid) ?? []) show(room);
      this.#committedMeanwhile.delete(nid);
    }
    return rooms;
  }

  #byLastUse(): [number, LiveRoom][] {
    return [...this.#rooms].sort(([, a], [, b]) => a.lastUse - b.lastUse);
  }

  #use(room: LiveRoom): void {
    room.lastUse = ++this.#uses;
  }

  #rememberNid(roomId: RoomId, nid: number): void {
    if (this.#nidById.size > maxKnownIds) this.#nidById.clear();
    this.#nidById.set(roomId, nid);
  }

  #weight(): number {
    let held = 0;
    for (const room of this.#rooms.values()) held += weightOf(room);
    return held;
  }

  /** Least lately used rooms go, until the members of those that stay are few enough. */
  #evict(): void {
    let held = this.#weight();
    if (held <= this.#maxWeight) return;
    for (const [nid, room] of this.#byLastUse()) {
      if (held <= this.#maxWeight) return;
      if (room.busy || room.lastUse > this.#uses - justUsed) continue;
      // A holder that writes later finds it dead and asks again.
      room.dead = true;
      this.#rooms.delete(nid);
      held -= weightOf(room);
    }
  }
}

/** Roughly the entries of a room's state, with what any room takes. */
const weightOf = (room: LiveRoom): number => 50 + room.joinedCount + room.invitedCount;

type RoomWithHead = RoomHeadRecord & { extremities: number[]; snapshot_nid: number };

/** Rooms known only from an invite have none. */
const hasHead = (row: RoomHeadRecord): row is RoomWithHead =>
  row.extremities !== null && row.snapshot_nid !== null;

const noRedactions: ReadonlyMap<string, readonly number[]> = new Map();
const noGaps: NonNullable<LiveRoomInit['missingPrevEvents']> = new Map();

/** What few rooms have, by room. */
const ofRooms = async <T>(
  rows: readonly RoomHeadRecord[],
  property: 'has_redactions' | 'has_gaps',
  read: (roomNid: number) => Promise<T>,
): Promise<Map<number, T>> => {
  const found = new Map<number, T>();
  for (const row of rows) if (row[property]) found.set(row.room_nid, await read(row.room_nid));
  return found;
};
