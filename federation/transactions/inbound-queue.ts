/**
 * Events that refer to what this server does not have yet. They wait in the database, those of each
 * server in each room in a lane of their own, while a worker fetches what is missing: a room that
 * takes long holds up no other, nor does a server that does not answer, and a restart loses nothing.
 *
 * Specification:
 * https://spec.matrix.org/v1.19/server-server-api/#backfilling-and-retrieving-missing-events
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { Clock } from '../../homeserver/clock.ts';
import type { Owners } from '../../homeserver/owners.ts';
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
import { addTo, WaitingCounts } from './waiting-counts.ts';

export interface InboundQueueDeps {
  readonly database: Database;
  readonly log: Log;
  readonly access: RoomAccess;
  readonly receiver: RemoteReceiver;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Of the rooms: the events that wait in a room are its owner's to work on. */
  readonly owners: Owners;
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
  /** In the rooms that this process owns. */
  readonly #counts = new WaitingCounts();
  /** Lanes with something due, in turn. */
  readonly #ready = new Map<string, Lane>();
  readonly #running = new Map<string, Promise<void>>();
  readonly #runningOf = new Map<ServerName, number>();
  readonly #timers = new Map<string, NodeJS.Timeout>();
  /** What changes how many wait, in the database and then here. */
  readonly #counting = new Set<Promise<unknown>>();
  /** While they are counted anew. */
  #recounting: Promise<void> | undefined;
  #isRecountDue = false;
  #isStopped = false;

  private constructor(deps: InboundQueueDeps) {
    this.#deps = deps;
  }

  /** Takes up what an earlier process left, or another one that owned the room. */
  static async open(deps: InboundQueueDeps): Promise<InboundQueue> {
    const queue = new InboundQueue(deps);
    deps.owners.answer('inboundQueue.recount', async () => queue.#recount());
    await queue.#takeUp();
    deps.owners.onChange(() => queue.#recount());
    return queue;
  }

  isWaiting(roomId: RoomId): boolean {
    return this.#counts.has(roomId);
  }

  /** Whether events of one server wait in a room: those it sends afterwards take their turn. */
  isWaitingFrom(roomId: RoomId, origin: ServerName): boolean {
    return this.#counts.has(roomId, origin);
  }

  /** How many events of a server wait. */
  backlogOf(origin: ServerName): number {
    return this.#counts.ofOrigin(origin);
  }

  get waitingEvents(): number {
    return this.#counts.events;
  }

  get waitingRooms(): number {
    return this.#counts.rooms;
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
    while (this.#recounting !== undefined) await this.#recounting;
    await this.#counted(async () => {
      await this.#deps.log.append({ parts: [rowsOf(inboundPdus, rows)] });
      this.#counts.add(room.id, origin, rows.filter(({ isNew }) => isNew).length);
    });
    if (this.#isOurs(room.id)) this.#wake(laneOf(room.id, origin));
    else await this.#deps.owners.ask(room.id, 'inboundQueue.recount', []);
  }

  /** Waits for what is under way; the rest is taken up by the next start. */
  async close(): Promise<void> {
    this.#isStopped = true;
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
    await Promise.all(this.#running.values());
  }

  #isOurs(roomId: RoomId): boolean {
    return this.#deps.owners.elsewhere(roomId) === undefined;
  }

  /** The rooms are others' now. What is under way in one that was this process's comes to nothing. */
  #recount(): void {
    this.#isRecountDue = true;
    this.#recounting ??= this.#recountAll().finally(() => {
      this.#recounting = undefined;
    });
  }

  async #recountAll(): Promise<void> {
    while (this.#isRecountDue && !this.#isStopped) {
      this.#isRecountDue = false;
      try {
        await Promise.allSettled(this.#counting);
        await this.#takeUp();
      } catch (error) {
        this.#deps.logger.error({ err: error }, 'waiting events could not be counted');
        this.#isRecountDue = true;
        await sleep(DATABASE_RETRY_MS, undefined, { ref: false });
      }
    }
  }

  async #takeUp(): Promise<void> {
    const counts = await waitingCounts(this.#deps.database);
    this.#counts.clear();
    for (const { roomId, origin, count } of counts) {
      if (!this.#isOurs(roomId)) continue;
      this.#counts.add(roomId, origin, count);
      const lane = laneOf(roomId, origin);
      this.#ready.set(lane.key, lane);
    }
    this.#startReady();
  }

  /** For work that ends in a change of the counts. */
  async #counted(work: () => Promise<void>): Promise<void> {
    const counting = work();
    this.#counting.add(counting);
    try {
      await counting;
    } finally {
      this.#counting.delete(counting);
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
        if (!this.#isOurs(roomId)) return;
        const room = await access.ours(roomId);
        if (room === undefined) {
          await deleteRoomWaiting(database, roomId);
          this.#counts.clearRoom(roomId);
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
    const eventIds = done.map(({ eventId }) => eventId);
    await this.#counted(async () => {
      await deleteWaiting(database, room.id, eventIds);
      for (const { origin } of done) this.#counts.add(room.id, origin, -1);
    });
  }
}

const laneOf = (roomId: RoomId, origin: ServerName): Lane => ({
  key: `${roomId} ${origin}`,
  roomId,
  origin,
});

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
