/**
 * The presence of everyone known about, local and remote, and its newest changes: who would see
 * them is told by the rooms the user is in.
 */
import { LRUCache } from 'lru-cache';
import type { UserId } from '../../spec/identifiers.ts';
import { LogTail, type TailRow } from './log-tail.ts';
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
  /** Of the newest change. */
  readonly serial: number;
}

export type PresenceText = readonly [
  current: UserPresence,
  roomNids: readonly number[],
  serial: number,
];

/** Changes of several people, oldest first, as far as they go. */
export interface PresenceChanges<User> {
  readonly users: readonly User[];
  /** Everything up to this serial is among them. */
  readonly upTo: number;
}

/** `after < serial <= upTo`, and at most `limit` users of those that are wanted. */
export interface PresenceRange {
  readonly after: number;
  readonly upTo: number;
  readonly limit: number;
  readonly wants: (userId: UserId) => boolean;
}

const maxChangesBytes = 3_200_000;

export class PresenceBoard {
  readonly #entries: LRUCache<UserId, PresenceEntry>;
  /** A row is the room whose members alone are concerned; undefined for all who share one. */
  readonly #changes: LogTail<UserId, number | undefined>;
  #serial: number;

  /** @param serial of the newest change of all that went before */
  constructor(serial: number, maxUsers: number) {
    this.#entries = new LRUCache({ max: maxUsers });
    this.#serial = serial;
    this.#changes = new LogTail(serial, { maxBytes: maxChangesBytes });
  }

  get serial(): number {
    return this.#serial;
  }

  get(userId: UserId): PresenceEntry | undefined {
    return this.#entries.peek(userId);
  }

  userIds(): Iterable<UserId> {
    return this.#entries.keys();
  }

  /** Those who share one of these rooms, at most `limit`, newest change first. */
  knownIn(viewer: UserId, joined: ReadonlySet<number>, limit: number): PresenceEntry[] {
    const found: PresenceEntry[] = [];
    for (const entry of this.#entries.values()) {
      if (found.length === limit) break;
      if (this.shares(viewer, joined, entry.current.userId)) found.push(entry);
    }
    return found;
  }

  put(current: UserPresence, rooms: Set<number>, serial: number): void {
    this.#add(current.userId, undefined, serial);
    this.#entries.set(current.userId, { current, rooms, serial });
  }

  /** As it was before this process; in the order of the serials, and before any change. */
  recall(entry: PresenceEntry): void {
    this.#entries.set(entry.current.userId, entry);
    this.#serial = Math.max(this.#serial, entry.serial);
  }

  /** The members of a room may not have heard of the user before. */
  introduce(userId: UserId, roomNid: number, serial: number): void {
    this.#add(userId, roomNid, serial);
  }

  /** Everyone, oldest change first, as plain JSON. */
  state(): PresenceText[] {
    const texts = [...this.#entries.values()].map(
      ({ current, rooms, serial }): PresenceText => [current, [...rooms], serial],
    );
    return texts.reverse();
  }

  /**
   * Takes what another process had. Whoever was thought to be otherwise has changed, with the newest
   * serial. Returns them.
   */
  restore(texts: readonly PresenceText[], newest: number): UserId[] {
    const before = new Map(this.#entries.entries());
    const changed: PresenceEntry[] = [];
    this.#entries.clear();
    this.#changes.reset(newest);
    this.#serial = newest;
    for (const [current, roomNids, serial] of texts) {
      const known = before.get(current.userId);
      before.delete(current.userId);
      const entry: PresenceEntry = { current, rooms: new Set(roomNids), serial };
      if (isSame(known?.current, current)) this.#entries.set(current.userId, entry);
      else changed.push({ ...entry, serial: newest });
    }
    for (const { current, rooms } of before.values()) {
      if (current.presence === 'offline') continue;
      changed.push({ current: { ...current, presence: 'offline' }, rooms, serial: newest });
    }
    for (const entry of changed) this.#entries.set(entry.current.userId, entry);
    return changed.map(({ current }) => current.userId);
  }

  /**
   * The first `limit` users with a change in `after < serial <= upTo` that a member of these rooms is to
   * be told of. Where memory of the changes does not reach back, everyone's newest one is meant.
   */
  changedFor(
    viewer: UserId,
    joined: ReadonlySet<number>,
    { after, upTo, limit, wants }: PresenceRange,
  ): PresenceChanges<UserId> {
    const changed = new Set<UserId>();
    let reached = after;
    for (const { position: serial, key: userId, row: roomNid } of this.#changesAfter(after)) {
      if (serial > upTo) break;
      const concerned =
        roomNid === undefined ? this.shares(viewer, joined, userId) : joined.has(roomNid);
      if (concerned && !changed.has(userId) && wants(userId)) {
        if (changed.size === limit) return { users: [...changed], upTo: reached };
        changed.add(userId);
      }
      reached = serial;
    }
    return { users: [...changed], upTo };
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

  #changesAfter(after: number): readonly TailRow<UserId, number | undefined>[] {
    const changes = this.#changes.rowsAfter(after);
    if (changes !== undefined) return changes;
    const newest: TailRow<UserId, undefined>[] = [];
    // Those changed last come first here.
    for (const { current, serial } of this.#entries.values()) {
      if (serial <= after) break;
      newest.push({ key: current.userId, position: serial, row: undefined });
    }
    return newest.reverse();
  }

  #add(userId: UserId, roomNid: number | undefined, serial: number): void {
    this.#serial = serial;
    this.#changes.add(userId, serial, roomNid);
  }
}

/** Whether this is no news. When someone was last active is none. */
export const isSame = (before: UserPresence | undefined, now: UserPresence): boolean =>
  (before?.presence ?? 'offline') === now.presence && before?.statusMsg === now.statusMsg;
