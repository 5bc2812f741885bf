/**
 * Who is typing: in memory only, and gone with it. Nothing of it comes from the log, so it outlives the
 * log's resets.
 * https://spec.matrix.org/v1.19/client-server-api/#typing-notifications
 */
import { LRUCache } from 'lru-cache';
import { matrixError } from '../../spec/errors.ts';
import type { RoomId, UserId } from '../../spec/identifiers.ts';
import type { Clock } from '../clock.ts';
import type { LiveRoom } from '../rooms/live-room.ts';
import type { RoomRegistry } from '../rooms/room-registry.ts';
import type { Notifier } from './notifier.ts';

export interface TypingOptions {
  readonly registry: RoomRegistry;
  readonly clock: Clock;
  readonly notifier: Notifier;
  /** When false, notices are accepted and go nowhere. */
  readonly enabled?: boolean;
  /** Rooms remembered; the one quiet for the longest time is forgotten first. */
  readonly maxRooms?: number;
}

/** One of this server's users has begun or ceased to type; for telling other servers. */
export type TypingListener = (change: {
  readonly roomNid: number;
  readonly roomId: RoomId;
  readonly userId: UserId;
  readonly typing: boolean;
}) => void;

interface RoomTyping {
  /** When each user's notice lapses, in the order they began. */
  readonly until: Map<UserId, number>;
  room: LiveRoom;
  serial: number;
}

const defaultTimeoutMs = 30_000;
const maxTimeoutMs = 120_000;
/** Another server that has ceased to repeat itself is believed this long. */
const remoteTimeoutMs = 60_000;
const maxTypingPerRoom = 500;

export class Typing {
  readonly #registry: RoomRegistry;
  readonly #clock: Clock;
  readonly #notifier: Notifier;
  readonly #enabled: boolean;
  readonly #rooms: LRUCache<number, RoomTyping>;
  readonly #listeners: TypingListener[] = [];
  /** Rooms with someone typing: those `expire` looks through. */
  readonly #active = new Set<number>();
  #timer: NodeJS.Timeout | undefined;
  #timerAtMs = Number.POSITIVE_INFINITY;
  #serial: number;

  constructor({ registry, clock, notifier, enabled = true, maxRooms = 10_000 }: TypingOptions) {
    this.#enabled = enabled;
    this.#registry = registry;
    this.#clock = clock;
    this.#notifier = notifier;
    this.#rooms = new LRUCache({ max: maxRooms, dispose: (_, nid) => this.#active.delete(nid) });
    this.#serial = clock.nowMs();
  }

  /** The newest change. Serials rise, across restarts too: they are times in ms, or just above. */
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
    const room = await this.#registry.find(roomId);
    if (room?.membership(userId) !== 'join') {
      throw matrixError('M_FORBIDDEN', 'You are not in this room');
    }
    const changed = typing
      ? this.#start(room, userId, Math.min(Math.max(timeoutMs, 1), maxTimeoutMs))
      : this.#stop(room.nid, userId);
    // A notice is repeated to other servers, which would let it lapse.
    if (this.#enabled && (changed || typing)) this.#tell(room, userId, typing);
  }

  /** What another server says of one of its users; not repeated to anyone. */
  setRemote(room: LiveRoom, userId: UserId, typing: boolean): void {
    if (!typing) this.#stop(room.nid, userId);
    else if (room.membership(userId) === 'join') this.#start(room, userId, remoteTimeoutMs);
  }

  /** The user is in the room no more. */
  left(room: LiveRoom, userId: UserId): void {
    if (this.#stop(room.nid, userId)) this.#tell(room, userId, false);
  }

  changedSince(roomNid: number, serial: number): boolean {
    return (this.#rooms.peek(roomNid)?.serial ?? 0) > serial;
  }

  /** Whether anything was heard of the room, since the start of this process at the earliest. */
  knows(roomNid: number): boolean {
    return this.#rooms.has(roomNid);
  }

  usersIn(roomNid: number): UserId[] {
    return [...(this.#rooms.peek(roomNid)?.until.keys() ?? [])];
  }

  /** Lets every notice lapse whose time has come. Runs by itself when one is due. */
  expire(): void {
    const nowMs = this.#clock.nowMs();
    for (const roomNid of [...this.#active]) {
      const typing = this.#rooms.peek(roomNid) as RoomTyping;
      for (const [userId, untilMs] of [...typing.until]) {
        if (untilMs > nowMs) continue;
        this.#stop(roomNid, userId);
        this.#tell(typing.room, userId, false);
      }
    }
    this.#schedule();
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #start(room: LiveRoom, userId: UserId, timeoutMs: number): boolean {
    if (!this.#enabled) return false;
    let typing = this.#rooms.get(room.nid);
    if (typing === undefined) {
      typing = { until: new Map(), room, serial: 0 };
      this.#rooms.set(room.nid, typing);
    }
    typing.room = room;
    const isNew = !typing.until.has(userId);
    if (isNew && typing.until.size >= maxTypingPerRoom) return false;
    const untilMs = this.#clock.nowMs() + timeoutMs;
    typing.until.set(userId, untilMs);
    this.#active.add(room.nid);
    if (isNew) this.#changed(typing);
    if (untilMs < this.#timerAtMs) this.#schedule();
    return isNew;
  }

  #stop(roomNid: number, userId: UserId): boolean {
    const typing = this.#rooms.get(roomNid);
    if (typing?.until.delete(userId) !== true) return false;
    if (typing.until.size === 0) this.#active.delete(roomNid);
    this.#changed(typing);
    return true;
  }

  #changed(typing: RoomTyping): void {
    this.#serial = Math.max(this.#clock.nowMs(), this.#serial + 1);
    typing.serial = this.#serial;
    // The room may have been loaded anew since somebody began.
    const room = this.#registry.cached(typing.room.nid) ?? typing.room;
    this.#notifier.markEphemeral(room.nid, room.joinedLocalUsers);
    this.#notifier.flush();
  }

  #tell(room: LiveRoom, userId: UserId, typing: boolean): void {
    if (!userId.endsWith(`:${room.localServer}`)) return;
    const change = { roomNid: room.nid, roomId: room.id, userId, typing };
    for (const listener of this.#listeners) listener(change);
  }

  #schedule(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    let nextMs = Number.POSITIVE_INFINITY;
    for (const roomNid of this.#active) {
      for (const untilMs of this.#rooms.peek(roomNid)?.until.values() ?? []) {
        if (untilMs < nextMs) nextMs = untilMs;
      }
    }
    this.#timerAtMs = nextMs;
    if (nextMs === Number.POSITIVE_INFINITY) return;
    this.#timer = setTimeout(() => this.expire(), Math.max(1, nextMs - this.#clock.nowMs()));
    // A lapsing notice is no reason to keep the process.
    this.#timer.unref();
  }
}
