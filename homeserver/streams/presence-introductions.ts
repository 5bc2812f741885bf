/**
 * Who is made known to whom as people come to rooms, and what other servers are told of this server's
 * users: every change, time and again who is online, and who is in a room they are new to.
 */
import { type ServerName, serverNameOf, type UserId } from '../../spec/identifiers.ts';
import type { Clock } from '../clock.ts';
import type { LiveRoom } from '../rooms/live-room.ts';
import type { PresenceActivity } from './presence-activity.ts';
import type { PresenceBoard, PresenceEntry, UserPresence } from './presence-board.ts';
import type { PresenceWaking } from './presence-waking.ts';

/** One of this server's users is to be made known to other servers. */
export type PresenceListener = (news: {
  readonly user: UserPresence;
  /** The servers with members in these rooms are concerned; */
  readonly roomNids: Iterable<number>;
  /** or only this one, which is new to one of them. */
  readonly server?: ServerName;
}) => void;

export interface PresenceIntroductionsDeps {
  readonly clock: Clock;
  readonly serverName: ServerName;
  readonly board: PresenceBoard;
  readonly waking: PresenceWaking;
  /** Local users with a device that is connected. */
  readonly active: ReadonlyMap<UserId, PresenceActivity>;
}

/** Other servers are reminded this often of who is online. */
const remindEveryMs = 25 * 60_000;
/** Longer than people have for coming back after a restart. */
const remindAfterStartMs = 90_000;
/** Users introduced to a server that is new to a room. */
const maxIntroduced = 100;

export class PresenceIntroductions {
  readonly #deps: PresenceIntroductionsDeps;
  readonly #reminded = new Map<UserId, number>();
  readonly #listeners: PresenceListener[] = [];

  constructor(deps: PresenceIntroductionsDeps) {
    this.#deps = deps;
  }

  onNews(listener: PresenceListener): void {
    this.#listeners.push(listener);
  }

  /** Tells other servers how a local user is. */
  remind(userId: UserId): void {
    const entry = this.#deps.board.get(userId);
    if (entry === undefined) return;
    this.#reminded.set(userId, this.#deps.clock.nowMs());
    this.#tell({ user: this.#upToDate(entry), roomNids: entry.rooms });
  }

  /** The same, if the last time is long ago. */
  remindInTime(userId: UserId): void {
    const sinceMs = this.#deps.clock.nowMs() - (this.#reminded.get(userId) ?? 0);
    if (sinceMs >= remindEveryMs) this.remind(userId);
  }

  /** Somebody who was there before a restart: the first time is when they can have come back. */
  remindLater(userId: UserId): void {
    this.#reminded.set(userId, this.#deps.clock.nowMs() - remindEveryMs + remindAfterStartMs);
  }

  /** Nobody is reminded of the user any more. */
  forget(userId: UserId): void {
    this.#reminded.delete(userId);
  }

  /** A user has come to a room, or left it, or changed their name in it. */
  moved(room: LiveRoom, userId: UserId): void {
    const joined = room.membership(userId) === 'join';
    const entry = this.#deps.board.get(userId);
    const wasThere = entry?.rooms.has(room.nid) === true;
    if (!joined) entry?.rooms.delete(room.nid);
    else if (!wasThere) this.#introduce(room.nid, userId, entry);
    if (joined && !wasThere) this.#introduceTo(room, serverNameOf(userId));
  }

  /** What was read after a loss: the members of rooms that were missed are told of the user. */
  isIn(userId: UserId, roomNids: readonly number[]): void {
    const entry = this.#deps.board.get(userId);
    if (entry === undefined) return;
    const missed = roomNids.filter((roomNid) => !entry.rooms.has(roomNid));
    entry.rooms.clear();
    for (const roomNid of roomNids) entry.rooms.add(roomNid);
    for (const roomNid of missed) this.#introduce(roomNid, userId, entry);
  }

  #introduce(roomNid: number, userId: UserId, entry: PresenceEntry | undefined): void {
    const { board, clock, serverName, waking } = this.#deps;
    const isLocal = serverNameOf(userId) === serverName;
    if (entry === undefined && !isLocal) return;
    entry?.rooms.add(roomNid);
    board.introduce(userId, roomNid, clock.nowMs());
    if (entry === undefined || entry.current.presence === 'offline') return;
    waking.add(userId);
    if (isLocal) this.#tell({ user: this.#upToDate(entry), roomNids: [roomNid] });
  }

  /** Local members of a room, to a server that may know nothing of them yet. */
  #introduceTo(room: LiveRoom, server: ServerName): void {
    const { active, board, serverName } = this.#deps;
    if (server === serverName || this.#listeners.length === 0) return;
    let introduced = 0;
    const { joinedLocalUsers: members } = room;
    const few = members.size < active.size ? members : active.keys();
    for (const userId of few) {
      if (introduced === maxIntroduced) return;
      const entry = board.get(userId);
      if (entry?.rooms.has(room.nid) !== true || entry.current.presence === 'offline') continue;
      introduced += 1;
      this.#tell({ user: this.#upToDate(entry), roomNids: [room.nid], server });
    }
  }

  #tell(news: Parameters<PresenceListener>[0]): void {
    for (const listener of this.#listeners) listener(news);
  }

  #upToDate(entry: PresenceEntry): UserPresence {
    return upToDate(entry, this.#deps.active);
  }
}

/** How a user is, with when they were last active. The same object as long as nothing has changed. */
export const upToDate = (
  entry: PresenceEntry,
  active: ReadonlyMap<UserId, PresenceActivity>,
): UserPresence => {
  const lastActiveMs = active.get(entry.current.userId)?.lastActiveMs;
  if (lastActiveMs !== undefined && lastActiveMs !== entry.current.lastActiveMs) {
    entry.current = { ...entry.current, lastActiveMs };
  }
  return entry.current;
};
