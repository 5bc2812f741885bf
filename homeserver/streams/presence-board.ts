/**
 * The presence of everyone known about, local and remote, and its newest changes: who would see
 * them is told by the rooms the user is in.
 */
import { LRUCache } from 'lru-cache';
import type { UserId } from '../../spec/identifiers.ts';
import { LogTail } from './log-tail.ts';
import type { PresenceState } from './presence-activity.ts';

export interface UserPresence {
  readonly userId: UserId;
  readonly presence: PresenceState;
  readonly statusMsg: string | undefined;
  /** 0 when it is not known. */
  readonly lastActiveMs: number;
}

export interface PresenceEntry {
  current: UserPresence;
  /** Nids of the rooms the user has joined. */
  readonly rooms: Set<number>;
}

const maxChangesBytes = 3_200_000;

export class PresenceBoard {
  readonly #entries: LRUCache<UserId, PresenceEntry>;
  /** A row is the room whose members alone are concerned; undefined for all who share one. */
  readonly #changes: LogTail<UserId, number | undefined>;
  #serial: number;

  constructor(nowMs: number, maxUsers: number) {
    this.#entries = new LRUCache({ max: maxUsers });
    this.#serial = nowMs;
    this.#changes = new LogTail(nowMs, { maxBytes: maxChangesBytes });
  }

  get serial(): number {
    return this.#serial;
  }

  get(userId: UserId): PresenceEntry | undefined {
    return this.#entries.peek(userId);
  }

  all(): Iterable<PresenceEntry> {
    return this.#entries.values();
  }

  put(entry: PresenceEntry, nowMs: number): void {
    this.#entries.set(entry.current.userId, entry);
    this.#add(entry.current.userId, undefined, nowMs);
  }

  /** The members of a room may not have heard of the user before. */
  introduce(userId: UserId, roomNid: number, nowMs: number): void {
    this.#add(userId, roomNid, nowMs);
  }

  /** Users with a change in `after < serial <= upTo` that a member of these rooms is to be told of. */
  changedFor(
    viewer: UserId,
    joined: ReadonlySet<number>,
    after: number,
    upTo: number,
  ): Set<UserId> | undefined {
    const changes = this.#changes.rowsAfter(after);
    if (changes === undefined) return undefined;
    const changed = new Set<UserId>();
    for (const { position: serial, key: userId, row: roomNid } of changes) {
      if (serial > upTo || changed.has(userId)) continue;
      const concerned =
        roomNid === undefined ? this.shares(viewer, joined, userId) : joined.has(roomNid);
      if (concerned) changed.add(userId);
    }
    return changed;
  }

  /** Whether a user is in one of these rooms, or is the viewer. */
  shares(viewer: UserId, joined: ReadonlySet<number>, userId: UserId): boolean {
    if (viewer === userId) return true;
    const rooms = this.#entries.peek(userId)?.rooms;
    if (rooms === undefined) return false;
    const [few, many] = rooms.size < joined.size ? [rooms, joined] : [joined, rooms];
    for (const roomNid of few) if (many.has(roomNid)) return true;
    return false;
  }

  #add(userId: UserId, roomNid: number | undefined, nowMs: number): void {
    this.#serial = Math.max(nowMs, this.#serial + 1);
    this.#changes.add(userId, this.#serial, roomNid);
  }
}
