/**
 * Who is made known to whom as people come to rooms, and what other servers are told of this server's
 * users: every change, time and again who is online, and who is in a room they are new to.
 */
import { type ServerName, serverNameOf, type UserId } from '../../spec/identifiers.ts';
import type { Clock } from '../clock.ts';
import { type Owners, soleOwner } from '../owners.ts';
import type { LiveRoom } from '../rooms/live-room.ts';
import type { Broadcast } from './broadcast.ts';
import type { PresenceActivity } from './presence-activity.ts';
import type { PresenceBoard, PresenceEntry, UserPresence } from './presence-board.ts';
import type { PresenceWaking } from './presence-waking.ts';

/** One of this server's users is to be made known to other servers; every process is told. */
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
  readonly broadcast: Broadcast;
  readonly owners: Owners;
  /** Local users with a device that is connected, of those whose owner this process is. */
  readonly active: ReadonlyMap<UserId, PresenceActivity>;
}

/** The members of a room may not have heard of the user before. */
interface Met {
  readonly userId: UserId;
  readonly roomNid: number;
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
    const { broadcast } = deps;
    broadcast.onTold('presence.met', (news: Met, serial) => this.#met(news, serial));
    broadcast.onTold('presence.reminder', (userId: UserId) => this.remind(userId));
  }

  onNews(listener: PresenceListener): void {
    this.#listeners.push(listener);
  }

  /** Tells other servers how a local user is. */
  remind(userId: UserId): void {
    const entry = this.#deps.board.get(userId);
    if (entry === undefined) return;
    if (this.#deps.active.has(userId)) this.#reminded.set(userId, this.#deps.clock.nowMs());
    this.#tell({ user: this.#upToDate(entry), roomNids: entry.rooms });
  }

  /** The same in every process, if the last time is long ago. Asked by the owner of the user. */
  remindInTime(userId: UserId): void {
    const { broadcast, clock } = this.#deps;
    const sinceMs = clock.nowMs() - (this.#reminded.get(userId) ?? 0);
    if (sinceMs < remindEveryMs) return;
    this.#reminded.set(userId, clock.nowMs());
    // Otherwise it is done the next time.
    broadcast.tell('presence.reminder', userId)?.catch(() => this.#reminded.delete(userId));
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

  /** All processes follow who comes to rooms; the owner of the user makes it news. */
  #introduce(roomNid: number, userId: UserId, entry: PresenceEntry | undefined): void {
    const { broadcast, owners, serverName } = this.#deps;
    if (entry === undefined && serverNameOf(userId) !== serverName) return;
    entry?.rooms.add(roomNid);
    if (owners.elsewhere(userId) !== undefined) return;
    const news: Met = { userId, roomNid };
    broadcast.tell('presence.met', news)?.catch(() => undefined);
  }

  #met({ userId, roomNid }: Met, serial: number): void {
    const { board, serverName, waking } = this.#deps;
    board.introduce(userId, roomNid, serial);
    const entry = board.get(userId);
    if (entry === undefined || entry.current.presence === 'offline') return;
    waking.add(userId);
    if (serverNameOf(userId) !== serverName) return;
    this.#tell({ user: this.#upToDate(entry), roomNids: [roomNid] });
  }

  /** Local members of a room, to a server that may know nothing of them yet. */
  #introduceTo(room: LiveRoom, server: ServerName): void {
    const { active, board, owners, serverName } = this.#deps;
    if (server === serverName || this.#listeners.length === 0) return;
    let introduced = 0;
    const { joinedLocalUsers: members } = room;
    const isFew = owners !== soleOwner || members.size < active.size;
    const few = isFew ? members : active.keys();
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
