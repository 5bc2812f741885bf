/**
 * Who is online. In memory: what people's devices do makes their state, changes of it wake those who
 * share a room, and other servers hear of it through a listener.
 *
 * The owner of a person keeps what their devices do, wherever they do it, and tells all processes how
 * the person is (streams/broadcast.ts). Where the owner changes or dies, the next takes people as they
 * are seen, and those of whom it hears nothing within a minute go offline; so does the process after a
 * restart, with how its people were seen last (presence-memory.ts).
 *
 * A session of the log that is lost takes nothing of it along, for who is online does not go through
 * it. Only the rooms noted beside each person come from the log, which `RoomObserver` keeps up after
 * each commit: they are read again then (presence-rooms.ts).
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
import { type Owners, soleOwner } from '../owners.ts';
import type { LiveRoom } from '../rooms/live-room.ts';
import type { RoomObserver } from '../rooms/room-observer.ts';
import type { RoomRegistry } from '../rooms/room-registry.ts';
import type { StoredEvent } from '../rooms/stored-event.ts';
import type { UserRooms } from '../rooms/user-rooms.ts';
import type { Db } from '../storage/database.ts';
import type { RoomWrite } from '../storage/event-section.ts';
import { joinedRoomNids } from '../storage/snapshots.ts';
import type { Broadcast } from './broadcast.ts';
import { unknownPosition } from './log.ts';
import type { Notifier } from './notifier.ts';
import type { PresenceActivity, PresenceState } from './presence-activity.ts';
import {
  isSame,
  PresenceBoard,
  type PresenceChanges,
  type PresenceRange,
  type PresenceText,
  type UserPresence,
} from './presence-board.ts';
import {
  PresenceIntroductions,
  type PresenceListener,
  upToDate,
} from './presence-introductions.ts';
import { PresenceMemory } from './presence-memory.ts';
import { type PresenceNews, PresencePeople } from './presence-people.ts';
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
  readonly broadcast: Broadcast;
  readonly owners: Owners;
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
  /** When each remote user was last heard of, oldest first. */
  readonly #heard = new Map<UserId, number>();
  readonly #rooms: PresenceRooms;
  readonly #memory: PresenceMemory;
  readonly #waking: PresenceWaking;
  readonly #introductions: PresenceIntroductions;
  readonly #people: PresencePeople;
  #expireTimer: NodeJS.Timeout | undefined;

  constructor(deps: PresenceDeps, { enabled, maxUsers = 20_000 }: PresenceOptions) {
    this.#deps = deps;
    this.enabled = enabled;
    this.#board = new PresenceBoard(deps.broadcast.serial, maxUsers);
    this.#waking = new PresenceWaking(deps, (userId) => this.#board.get(userId)?.rooms ?? []);
    const active = new Map<UserId, PresenceActivity>();
    const parts = { ...deps, board: this.#board, waking: this.#waking, active };
    this.#introductions = new PresenceIntroductions(parts);
    this.#people = new PresencePeople({
      ...parts,
      introductions: this.#introductions,
      onCome: () => this.#schedule(),
    });
    this.#rooms = new PresenceRooms(deps.db, (userId, roomNids) =>
      this.#introductions.isIn(userId, roomNids),
    );
    this.#memory = new PresenceMemory(deps.db, deps.logger, (userId) => {
      const entry = this.#board.get(userId);
      return entry && { ...upToDate(entry, this.#people.active), serial: entry.serial };
    });
    this.#listen();
    if (!enabled) return;
    deps.observer.onAppended((room, events) => this.#follow(room, events));
    deps.observer.onUnseen((write) => this.#followUnseen(write));
  }

  /** The newest change. Serials rise, across restarts too. */
  get serial(): number {
    return this.#board.serial;
  }

  onLocalChange(listener: PresenceListener): void {
    this.#introductions.onNews(listener);
  }

  /** What is known of a user; undefined for one who was never seen. */
  of(userId: UserId): UserPresence | undefined {
    const entry = this.#board.get(userId);
    return entry && upToDate(entry, this.#people.active);
  }

  /** A device begins to sync, and may stay connected for as long as `timeoutMs`. */
  seen(
    userId: UserId,
    deviceId: DeviceId | undefined,
    wish: PresenceState,
    timeoutMs: number,
  ): void {
    if (this.enabled) this.#people.seen(userId, deviceId, wish, timeoutMs);
  }

  /** A user says how they are. Resolves once others can see it. */
  async set(
    userId: UserId,
    deviceId: DeviceId | undefined,
    presence: PresenceState,
    statusMsg: string | undefined,
  ): Promise<void> {
    if (!this.enabled) return;
    await this.#people.set(userId, deviceId, presence, statusMsg?.slice(0, maxStatusLength));
  }

  /** A user did something. Whoever has no device connected stays offline. */
  acted(userId: UserId, deviceId?: string): void {
    this.#people.acted(userId, deviceId);
  }

  /**
   * What another server says of its users, for whom it has been checked to speak. Users who share
   * no room with anyone here are left out.
   */
  async receive(users: readonly UserPresence[]): Promise<void> {
    if (!this.enabled || users.length === 0) return;
    const unknown = users.filter(({ userId }) => this.#board.get(userId) === undefined);
    const rooms = await joinedRoomNids(
      this.#deps.db,
      unknown.map(({ userId }) => userId),
    );
    const news: PresenceNews[] = [];
    for (const user of users) {
      const known = this.#board.get(user.userId);
      const roomNids = known === undefined ? rooms.get(user.userId) : undefined;
      if ((known?.rooms.size ?? roomNids?.length ?? 0) === 0) continue;
      const statusMsg = user.statusMsg?.slice(0, maxStatusLength);
      news.push({ user: { ...user, statusMsg }, ...(roomNids && { roomNids }) });
    }
    if (news.length > 0) await this.#deps.broadcast.tell('presence.heard', news);
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
    return this.#board
      .knownIn(viewer, joined, limit)
      .map((entry) => upToDate(entry, this.#people.active));
  }

  /** Lets everyone go whose time has come. Runs by itself while anyone is here. */
  expire(): void {
    clearTimeout(this.#expireTimer);
    this.#expireTimer = undefined;
    const nowMs = this.#deps.clock.nowMs();
    this.#people.expire();
    void this.#rooms.read();
    for (const [userId, heardMs] of this.#heard) {
      if (nowMs - heardMs < believeForMs) break;
      if (this.#isElsewhere(userId)) continue;
      this.#heard.delete(userId);
      const entry = this.#board.get(userId);
      if (entry === undefined) continue;
      const news: PresenceNews = { user: { ...entry.current, presence: 'offline' } };
      this.#deps.broadcast.tell('presence.heard', [news])?.catch(() => {
        this.#heard.set(userId, heardMs);
      });
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
    for (const { serial, roomNids, presence: stored, ...seen } of await this.#memory.recall()) {
      const presence = stored as PresenceState;
      this.#board.recall({ current: { ...seen, presence }, rooms: new Set(roomNids), serial });
      this.#people.takeUp(seen.userId);
    }
    this.#schedule();
  }

  close(): Promise<void> {
    this.#waking.close();
    clearTimeout(this.#expireTimer);
    return this.#memory.save();
  }

  #listen(): void {
    const { broadcast } = this.#deps;
    broadcast.onTold('presence', (news: PresenceNews, serial) => this.#toldLocal(news, serial));
    broadcast.onTold('presence.heard', (news: readonly PresenceNews[], serial) => {
      this.#toldRemote(news, serial);
    });
    broadcast.keep('presence', {
      state: () => ({ texts: this.#board.state(), heard: [...this.#heard.keys()] }),
      restore: (state: { texts: PresenceText[]; heard: UserId[] }, serial) => {
        const nowMs = this.#deps.clock.nowMs();
        for (const userId of state.heard) this.#heard.set(userId, nowMs);
        for (const userId of this.#board.restore(state.texts, serial)) this.#waking.add(userId);
        this.#people.goByOwners();
      },
    });
  }

  #isElsewhere(userId: UserId): boolean {
    return this.#deps.owners.elsewhere(userId) !== undefined;
  }

  #toldLocal({ user, roomNids }: PresenceNews, serial: number): void {
    const { userId } = user;
    if (this.#put({ user, roomNids }, serial)) {
      this.#introductions.remind(userId);
      if (!this.#isElsewhere(userId)) this.#memory.changed(userId);
    }
    if (this.#deps.owners !== soleOwner) this.#people.settle(userId);
  }

  #toldRemote(news: readonly PresenceNews[], serial: number): void {
    const nowMs = this.#deps.clock.nowMs();
    for (const each of news) {
      const { userId, presence } = each.user;
      this.#heard.delete(userId);
      if (presence !== 'offline') this.#heard.set(userId, nowMs);
      this.#put(each, serial);
    }
    this.#schedule();
  }

  /** Whether that is news. When someone was last active is not, while they are online. */
  #put({ user, roomNids }: PresenceNews, serial: number): boolean {
    const { userId } = user;
    const known = this.#board.get(userId);
    if (isSame(known?.current, user)) {
      if (known !== undefined) known.current = user;
      return false;
    }
    this.#board.put(user, known?.rooms ?? new Set(roomNids), serial);
    this.#waking.add(userId);
    if (known === undefined && this.#deps.owners !== soleOwner) {
      // They may have moved since the teller has read them.
      this.#rooms.doubt([userId]);
      void this.#rooms.read();
    }
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

  /** Of a room that is not in memory here: who has come or gone is read. */
  #followUnseen({ events, changes }: RoomWrite): void {
    for (const { sender, senderDevice } of events) {
      if (senderDevice !== null) this.acted(sender as UserId, senderDevice);
    }
    const moved = changes.flatMap(({ users }) => users.map(({ userId }) => userId as UserId));
    const known = moved.filter((userId) => this.#board.get(userId) !== undefined);
    if (known.length === 0) return;
    this.#rooms.doubt(known);
    void this.#rooms.read();
  }

  /** Whether readers are to hear of the user's newest change only together with others. */
  isHeld(userId: UserId): boolean {
    return this.#waking.has(userId);
  }

  #schedule(): void {
    if (this.#expireTimer !== undefined) return;
    if (this.#people.active.size === 0 && this.#heard.size === 0) return;
    this.#expireTimer = setTimeout(() => this.expire(), expireEveryMs);
    // People going offline are no reason to keep the process.
    this.#expireTimer.unref();
  }
}
