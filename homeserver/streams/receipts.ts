/**
 * How far people have read. https://spec.matrix.org/v1.19/client-server-api/#receipts
 */
import { matrixError } from '../../spec/errors.ts';
import {
  type EventId,
  isEventId,
  type RoomId,
  type ServerName,
  serverNameOf,
  type UserId,
} from '../../spec/identifiers.ts';
import type { Clock } from '../clock.ts';
import { inBatches } from '../in-batches.ts';
import type { MemoryBudget } from '../memory-budget.ts';
import type { EventStore } from '../rooms/event-store.ts';
import type { LiveRoom } from '../rooms/live-room.ts';
import { mainTimeline, threadOf } from '../rooms/relations.ts';
import type { RoomRegistry } from '../rooms/room-registry.ts';
import type { StoredEvent } from '../rooms/stored-event.ts';
import type { Db } from '../storage/database.ts';
import { newestReceiptRows } from '../storage/newest-rows.ts';
import {
  newestReceipts,
  type ReceiptRow,
  receiptsBetween,
  receiptsOfUsers,
  receiptsSection,
} from '../storage/receipts.ts';
import { type RoomsOfUser, wishBatches } from '../storage/rooms-of-user.ts';
import type { AccountData } from './account-data.ts';
import { type Log, rowsOf } from './log.ts';
import { LogTail } from './log-tail.ts';
import type { Notifier } from './notifier.ts';

export type { ReceiptRow } from '../storage/receipts.ts';

export const receiptTypes = ['m.read', 'm.read.private', 'm.fully_read'] as const;
export type ReceiptType = (typeof receiptTypes)[number];

export interface ReceiptsDeps {
  readonly db: Db;
  readonly log: Log;
  readonly notifier: Notifier;
  readonly registry: RoomRegistry;
  readonly events: EventStore;
  readonly accountData: AccountData;
  readonly clock: Clock;
  readonly budget: MemoryBudget;
  readonly serverName: ServerName;
}

/** A public receipt of one of this server's users has moved; every process is told. */
export type ReceiptListener = (room: LiveRoom, receipt: ReceiptRow) => void;

/** What another server says its user has read. */
export interface RemoteReceipt {
  readonly userId: UserId;
  readonly eventId: EventId;
  readonly threadId: string | undefined;
  readonly ts: number;
}

/** Ids may be shared with what else is in memory, and need not be. */
const weightOfReceipt = ({ userId, eventId, threadId }: ReceiptRow): number =>
  200 + userId.length + eventId.length + threadId.length;

/** A first sync shows this many of a room's receipts: the most recent ones. */
const maxShownPerRoom = 1000;

export class Receipts {
  readonly #deps: ReceiptsDeps;
  readonly #recent: LogTail<number, ReceiptRow>;
  readonly #listeners: ReceiptListener[] = [];
  readonly #ofUser: (wish: RoomsOfUser) => Promise<ReceiptRow[] | undefined>;

  constructor(deps: ReceiptsDeps) {
    this.#deps = deps;
    this.#recent = new LogTail(deps.log.position, {
      maxBytes: deps.budget.bytesFor('receipts'),
      weigh: weightOfReceipt,
    });
    deps.budget.holds('receipts', () => this.#recent.bytes);
    this.#ofUser = inBatches(
      (wishes: readonly RoomsOfUser[]) => receiptsOfUsers(deps.db, wishes),
      wishBatches,
    );
    deps.log.onRows(receiptsSection, (rows) => this.#follow(rows));
  }

  onLocalReceipt(listener: ReceiptListener): void {
    this.#listeners.push(listener);
  }

  /**
   * Moves a user's marker. Going backwards is quietly ignored; `m.fully_read` goes where it is told.
   * @throws MatrixError M_FORBIDDEN, M_NOT_FOUND, M_INVALID_PARAM
   */
  async set(
    userId: UserId,
    roomId: RoomId,
    type: ReceiptType,
    eventId: EventId,
    threadId?: string,
  ): Promise<void> {
    const room = await this.#roomOf(userId, roomId);
    if (type === 'm.fully_read' && threadId !== undefined) {
      throw matrixError('M_INVALID_PARAM', 'm.fully_read takes no thread_id');
    }
    const stored = await this.#deps.events.byId(eventId);
    if (stored?.roomNid !== room.nid || stored.streamPos === undefined) {
      throw matrixError('M_NOT_FOUND', 'No such event in this room');
    }
    if (type === 'm.fully_read') {
      await this.#deps.accountData.put(userId, roomId, type, { event_id: eventId });
      return;
    }
    if (threadId !== undefined) await this.#checkThread(stored, threadId);
    const row = this.#row(room.nid, userId, type, eventId, threadId, stored);
    await this.#append([row]);
  }

  /**
   * Receipts of a room that another server has sent, of users it has been checked to speak for. One
   * in a thread counts where its event is here and in that thread: there are no more rows of a user
   * than there are threads.
   */
  async receive(room: LiveRoom, receipts: readonly RemoteReceipt[]): Promise<void> {
    const joined = receipts.filter(({ userId }) => room.membership(userId) === 'join');
    if (joined.length === 0) return;
    const known = await this.#deps.events.manyById(joined.map(({ eventId }) => eventId));
    const rows: ReceiptRow[] = [];
    for (const { userId, eventId, threadId, ts } of joined) {
      const stored = known.get(eventId);
      const here = stored?.roomNid === room.nid ? stored : undefined;
      const isInThread =
        threadId === undefined ||
        threadId === mainTimeline ||
        (here !== undefined && (await this.#isIn(here, threadId)));
      if (!isInThread) continue;
      const row = this.#row(room.nid, userId, 'm.read', eventId, threadId, here);
      rows.push({ ...row, receivedAtMs: ts });
    }
    if (rows.length > 0) await this.#append(rows);
  }

  /** Receipts of a room with `from < position <= to`, each once, oldest first. */
  changesSince(roomNid: number, from: number, to: number): ReceiptRow[] | Promise<ReceiptRow[]> {
    const recent = this.#recent.between(roomNid, from, to);
    return recent === undefined
      ? receiptsBetween(this.#deps.db, [roomNid], from, to)
      : newestOfEach(recent);
  }

  /** Like `changesSince` for many rooms at once; rooms without changes are left out. */
  changesIn(
    roomNids: readonly number[],
    from: number,
    to: number,
  ): Map<number, ReceiptRow[]> | Promise<Map<number, ReceiptRow[]>> {
    if (!this.#recent.isCompleteAfter(from)) {
      return receiptsBetween(this.#deps.db, roomNids, from, to).then(byRoom);
    }
    const changes = new Map<number, ReceiptRow[]>();
    for (const roomNid of roomNids) {
      const rows = newestOfEach(this.#recent.between(roomNid, from, to) ?? []);
      if (rows.length > 0) changes.set(roomNid, rows);
    }
    return changes;
  }

  /** The receipts of these rooms, for a first sync. */
  async of(roomNids: readonly number[]): Promise<Map<number, ReceiptRow[]>> {
    return byRoom(await newestReceipts(this.#deps.db, roomNids, maxShownPerRoom));
  }

  /** One user's own receipts in these rooms: what counting unread events starts from. */
  async ofUser(userId: UserId, roomNids: readonly number[]): Promise<Map<number, ReceiptRow[]>> {
    return byRoom((await this.#ofUser({ userId, roomNids })) ?? []);
  }

  /** Position of the room's newest receipt since this process started, if any. */
  lastChange(roomNid: number): number | undefined {
    return this.#recent.lastChange(roomNid);
  }

  /** The rooms with receipts after a position; undefined when that is long ago or too much. */
  roomsChangedAfter(after: number, maxChanges: number): ReadonlySet<number> | undefined {
    return this.#recent.keysAfter(after, maxChanges);
  }

  /** Whether `lastChange` and memory speak for everything after this position. */
  knows(position: number): boolean {
    return this.#recent.isCompleteAfter(position);
  }

  /** Takes the newest ones after a position into memory. */
  async fill(after: number): Promise<void> {
    const upTo = this.#recent.completeAfter;
    const newest = await newestReceiptRows(this.#deps.db, after);
    this.#recent.fill(upTo, newest.completeAfter, newest.rows);
  }

  /** Memory may be wrong: nothing up to this position is answered from it. */
  reset(position: number): void {
    this.#recent.reset(position);
  }

  async #roomOf(userId: UserId, roomId: RoomId): Promise<LiveRoom> {
    const room = await this.#deps.registry.find(roomId);
    if (room?.membership(userId) !== 'join') {
      throw matrixError('M_FORBIDDEN', 'You are not in this room');
    }
    return room;
  }

  #row(
    roomNid: number,
    userId: UserId,
    type: string,
    eventId: EventId,
    threadId: string | undefined,
    stored: StoredEvent | undefined,
  ): ReceiptRow {
    return {
      roomNid,
      userId,
      type,
      threadId: threadId ?? '',
      eventId,
      eventPos: stored?.streamPos ?? null,
      receivedAtMs: this.#deps.clock.nowMs(),
      streamPos: 0,
    };
  }

  #append(rows: readonly ReceiptRow[]): Promise<void> {
    return this.#deps.log.append({ parts: [rowsOf(receiptsSection, rows)] });
  }

  #follow(rows: readonly ReceiptRow[]): void {
    const { registry, notifier } = this.#deps;
    const shownIn = new Set<number>();
    for (const row of rows) {
      // Older than what is known.
      if (row.streamPos === 0) continue;
      this.#recent.add(row.roomNid, row.streamPos, row);
      notifier.mark([row.userId]);
      if (row.type !== 'm.read.private') shownIn.add(row.roomNid);
      if (row.type === 'm.read') this.#tell(row);
    }
    for (const roomNid of shownIn) {
      const room = registry.cached(roomNid);
      if (room !== undefined) notifier.markEphemeral(roomNid, room.joinedLocalUsers);
    }
  }

  /** Where the room is not in memory, which another process has told of it, it is read first. */
  #tell(row: ReceiptRow): void {
    const tell = (room: LiveRoom | undefined): void => {
      if (room === undefined) return;
      for (const listener of this.#listeners) listener(room, row);
    };
    if (serverNameOf(row.userId) !== this.#deps.serverName) return;
    const room = this.#deps.registry.findByNid(row.roomNid);
    if (room instanceof Promise) room.then(tell, () => undefined);
    else tell(room);
  }

  /** https://spec.matrix.org/v1.19/client-server-api/#threaded-read-receipts */
  async #checkThread(stored: StoredEvent, threadId: string): Promise<void> {
    if (threadId !== mainTimeline && !isEventId(threadId)) {
      throw matrixError('M_INVALID_PARAM', "thread_id is neither 'main' nor an event id");
    }
    if (!(await this.#isIn(stored, threadId))) {
      throw matrixError('M_INVALID_PARAM', 'The event is not in this thread');
    }
  }

  async #isIn(stored: StoredEvent, threadId: string): Promise<boolean> {
    // A thread's root belongs to the main timeline, but some clients mark it in its thread.
    if (stored.event.eventId === threadId) return true;
    return (await threadOf(this.#deps.events, stored)) === threadId;
  }
}

const newestOfEach = (rows: ReceiptRow[]): ReceiptRow[] => {
  if (rows.length < 2) return rows;
  const newest = new Map<string, ReceiptRow>();
  for (const row of rows) {
    const key = `${row.userId} ${row.type} ${row.threadId}`;
    newest.delete(key);
    newest.set(key, row);
  }
  return [...newest.values()];
};

const byRoom = (rows: readonly ReceiptRow[]): Map<number, ReceiptRow[]> => {
  const rooms = new Map<number, ReceiptRow[]>();
  for (const row of rows) {
    const known = rooms.get(row.roomNid);
    if (known === undefined) rooms.set(row.roomNid, [row]);
    else known.push(row);
  }
  return rooms;
};
