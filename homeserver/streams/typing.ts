/**
 * Who is typing: in memory only. Every process is told of each notice (streams/broadcast.ts) and knows
 * when it lapses; the owner of the room says that it has. Nothing of it comes from the log, so it
 * outlives the log's resets.
 * https://spec.matrix.org/v1.19/client-server-api/#typing-notifications
 */
import { LRUCache } from 'lru-cache';
import { matrixError } from '../../spec/errors.ts';
import { type RoomId, type ServerName, serverNameOf, type UserId } from '../../spec/identifiers.ts';
import type { Clock } from '../clock.ts';
import type { Owners } from '../owners.ts';
import type { LiveRoom } from '../rooms/live-room.ts';
import type { RoomRegistry } from '../rooms/room-registry.ts';
import type { UserRooms } from '../rooms/user-rooms.ts';
import type { Broadcast } from './broadcast.ts';
import type { Notifier } from './notifier.ts';

export interface TypingOptions {
  readonly registry: RoomRegistry;
  readonly clock: Clock;
  readonly notifier: Notifier;
  readonly broadcast: Broadcast;
  readonly owners: Owners;
  readonly userRooms: Pick<UserRooms, 'cached'>;
  readonly serverName: ServerName;
  /** When false, notices are accepted and go nowhere. */
  readonly enabled?: boolean;
  /** Rooms remembered; the one quiet for the longest time is forgotten first. */
  readonly maxRooms?: number;
}

/** One of this server's users types, or has ceased to; every process is told, for other servers. */
export type TypingListener = (change: {
  readonly roomNid: number;
  readonly roomId: RoomId;
  readonly userId: UserId;
  readonly typing: boolean;
}) => void;

interface Notice {
  untilMs: number;
  /** Of the newest word of it. */
  serial: number;
}

interface RoomTyping {
  readonly roomId: RoomId;
  /** In the order they began. */
  readonly notices: Map<UserId, Notice>;
  /** Of the newest change. */
  serial: number;
}

/** As processes tell each other. */
interface TypingNews {
  readonly nid: number;
  readonly roomId: RoomId;
  readonly userId: UserId;
  /** 0: the user has stopped. */
  readonly forMs: number;
  /** The notice with this serial has lapsed, and no other. */
  readonly lapsed?: number;
}

type RoomText = readonly [
  nid: number,
  roomId: RoomId,
  notices: readonly (readonly [userId: UserId, forMs: number, serial: number])[],
  serial: number,
];

const defaultTimeoutMs = 30_000;
const maxTimeoutMs = 120_000;
/** Another server that has ceased to repeat itself is believed this long. */
const remoteTimeoutMs = 60_000;
const maxTypingPerRoom = 500;
/** Until it is said again that a notice has lapsed, should it not have been heard. */
const lapseAgainMs = 5_000;

export class Typing {
  readonly #options: TypingOptions;
  readonly #enabled: boolean;
  readonly #rooms: LRUCache<number, RoomTyping>;
  readonly #listeners: TypingListener[] = [];
  /** Rooms with someone typing: those `expire` looks through. */
  readonly #active = new Set<number>();
  #timer: NodeJS.Timeout | undefined;
  #timerAtMs = Number.POSITIVE_INFINITY;
  #serial: number;

  constructor(options: TypingOptions) {
    const { broadcast, owners, enabled = true, maxRooms = 10_000 } = options;
    this.#options = options;
    this.#enabled = enabled;
    this.#rooms = new LRUCache({ max: maxRooms, dispose: (_, nid) => this.#active.delete(nid) });
    this.#serial = broadcast.serial;
    broadcast.onTold('typing', (news: TypingNews, serial) => this.#told(news, serial));
    broadcast.keep('typing', {
      state: () => this.#state(),
      restore: (rooms: readonly RoomText[], serial) => this.#restore(rooms, serial),
    });
    owners.onChange(() => this.#schedule());
  }

  /** The newest change. Serials rise, across restarts too. */
  get serial(): number {
    return this.#serial;
  }

  onLocalChange(listener: TypingListener): void {
    this.#listeners.push(listener);
  }

  /**
   * Notes that one of this server's users types, for at most two minutes, or has stopped.
   * @throws MatrixError M_FORBIDDEN for those who are not in the room
   */
  async setLocal(
    userId: UserId,
    roomId: RoomId,
    typing: boolean,
    timeoutMs = defaultTimeoutMs,
  ): Promise<void> {
    const room = await this.#options.registry.find(roomId);
    if (room?.membership(userId) !== 'join') {
      throw matrixError('M_FORBIDDEN', 'You are not in this room');
    }
    const forMs = typing ? Math.min(Math.max(timeoutMs, 1), maxTimeoutMs) : 0;
    await this.#say(room, userId, forMs);
  }

  /** What another server says of one of its users; not repeated to anyone. */
  setRemote(room: LiveRoom, userId: UserId, typing: boolean): void {
    if (typing && room.membership(userId) !== 'join') return;
    // Another server repeats itself.
    this.#say(room, userId, typing ? remoteTimeoutMs : 0)?.catch(() => undefined);
  }

  /** The user is in the room no more. Every process hears of it; the owner of the room says so. */
  left(room: LiveRoom, userId: UserId): void {
    if (this.#options.owners.elsewhere(room.id) !== undefined) return;
    // Otherwise it lapses.
    this.#say(room, userId, 0)?.catch(() => undefined);
  }

  changedSince(roomNid: number, serial: number): boolean {
    return (this.#rooms.peek(roomNid)?.serial ?? 0) > serial;
  }

  /** Whether anything was heard of the room, since the start of the server at the earliest. */
  knows(roomNid: number): boolean {
    return this.#rooms.has(roomNid);
  }

  usersIn(roomNid: number): UserId[] {
    return [...(this.#rooms.peek(roomNid)?.notices.keys() ?? [])];
  }

  /** Lets every notice lapse whose time has come. Runs by itself when one is due. */
  expire(): void {
    const { clock, owners, broadcast } = this.#options;
    const nowMs = clock.nowMs();
    for (const nid of [...this.#active]) {
      const { roomId, notices } = this.#rooms.peek(nid) as RoomTyping;
      if (owners.elsewhere(roomId) !== undefined) continue;
      for (const [userId, notice] of [...notices]) {
        if (notice.untilMs > nowMs) continue;
        notice.untilMs = nowMs + lapseAgainMs;
        const news: TypingNews = { nid, roomId, userId, forMs: 0, lapsed: notice.serial };
        broadcast.tell('typing', news)?.catch(() => undefined);
      }
    }
    this.#schedule();
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #say({ nid, id: roomId }: LiveRoom, userId: UserId, forMs: number): Promise<void> | undefined {
    if (!this.#enabled) return undefined;
    if (forMs === 0 && this.#rooms.peek(nid)?.notices.has(userId) !== true) return undefined;
    const news: TypingNews = { nid, roomId, userId, forMs };
    return this.#options.broadcast.tell('typing', news);
  }

  #told({ nid, roomId, userId, forMs, lapsed }: TypingNews, serial: number): void {
    if (forMs > 0) this.#start(nid, roomId, userId, forMs, serial);
    else if (!this.#stop(nid, userId, lapsed, serial)) return;
    if (serverNameOf(userId) !== this.#options.serverName) return;
    // A notice is repeated to other servers, which would let it lapse.
    const change = { roomNid: nid, roomId, userId, typing: forMs > 0 };
    for (const listener of this.#listeners) listener(change);
  }

  #start(nid: number, roomId: RoomId, userId: UserId, forMs: number, serial: number): void {
    let typing = this.#rooms.get(nid);
    if (typing === undefined) {
      typing = { roomId, notices: new Map(), serial: 0 };
      this.#rooms.set(nid, typing);
    }
    const untilMs = this.#options.clock.nowMs() + forMs;
    const notice = typing.notices.get(userId);
    if (notice !== undefined) {
      notice.untilMs = untilMs;
      notice.serial = serial;
    } else if (typing.notices.size < maxTypingPerRoom) {
      typing.notices.set(userId, { untilMs, serial });
      this.#active.add(nid);
      this.#changed(nid, typing, serial);
    }
    if (untilMs < this.#timerAtMs) this.#schedule();
  }

  #stop(nid: number, userId: UserId, lapsed: number | undefined, serial: number): boolean {
    const typing = this.#rooms.get(nid);
    const notice = typing?.notices.get(userId);
    if (typing === undefined || notice === undefined) return false;
    if (lapsed !== undefined && lapsed !== notice.serial) return false;
    typing.notices.delete(userId);
    if (typing.notices.size === 0) this.#active.delete(nid);
    this.#changed(nid, typing, serial);
    return true;
  }

  #changed(nid: number, typing: RoomTyping, serial: number): void {
    const { registry, notifier, userRooms } = this.#options;
    this.#serial = serial;
    typing.serial = serial;
    const room = registry.cached(nid);
    if (room !== undefined) notifier.markEphemeral(nid, room.joinedLocalUsers);
    else notifier.markWhere((userId) => userRooms.cached(userId)?.get(nid)?.membership === 'join');
    notifier.flush();
  }

  #state(): RoomText[] {
    const nowMs = this.#options.clock.nowMs();
    const rooms: RoomText[] = [];
    for (const [nid, { roomId, notices, serial }] of [...this.#rooms.entries()].reverse()) {
      const texts = [...notices].map(
        ([userId, notice]) => [userId, Math.max(1, notice.untilMs - nowMs), notice.serial] as const,
      );
      rooms.push([nid, roomId, texts, serial]);
    }
    return rooms;
  }

  /** Rooms in which somebody else was thought to type are news. */
  #restore(rooms: readonly RoomText[], newest: number): void {
    const nowMs = this.#options.clock.nowMs();
    const before = new Map(this.#rooms.entries());
    this.#rooms.clear();
    this.#active.clear();
    for (const [nid, roomId, texts, serial] of rooms) {
      const notices = new Map<UserId, Notice>();
      for (const [userId, forMs, noticed] of texts) {
        notices.set(userId, { untilMs: nowMs + forMs, serial: noticed });
      }
      const typing = { roomId, notices, serial };
      this.#rooms.set(nid, typing);
      if (notices.size > 0) this.#active.add(nid);
      if (differ(before.get(nid)?.notices, notices)) this.#changed(nid, typing, newest);
      before.delete(nid);
    }
    for (const [nid, { roomId, notices }] of before) {
      if (notices.size === 0) continue;
      const typing = { roomId, notices: new Map(), serial: newest };
      this.#rooms.set(nid, typing);
      this.#changed(nid, typing, newest);
    }
    this.#serial = newest;
    this.#schedule();
  }

  #schedule(): void {
    const { clock, owners } = this.#options;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    let nextMs = Number.POSITIVE_INFINITY;
    for (const nid of this.#active) {
      const { roomId, notices } = this.#rooms.peek(nid) as RoomTyping;
      if (owners.elsewhere(roomId) !== undefined) continue;
      for (const { untilMs } of notices.values()) if (untilMs < nextMs) nextMs = untilMs;
    }
    this.#timerAtMs = nextMs;
    if (nextMs === Number.POSITIVE_INFINITY) return;
    this.#timer = setTimeout(() => this.expire(), Math.max(1, nextMs - clock.nowMs()));
    // A lapsing notice is no reason to keep the process.
    this.#timer.unref();
  }
}

const differ = (
  before: ReadonlyMap<UserId, Notice> | undefined,
  after: ReadonlyMap<UserId, Notice>,
): boolean =>
  (before?.size ?? 0) !== after.size || [...after.keys()].some((userId) => !before?.has(userId));
