/**
 * Counting unread events from the database, of many rooms at once. Most of them are counted by the
 * marks stored with them; read and judged are those that mean something else to each person, and
 * those of people whose own rules ask for it.
 */
import type { UserId } from '../../spec/identifiers.ts';
import type { EventStore } from '../rooms/event-store.ts';
import { storedEventFrom } from '../rooms/event-store.ts';
import { mainTimeline, relationOf, threadOf } from '../rooms/relations.ts';
import type { StoredEvent } from '../rooms/stored-event.ts';
import type { UserRoom } from '../rooms/user-rooms.ts';
import type { Db } from '../storage/database.ts';
import {
  eventsToJudge,
  markedCounts,
  type PlainCount,
  plainCounts,
  type UnreadRange,
} from '../storage/unread-events.ts';
import { turns } from '../turns.ts';
import type { PushContext, PushEvaluator } from './push-evaluator.ts';
import { senderTag } from './push-mark.ts';
import type { RoomCounter } from './room-counter.ts';
import type { UserRules } from './user-rules.ts';

export interface UnreadScanDeps {
  readonly database: Db;
  readonly events: EventStore;
  readonly evaluator: PushEvaluator;
}

/** One person, and what their events are judged by. */
export interface Reader {
  readonly userId: UserId;
  readonly rules: UserRules;
  readonly ignored: ReadonlySet<UserId>;
}

/** A stretch of a room to be counted. */
export interface ScanTask {
  readonly room: Pick<UserRoom, 'roomNid' | 'roomId'>;
  readonly counter: RoomCounter;
  readonly after: number;
  readonly upTo: number;
  /** Only these threads, which are counted anew. */
  readonly only?: ReadonlyMap<string, number>;
}

/** Unread events of one room that are looked at: beyond, the oldest are not counted. */
const maxEventsCounted = 1000;
/** Rooms read at once, and events of each of them; a room with more is then read alone. */
const byMarks = { rooms: 500, events: 20 };
const byRules = { rooms: 40, events: 50 };

export class UnreadScan {
  readonly #deps: UnreadScanDeps;

  constructor(deps: UnreadScanDeps) {
    this.#deps = deps;
  }

  /** Each room comes once. */
  async count(reader: Reader, tasks: readonly ScanTask[]): Promise<void> {
    const ruled: ScanTask[] = [];
    const marked: ScanTask[] = [];
    for (const task of tasks) {
      (reader.rules.scopeIn(task.room.roomId) === 'all' ? ruled : marked).push(task);
    }
    const tags = [reader.userId, ...reader.ignored].map(senderTag);
    for (const some of chunks(marked, byMarks.rooms)) {
      const { open, known } = await this.#countAtOnce(reader, some, tags);
      if (open.length === 0) continue;
      await this.#judge(reader, open, tags, false, byMarks.events);
      await this.#countPlain(reader, open, tags, known);
    }
    for (const some of chunks(ruled, byRules.rooms)) {
      await this.#judge(reader, some, tags, true, byRules.events);
    }
  }

  async #judge(
    reader: Reader,
    tasks: readonly ScanTask[],
    tags: readonly number[],
    whole: boolean,
    limit: number,
  ): Promise<void> {
    const found = await this.#read(tasks, tags, whole, limit);
    const full: ScanTask[] = [];
    const complete = new Map<ScanTask, readonly StoredEvent[]>();
    for (const task of tasks) {
      const events = found.get(task.room.roomNid);
      if (events === undefined) continue;
      if (events.length < limit) complete.set(task, events);
      else full.push(task);
    }
    await this.#judgeEvents(reader, complete);
    for (const task of full) {
      const events = await this.#read([task], tags, whole, maxEventsCounted);
      await this.#judgeEvents(reader, new Map([[task, events.get(task.room.roomNid) ?? []]]));
    }
  }

  /** By room nid. Read past the cache, which a long absence would empty of everything else. */
  async #read(
    tasks: readonly ScanTask[],
    tags: readonly number[],
    whole: boolean,
    limit: number,
  ): Promise<Map<number, StoredEvent[]>> {
    const ranges = tasks.map((task) => ({ ...rangeOf(task, task.after), whole }));
    const records = await eventsToJudge(this.#deps.database, ranges, tags, limit);
    const byRoom = new Map<number, StoredEvent[]>();
    for (const record of records) {
      const stored = this.#deps.events.cached(record.event_nid) ?? storedEventFrom(record);
      const others = byRoom.get(record.room_nid);
      if (others === undefined) byRoom.set(record.room_nid, [stored]);
      else others.push(stored);
    }
    return byRoom;
  }

  async #judgeEvents(
    reader: Reader,
    found: ReadonlyMap<ScanTask, readonly StoredEvent[]>,
  ): Promise<void> {
    if (found.size === 0) return;
    const { evaluator, events } = this.#deps;
    const asked = [...found].filter(([, list]) =>
      list.some(({ event }) => event.sender !== reader.userId),
    );
    const contexts = await evaluator.contextsOf(
      asked.map(([{ room }]) => room.roomNid),
      reader.rules,
    );
    await this.#readParents([...found.values()].flat());
    const giveWay = turns();
    for (const [task, list] of found) {
      const context = contexts.get(task.room.roomNid);
      for (const stored of list) {
        const thread = countEvent(events, evaluator, task, reader, context, stored);
        if (thread !== undefined) {
          countEvent(events, evaluator, task, reader, context, stored, await thread);
        }
        const pause = giveWay();
        if (pause !== undefined) await pause;
      }
    }
  }

  /** What events relate to says which thread they are in: all at once, not one by one. */
  async #readParents(list: readonly StoredEvent[]): Promise<void> {
    const parents = list.flatMap(({ event }) => {
      const relation = relationOf(event.content);
      return relation === undefined || relation.type === 'm.thread' ? [] : [relation.eventId];
    });
    if (parents.length > 0) await this.#deps.events.manyById(parents);
  }

  /** Counts rooms that marks alone decide, as most do; the others are open, some with known counts. */
  async #countAtOnce(
    reader: Reader,
    tasks: readonly ScanTask[],
    tags: readonly number[],
  ): Promise<{ open: ScanTask[]; known: Map<ScanTask, PlainCount | undefined> }> {
    const open: ScanTask[] = [];
    const known = new Map<ScanTask, PlainCount | undefined>();
    const asked = new Map<number, ScanTask>();
    for (const task of tasks) {
      const isPlain = reader.rules.scopeIn(task.room.roomId) === 'plain';
      if (isPlain && task.only === undefined && readPosOf(task) <= task.after) {
        asked.set(task.room.roomNid, task);
      } else open.push(task);
    }
    if (asked.size === 0) return { open, known };
    const ranges = [...asked.values()].map((task) => rangeOf(task, task.after));
    const found = await markedCounts(this.#deps.database, ranges, tags, maxEventsCounted);
    for (const [roomNid, { plain, toJudge }] of found) {
      const task = asked.get(roomNid) as ScanTask;
      const isAll = (plain?.count ?? 0) + toJudge < maxEventsCounted;
      if (isAll && toJudge === 0) addPlain(task, plain);
      else open.push(task);
      // Further back there may be more to judge, but no more that is counted.
      if (isAll || toJudge === 0) known.set(task, plain);
    }
    return { open, known };
  }

  /** What the reader has said in the midst of a stretch has moved `readPos` already. */
  async #countPlain(
    reader: Reader,
    tasks: readonly ScanTask[],
    tags: readonly number[],
    known: ReadonlyMap<ScanTask, PlainCount | undefined>,
  ): Promise<void> {
    const asked = new Map<number, { task: ScanTask; range: UnreadRange }>();
    for (const task of tasks) {
      const { room, only } = task;
      if (only !== undefined && !only.has(mainTimeline)) continue;
      if (reader.rules.scopeIn(room.roomId) !== 'plain') continue;
      const read = readPosOf(task);
      if (read <= task.after && known.has(task)) {
        addPlain(task, known.get(task));
        continue;
      }
      const range = rangeOf(task, Math.max(task.after, read));
      if (range.after < range.upTo) asked.set(room.roomNid, { task, range });
    }
    if (asked.size === 0) return;
    const ranges = [...asked.values()].map(({ range }) => range);
    const counts = await plainCounts(this.#deps.database, ranges, tags, maxEventsCounted);
    for (const [roomNid, plain] of counts) {
      const task = asked.get(roomNid)?.task;
      if (task !== undefined) addPlain(task, plain);
    }
  }
}

/** Up to where the main timeline has been read. */
const readPosOf = ({ counter }: ScanTask): number =>
  Math.max(counter.readPos, counter.threads.get(mainTimeline)?.readPos ?? 0);

const addPlain = ({ counter }: ScanTask, plain: PlainCount | undefined): void => {
  if (plain === undefined) return;
  counter.addMany(mainTimeline, plain.count, plain.firstPos, plain.lastPos);
};

/**
 * Counts one event. A promise: nothing has been done yet, because its thread is not known at once;
 * call again with the thread it resolves to. `context` may be missing for the reader's own events.
 */
export const countEvent = (
  events: EventStore,
  evaluator: PushEvaluator,
  { counter, only }: Pick<ScanTask, 'counter' | 'only'>,
  reader: Reader,
  context: PushContext | undefined,
  stored: StoredEvent,
  knownThread?: string,
): Promise<string> | undefined => {
  const { sender } = stored.event;
  const position = stored.streamPos as number;
  if (sender === reader.userId) {
    const thread = knownThread ?? threadOf(events, stored);
    if (typeof thread !== 'string') return thread;
    if (only === undefined) counter.readThread(thread, position, position);
    return undefined;
  }
  if (context === undefined) return undefined;
  if (position <= counter.readPos || reader.ignored.has(sender)) return undefined;
  const verdict = evaluator.verdict(context, stored);
  if (!verdict.notify) return undefined;
  const thread = knownThread ?? threadOf(events, stored);
  if (typeof thread !== 'string') return thread;
  if (only !== undefined && !only.has(thread)) return undefined;
  if (!counter.isRead(thread, position)) counter.add(thread, position, verdict.highlight);
  return undefined;
};

const rangeOf = ({ room, upTo }: ScanTask, after: number): UnreadRange => ({
  roomNid: room.roomNid,
  after,
  upTo,
});

const chunks = <T>(list: readonly T[], size: number): T[][] => {
  const parts: T[][] = [];
  for (let start = 0; start < list.length; start += size) {
    parts.push(list.slice(start, start + size));
  }
  return parts;
};
