/**
 * Events that refer to what this server does not have yet. They wait in the database, each room for
 * itself, while a worker fetches what is missing: a room that takes long holds up no other, and a
 * restart loses nothing.
 *
 * Specification:
 * https://spec.matrix.org/v1.19/server-server-api/#backfilling-and-retrieving-missing-events
 */
import type { Logger } from 'pino';
import type { Clock } from '../../homeserver/clock.ts';
import type { LiveRoom } from '../../homeserver/rooms/live-room.ts';
import type { RemoteReceiver } from '../../homeserver/rooms/receive.ts';
import type { Database } from '../../homeserver/storage/database.ts';
import {
  type DuePdu,
  deleteRoomWaiting,
  deleteWaiting,
  duePdus,
  inboundPdus,
  nextDueMs,
  postponeWaiting,
  type WaitingPdu,
  waitingCounts,
} from '../../homeserver/storage/inbound-pdus.ts';
import { type Log, rowsOf } from '../../homeserver/streams/log.ts';
import { exactJson } from '../../spec/canonical-json.ts';
import type { MatrixEvent } from '../../spec/event.ts';
import { storedEvent } from '../../spec/event-format.ts';
import type { EventId, RoomId, ServerName } from '../../spec/identifiers.ts';
import type { RoomAccess } from '../rooms/room-access.ts';

export interface InboundQueueDeps {
  readonly database: Database;
  readonly log: Log;
  readonly access: RoomAccess;
  readonly receiver: RemoteReceiver;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Rooms worked on at a time. */
  readonly maxRooms?: number;
}

const BATCH = 50;
/** After so many tries an event is given up; should anything refer to it, it is fetched anew. */
const MAX_ATTEMPTS = 4;
const RETRY_DELAYS_MS = [2_000, 15_000, 120_000];
const DATABASE_RETRY_MS = 2_000;
const MAX_TIMER_MS = 60_000;

export class InboundQueue {
  readonly #deps: InboundQueueDeps;
  readonly #maxRooms: number;
  /** Waiting events by room and by origin. */
  readonly #byRoom = new Map<RoomId, Map<ServerName, number>>();
  readonly #byOrigin = new Map<ServerName, number>();
  /** Rooms with something due, in turn. */
  readonly #ready = new Set<RoomId>();
  readonly #running = new Map<RoomId, Promise<void>>();
  readonly #timers = new Map<RoomId, NodeJS.Timeout>();
  #isStopped = false;

  private constructor(deps: InboundQueueDeps) {
    this.#deps = deps;
    this.#maxRooms = deps.maxRooms ?? 16;
  }

  /** Takes up what an earlier process left. */
  static async open(deps: InboundQueueDeps): Promise<InboundQueue> {
    const queue = new InboundQueue(deps);
    for (const { roomId, origin, count } of await waitingCounts(deps.database)) {
      queue.#count(roomId, origin, count);
      queue.#ready.add(roomId);
    }
    queue.#startReady();
    return queue;
  }

  isWaiting(roomId: RoomId): boolean {
    return this.#byRoom.has(roomId);
  }

  /** How many events of a server wait. */
  backlogOf(origin: ServerName): number {
    return this.#byOrigin.get(origin) ?? 0;
  }

  get waitingRooms(): number {
    return this.#byRoom.size;
  }

  /** Resolves when the events are durable; they are worked on afterwards. */
  async add(origin: ServerName, room: LiveRoom, events: readonly MatrixEvent[]): Promise<void> {
    const receivedAtMs = this.#deps.clock.nowMs();
    const rows: WaitingPdu[] = events.map((event) => ({
      roomId: room.id,
      eventId: event.eventId,
      origin,
      receivedAtMs,
      json: exactJson(event.pdu),
      isNew: false,
    }));
    await this.#deps.log.append({ parts: [rowsOf(inboundPdus, rows)] });
    this.#count(room.id, origin, rows.filter(({ isNew }) => isNew).length);
    this.#wake(room.id);
  }

  /** Waits for what is under way; the rest is taken up by the next start. */
  async close(): Promise<void> {
    this.#isStopped = true;
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
    await Promise.all(this.#running.values());
  }

  /** `by` is below zero for those that wait no more. */
  #count(roomId: RoomId, origin: ServerName, by: number): void {
    const origins = this.#byRoom.get(roomId) ?? new Map<ServerName, number>();
    addTo(origins, origin, by);
    if (origins.size === 0) this.#byRoom.delete(roomId);
    else this.#byRoom.set(roomId, origins);
    addTo(this.#byOrigin, origin, by);
  }

  /** None of the room's events waits any more. */
  #clearCounts(roomId: RoomId): void {
    for (const [origin, count] of this.#byRoom.get(roomId) ?? []) {
      this.#count(roomId, origin, -count);
    }
  }

  #wake(roomId: RoomId): void {
    clearTimeout(this.#timers.get(roomId));
    this.#timers.delete(roomId);
    this.#ready.add(roomId);
    this.#startReady();
  }

  #startReady(): void {
    for (const roomId of this.#ready) {
      if (this.#isStopped || this.#running.size >= this.#maxRooms) return;
      // It looks for more before it ends, and is started again for what came after that.
      if (this.#running.has(roomId)) continue;
      this.#ready.delete(roomId);
      const run = this.#work(roomId).finally(() => {
        this.#running.delete(roomId);
        this.#startReady();
      });
      this.#running.set(roomId, run);
    }
  }

  async #work(roomId: RoomId): Promise<void> {
    const { database, clock, access, logger } = this.#deps;
    try {
      while (!this.#isStopped) {
        const room = await access.ours(roomId);
        if (room === undefined) {
          await deleteRoomWaiting(database, roomId);
          this.#clearCounts(roomId);
          return;
        }
        const due = await duePdus(database, roomId, clock.nowMs(), BATCH);
        if (due.length === 0) break;
        await this.#takeIn(room, due);
      }
      const dueMs = await nextDueMs(database, roomId);
      if (dueMs !== undefined) this.#wakeIn(roomId, dueMs - clock.nowMs());
    } catch (error) {
      logger.error({ err: error, room: roomId }, 'waiting events could not be worked on');
      this.#wakeIn(roomId, DATABASE_RETRY_MS);
    }
  }

  #wakeIn(roomId: RoomId, delayMs: number): void {
    if (this.#isStopped) return;
    clearTimeout(this.#timers.get(roomId));
    const timer = setTimeout(
      () => this.#wake(roomId),
      Math.min(Math.max(delayMs, 1), MAX_TIMER_MS),
    );
    timer.unref();
    this.#timers.set(roomId, timer);
  }

  async #takeIn(room: LiveRoom, due: readonly DuePdu[]): Promise<void> {
    for (const [server, pdus] of byServer(room, due)) {
      const events = pdus.map(({ json, eventId }) => storedEvent(json, eventId));
      const receipts = await this.#deps.receiver.receive(server, room, events);
      // The room was dropped from memory under way, or answers of others were cut off: everything is
      // tried again. What is done already is recognised.
      if (room.dead || this.#isStopped) return;
      await this.#settle(room, pdus, (id) => receipts.get(id)?.error);
    }
  }

  async #settle(
    room: LiveRoom,
    pdus: readonly DuePdu[],
    errorOf: (eventId: EventId) => string | undefined,
  ): Promise<void> {
    const { database, clock, logger } = this.#deps;
    const done: DuePdu[] = [];
    for (const pdu of pdus) {
      const { eventId, origin, attempts } = pdu;
      const error = errorOf(eventId);
      const delayMs = RETRY_DELAYS_MS[attempts] ?? 0;
      if (error === undefined || attempts + 1 >= MAX_ATTEMPTS) {
        if (error !== undefined) {
          logger.info({ room: room.id, event: eventId, origin, error }, 'event given up');
        }
        done.push(pdu);
      } else {
        await postponeWaiting(database, room.id, [eventId], clock.nowMs() + delayMs);
      }
    }
    if (done.length === 0) return;
    await deleteWaiting(
      database,
      room.id,
      done.map(({ eventId }) => eventId),
    );
    for (const { origin } of done) this.#count(room.id, origin, -1);
  }
}

const addTo = <K>(counts: Map<K, number>, key: K, by: number): void => {
  const count = (counts.get(key) ?? 0) + by;
  if (count > 0) counts.set(key, count);
  else counts.delete(key);
};

/**
 * Whom to ask for what is missing: the server that sent the event at first, and should it not help,
 * others of the room in turn.
 */
const byServer = (room: LiveRoom, due: readonly DuePdu[]): Map<ServerName, DuePdu[]> => {
  const groups = new Map<ServerName, DuePdu[]>();
  const others = [...room.joinedServers].filter((server) => server !== room.localServer);
  for (const pdu of due) {
    const candidates = [pdu.origin, ...others.filter((server) => server !== pdu.origin)];
    const server = candidates[pdu.attempts % candidates.length] as ServerName;
    const group = groups.get(server);
    if (group === undefined) groups.set(server, [pdu]);
    else group.push(pdu);
  }
  return groups;
};
