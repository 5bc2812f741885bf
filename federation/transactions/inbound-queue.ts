/**
 * Events that refer to what this server does not have yet. They wait in the database, those of each
 * server in each room in a lane of their own, while a worker fetches what is missing: a room that
 * takes long holds up no other, nor does a server that does not answer, and a restart loses nothing.
 *
 * Specification:
 * https://spec.matrix.org/v1.19/server-server-api/#backfilling-and-retrieving-missing-events
 */
import type { Logger } from 'pino';
import type { Clock } from '../../homeserver/clock.ts';
import type { LiveRoom } from '../../homeserver/rooms/live-room.ts';
import type { Receipt, RemoteReceiver } from '../../homeserver/rooms/receive.ts';
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
import { type Log, LogWriteFailed, rowsOf } from '../../homeserver/streams/log.ts';
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
}

/** One server's events in one room. */
interface Lane {
  readonly key: string;
  readonly roomId: RoomId;
  readonly origin: ServerName;
}

const BATCH = 50;
/** Lanes worked on at a time, and of those, of one server. */
const MAX_LANES = 32;
const MAX_LANES_OF_SERVER = 4;
/** After so many tries an event is given up; should anything refer to it, it is fetched anew. */
const MAX_ATTEMPTS = 4;
const RETRY_DELAYS_MS = [2_000, 15_000, 120_000] as const;
/** The same where it was this server that failed. */
const MAX_PASSING_ATTEMPTS = 30;
const DATABASE_RETRY_MS = 2_000;
const MAX_TIMER_MS = 60_000;

export class InboundQueue {
  readonly #deps: InboundQueueDeps;
  /** Waiting events by room and by origin. */
  readonly #byRoom = new Map<RoomId, Map<ServerName, number>>();
  readonly #byOrigin = new Map<ServerName, number>();
  /** Lanes with something due, in turn. */
  readonly #ready = new Map<string, Lane>();
  readonly #running = new Map<string, Promise<void>>();
  readonly #runningOf = new Map<ServerName, number>();
  readonly #timers = new Map<string, NodeJS.Timeout>();
  #isStopped = false;

  private constructor(deps: InboundQueueDeps) {
    this.#deps = deps;
  }

  /** Takes up what an earlier process left. */
  static async open(deps: InboundQueueDeps): Promise<InboundQueue> {
    const queue = new InboundQueue(deps);
    for (const { roomId, origin, count } of await waitingCounts(deps.database)) {
      queue.#count(roomId, origin, count);
      const lane = laneOf(roomId, origin);
      queue.#ready.set(lane.key, lane);
    }
    queue.#startReady();
    return queue;
  }

  isWaiting(roomId: RoomId): boolean {
    return this.#byRoom.has(roomId);
  }

  /** Whether events of one server wait in a room: those it sends afterwards take their turn. */
  isWaitingFrom(roomId: RoomId, origin: ServerName): boolean {
    return this.#byRoom.get(roomId)?.has(origin) === true;
  }

  /** How many events of a server wait. */
  backlogOf(origin: ServerName): number {
    return this.#byOrigin.get(origin) ?? 0;
  }

  get waitingEvents(): number {
    let events = 0;
    for (const origins of this.#byRoom.values())
      for (const count of origins.values()) events += count;
    return events;
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
    this.#wake(laneOf(room.id, origin));
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

  #wake(lane: Lane): void {
    clearTimeout(this.#timers.get(lane.key));
    this.#timers.delete(lane.key);
    this.#ready.set(lane.key, lane);
    this.#startReady();
  }

  #startReady(): void {
    for (const [key, lane] of this.#ready) {
      if (this.#isStopped || this.#running.size >= MAX_LANES) return;
      // It looks for more before it ends, and is started again for what came after that.
      if (this.#running.has(key)) continue;
      if ((this.#runningOf.get(lane.origin) ?? 0) >= MAX_LANES_OF_SERVER) continue;
      this.#ready.delete(key);
      addTo(this.#runningOf, lane.origin, 1);
      const run = this.#work(lane).finally(() => {
        this.#running.delete(key);
        addTo(this.#runningOf, lane.origin, -1);
        this.#startReady();
      });
      this.#running.set(key, run);
    }
  }

  async #work(lane: Lane): Promise<void> {
    const { database, clock, access, logger } = this.#deps;
    const { roomId, origin } = lane;
    try {
      while (!this.#isStopped) {
        const room = await access.ours(roomId);
        if (room === undefined) {
          await deleteRoomWaiting(database, roomId);
          this.#clearCounts(roomId);
          return;
        }
        const due = await duePdus(database, roomId, origin, clock.nowMs(), BATCH);
        if (due.length === 0) break;
        await this.#takeIn(room, due);
        // What is done already is recognised.
        if (room.dead && !this.#isStopped) throw new LogWriteFailed('The room was lost under way');
      }
      const dueMs = await nextDueMs(database, roomId, origin);
      if (dueMs !== undefined) this.#wakeIn(lane, dueMs - clock.nowMs());
    } catch (error) {
      logger.error({ err: error, room: roomId, origin }, 'waiting events could not be worked on');
      this.#wakeIn(lane, DATABASE_RETRY_MS);
    }
  }

  #wakeIn(lane: Lane, delayMs: number): void {
    if (this.#isStopped) return;
    clearTimeout(this.#timers.get(lane.key));
    const timer = setTimeout(() => this.#wake(lane), Math.min(Math.max(delayMs, 1), MAX_TIMER_MS));
    timer.unref();
    this.#timers.set(lane.key, timer);
  }

  async #takeIn(room: LiveRoom, due: readonly DuePdu[]): Promise<void> {
    for (const [server, pdus] of byServer(room, due)) {
      const events = pdus.map(({ json, eventId }) => storedEvent(json, eventId));
      const sentBy = pdus[0]?.origin ?? server;
      const receipts = await this.#deps.receiver.receive(server, room, events, { sentBy });
      // The room was dropped from memory under way, or answers of others were cut off: everything is
      // tried again.
      if (room.dead || this.#isStopped) return;
      await this.#settle(room, pdus, receipts);
    }
  }

  async #settle(
    room: LiveRoom,
    pdus: readonly DuePdu[],
    receipts: ReadonlyMap<EventId, Receipt>,
  ): Promise<void> {
    const { database, clock, logger } = this.#deps;
    const done: DuePdu[] = [];
    for (const pdu of pdus) {
      const { eventId, origin, attempts } = pdu;
      const { error, isPassing = false } = receipts.get(eventId) ?? {};
      const maxAttempts = isPassing ? MAX_PASSING_ATTEMPTS : MAX_ATTEMPTS;
      const delayMs = RETRY_DELAYS_MS[attempts] ?? RETRY_DELAYS_MS[2];
      if (error === undefined || attempts + 1 >= maxAttempts) {
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

const laneOf = (roomId: RoomId, origin: ServerName): Lane => ({
  key: `${roomId} ${origin}`,
  roomId,
  origin,
});

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
