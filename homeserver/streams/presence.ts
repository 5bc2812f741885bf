/**
 * Who is online. In memory: what people's devices do makes their state, changes of it wake those who
 * share a room, and other servers hear of it through a listener.
 *
 * A session of the log that is lost takes nothing of it along, for who is online does not go through
 * it. Only the rooms noted beside each person come from the log, which `RoomObserver` keeps up after
 * each commit: they are read again then (presence-rooms.ts). It all belongs to this process: when it
 * ends, the next takes up how its people were seen last (presence-memory.ts), and those who do not come
 * back within a minute go offline.
 * https://spec.matrix.org/v1.19/client-server-api/#presence
 */
import {
  type DeviceId,
  type ServerName,
  serverNameOf,
  type UserId,
} from '../../spec/identifiers.ts';
import type { Clock } from '../clock.ts';
import type { Logger } from '../ops/logger.ts';
import type { LiveRoom } from '../rooms/live-room.ts';
import type { RoomObserver } from '../rooms/room-observer.ts';
import type { RoomRegistry } from '../rooms/room-registry.ts';
import type { StoredEvent } from '../rooms/stored-event.ts';
import type { UserRooms } from '../rooms/user-rooms.ts';
import type { Db } from '../storage/database.ts';
import { joinedRoomNids } from '../storage/snapshots.ts';
import { unknownPosition } from './log.ts';
import type { Notifier } from './notifier.ts';
import { PresenceActivity, type PresenceState } from './presence-activity.ts';
import {
  PresenceBoard,
  type PresenceChanges,
  type PresenceEntry,
  type PresenceRange,
  type UserPresence,
} from './presence-board.ts';
import {
  PresenceIntroductions,
  type PresenceListener,
  upToDate,
} from './presence-introductions.ts';
import { PresenceMemory } from './presence-memory.ts';
import { PresenceRooms, shareRoom } from './presence-rooms.ts';
import { PresenceWaking } from './presence-waking.ts';

export type { PresenceState } from './presence-activity.ts';
export type { UserPresence } from './presence-board.ts';
export type { PresenceListener } from './presence-introductions.ts';

export interface PresenceDeps {
  readonly db: Db;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly notifier: Notifier;
  readonly observer: RoomObserver;
  readonly registry: RoomRegistry;
  readonly userRooms: UserRooms;
  readonly serverName: ServerName;
}

export interface PresenceOptions {
  /** Switched off, everyone is offline and nothing is kept. */
  readonly enabled: boolean;
  /** Users remembered, remote ones included. */
  readonly maxUsers?: number;
}

const maxStatusLength = 1000;
const expireEveryMs = 5_000;
/** Other servers are believed this long. */
const believeForMs = 35 * 60_000;
/** Users of this server who are told of to somebody new in a room, although they are offline. */
const maxMet = 100;

export class Presence {
  readonly enabled: boolean;
  readonly #deps: PresenceDeps;
  readonly #board: PresenceBoard;
  /** Local users with a device that is connected. */
  readonly #active = new Map<UserId, PresenceActivity>();
  /** When each remote user was last heard of, oldest first. */
  readonly #heard = new Map<UserId, number>();
  readonly #rooms: PresenceRooms;
  readonly #memory: PresenceMemory;
  readonly #waking: PresenceWaking;
  readonly #introductions: PresenceIntroductions;
  #expireTimer: NodeJS.Timeout | undefined;

  constructor(deps: PresenceDeps, { enabled, maxUsers = 20_000 }: PresenceOptions) {
    this.#deps = deps;
    this.enabled = enabled;
    this.#board = new PresenceBoard(deps.clock.nowMs(), maxUsers);
    this.#waking = new PresenceWaking(deps, (userId) => this.#board.get(userId)?.rooms ?? []);
    this.#introductions = new PresenceIntroductions({
      ...deps,
      board: this.#board,
      waking: this.#waking,
      active: this.#active,
    });
    this.#rooms = new PresenceRooms(deps.db, (userId, roomNids) =>
      this.#introductions.isIn(userId, roomNids),
    );
    this.#memory = new PresenceMemory(deps.db, deps.logger, (userId) => {
      const entry = this.#board.get(userId);
      return entry && { ...upToDate(entry, this.#active), serial: entry.serial };
    });
    if (enabled) deps.observer.onAppended((room, events) => this.#follow(room, events));
  }

  /** The newest change. Serials rise, across restarts too: they are times in ms, or just above. */
  get serial(): number {
    return this.#board.serial;
  }

  onLocalChange(listener: PresenceListener): void {
    this.#introductions.onNews(listener);
  }

  /** What is known of a user; undefined for one who was never seen. */
  of(userId: UserId): UserPresence | undefined {
    const entry = this.#board.get(userId);
    return entry && upToDate(entry, this.#active);
  }

  /** A device begins to sync, and may stay connected for as long as `timeoutMs`. */
  seen(
    userId: UserId,
    deviceId: DeviceId | undefined,
    wish: PresenceState,
    timeoutMs: number,
  ): void {
    if (!this.enabled) return;
    if (wish === 'offline' && !this.#active.has(userId)) return;
    this.#activity(userId).synced(deviceId ?? '', wish, timeoutMs, this.#deps.clock.nowMs());
    this.#show(userId);
  }

  /** A user says how they are. Resolves once others can see it. */
  async set(
    userId: UserId,
    deviceId: DeviceId | undefined,
    presence: PresenceState,
    statusMsg: string | undefined,
  ): Promise<void> {
    if (!this.enabled) return;
    this.#activity(userId).said(deviceId ?? '', presence, this.#deps.clock.nowMs());
    await this.#publish(userId, { statusMsg: statusMsg?.slice(0, maxStatusLength) });
  }

  /** A user did something. Whoever has no device connected stays offline. */
  acted(userId: UserId, deviceId?: string): void {
    const activity = this.#active.get(userId);
    if (activity === undefined) return;
    activity.acted(deviceId, this.#deps.clock.nowMs());
    this.#show(userId);
  }

  /**
   * What another server says of its users, for whom it has been checked to speak. Users who share
   * no room with anyone here are left out.
   */
  async receive(users: readonly UserPresence[]): Promise<void> {
    if (!this.enabled || users.length === 0) return;
    const nowMs = this.#deps.clock.nowMs();
    const unknown = users.filter(({ userId }) => this.#board.get(userId) === undefined);
    const rooms = await joinedRoomNids(
      this.#deps.db,
      unknown.map(({ userId }) => userId),
    );
    for (const user of users) {
      const known = this.#board.get(user.userId);
      const joined = known?.rooms ?? new Set(rooms.get(user.userId));
      if (joined.size === 0) continue;
      const statusMsg = user.statusMsg?.slice(0, maxStatusLength);
      this.#heard.delete(user.userId);
      if (user.presence !== 'offline') this.#heard.set(user.userId, nowMs);
      this.#put(known, { ...user, statusMsg }, joined);
    }
    this.#schedule();
  }

  /** Whether someone may see a user's presence: it is their own, or they share a room. */
  async isVisibleTo(viewer: UserId, userId: UserId): Promise<boolean> {
    return viewer === userId || shareRoom(this.#deps.db, viewer, userId);
  }

  /**
   * Whose presence has changed in a range of serials, as far as a member of these rooms is to know,
   * and how far in the range they go.
   */
  changedFor(
    viewer: UserId,
    joined: ReadonlySet<number>,
    range: PresenceRange,
  ): PresenceChanges<UserPresence> {
    // Of remote people nothing may be known any more.
    const wants = (userId: UserId) => range.wants(userId) && this.#shown(userId) !== undefined;
    const { users, upTo } = this.#board.changedFor(viewer, joined, { ...range, wants });
    return { users: users.flatMap((userId) => this.#shown(userId) ?? []), upTo };
  }

  /**
   * The members of rooms that the viewer has just joined: of a large room those who are there, of a
   * small one also this server's users who are not.
   */
  metIn(viewer: UserId, fresh: ReadonlySet<number>, limit: number): UserPresence[] {
    const met = new Map<UserId, UserPresence>();
    for (const user of this.knownIn(viewer, fresh, limit)) {
      if (user.presence !== 'offline') met.set(user.userId, user);
    }
    for (const roomNid of fresh) {
      const local = this.#deps.registry.cached(roomNid)?.joinedLocalUsers;
      if (local === undefined || local.size > maxMet) continue;
      for (const userId of local) {
        const user = this.#shown(userId);
        if (user !== undefined) met.set(userId, user);
      }
    }
    met.delete(viewer);
    return [...met.values()];
  }

  /** Everyone in these rooms of whom something is known, at most `limit`, newest change first. */
  knownIn(viewer: UserId, joined: ReadonlySet<number>, limit: number): UserPresence[] {
    return this.#board.knownIn(viewer, joined, limit).map((entry) => upToDate(entry, this.#active));
  }

  /** Lets everyone go whose time has come. Runs by itself while anyone is here. */
  expire(): void {
    clearTimeout(this.#expireTimer);
    this.#expireTimer = undefined;
    const nowMs = this.#deps.clock.nowMs();
    for (const [userId, activity] of this.#active) {
      this.#show(userId);
      if (activity.isGone) {
        this.#active.delete(userId);
        this.#introductions.forget(userId);
      } else this.#introductions.remindInTime(userId);
    }
    void this.#rooms.read();
    for (const [userId, heardMs] of this.#heard) {
      if (nowMs - heardMs < believeForMs) break;
      this.#heard.delete(userId);
      const entry = this.#board.get(userId);
      if (entry !== undefined) {
        this.#put(entry, { ...entry.current, presence: 'offline' }, entry.rooms);
      }
    }
    this.#schedule();
  }

  /** The log's session was lost, or, with its position, found again. */
  reset(position: number): void {
    if (position === unknownPosition) return;
    this.#rooms.doubt(this.#board.userIds());
    void this.#rooms.read();
  }

  /** Takes up how people were seen last. Before anything else is asked of a process that starts. */
  async recall(): Promise<void> {
    if (!this.enabled) return;
    const nowMs = this.#deps.clock.nowMs();
    for (const { serial, roomNids, presence: stored, ...seen } of await this.#memory.recall()) {
      const presence = stored as PresenceState;
      this.#board.recall({ current: { ...seen, presence }, rooms: new Set(roomNids), serial });
      if (presence === 'offline') continue;
      this.#active.set(seen.userId, PresenceActivity.recalled(presence, seen.lastActiveMs, nowMs));
      // Other servers are reminded once those who do not come back are gone.
      this.#introductions.remindLater(seen.userId);
    }
    this.#schedule();
  }

  close(): Promise<void> {
    this.#waking.close();
    clearTimeout(this.#expireTimer);
    return this.#memory.save();
  }

  #activity(userId: UserId): PresenceActivity {
    let activity = this.#active.get(userId);
    if (activity === undefined) {
      activity = new PresenceActivity(this.#board.get(userId)?.current.lastActiveMs ?? 0);
      this.#active.set(userId, activity);
      this.#schedule();
    }
    return activity;
  }

  #show(userId: UserId): void {
    // Where the rooms could not be read, the user's next step tries again.
    this.#publish(userId)?.catch(() => undefined);
  }

  /** Shows a local user's state to others where it is another than before. */
  #publish(userId: UserId, say?: Pick<UserPresence, 'statusMsg'>): Promise<void> | undefined {
    const entry = this.#board.get(userId);
    if (entry !== undefined) {
      this.#publishIn(userId, entry, entry.rooms, say);
      return undefined;
    }
    const rooms = this.#deps.userRooms.of(userId);
    const publish = (found: Awaited<typeof rooms>): void => {
      const joined = new Set<number>();
      for (const room of found.values()) if (room.membership === 'join') joined.add(room.roomNid);
      this.#publishIn(userId, this.#board.get(userId), joined, say);
    };
    if (rooms instanceof Promise) return rooms.then(publish);
    publish(rooms);
    return undefined;
  }

  #publishIn(
    userId: UserId,
    known: PresenceEntry | undefined,
    rooms: Set<number>,
    say: Pick<UserPresence, 'statusMsg'> | undefined,
  ): void {
    const activity = this.#active.get(userId);
    const presence = activity?.stateAt(this.#deps.clock.nowMs()) ?? 'offline';
    const lastActiveMs = activity?.lastActiveMs ?? known?.current.lastActiveMs ?? 0;
    const { statusMsg } = say ?? known?.current ?? { statusMsg: undefined };
    const user: UserPresence = { userId, presence, statusMsg, lastActiveMs };
    if (this.#put(known, user, rooms)) this.#introductions.remind(userId);
  }

  /** Whether that is news. When someone was last active is not, while they are online. */
  #put(known: PresenceEntry | undefined, user: UserPresence, rooms: Set<number>): boolean {
    const before = known?.current ?? { presence: 'offline', statusMsg: undefined };
    const same = before.presence === user.presence && before.statusMsg === user.statusMsg;
    if (same) {
      if (known !== undefined) known.current = user;
      return false;
    }
    this.#board.put(user, rooms, this.#deps.clock.nowMs());
    this.#waking.add(user.userId);
    if (serverNameOf(user.userId) === this.#deps.serverName) this.#memory.changed(user.userId);
    return true;
  }

  /** A local user of whom nothing is known is offline; of a remote one that cannot be said. */
  #shown(userId: UserId): UserPresence | undefined {
    const known = this.of(userId);
    if (known !== undefined || serverNameOf(userId) !== this.#deps.serverName) return known;
    return { userId, presence: 'offline', statusMsg: undefined, lastActiveMs: 0 };
  }

  #follow(room: LiveRoom, events: readonly StoredEvent[]): void {
    for (const { event, senderDevice } of events) {
      if (senderDevice !== undefined) this.acted(event.sender, senderDevice);
      if (event.type !== 'm.room.member' || event.stateKey === undefined) continue;
      const userId = event.stateKey as UserId;
      this.#rooms.changed(userId);
      this.#introductions.moved(room, userId);
    }
  }

  /** Whether readers are to hear of the user's newest change only together with others. */
  isHeld(userId: UserId): boolean {
    return this.#waking.has(userId);
  }

  #schedule(): void {
    if (this.#expireTimer !== undefined) return;
    if (this.#active.size === 0 && this.#heard.size === 0) return;
    this.#expireTimer = setTimeout(() => this.expire(), expireEveryMs);
    // People going offline are no reason to keep the process.
    this.#expireTimer.unref();
  }
}
