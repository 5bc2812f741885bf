/**
 * The log as a sender to other servers reads it: the events this server passes on, each with the
 * servers that were in its room. The newest part comes from memory.
 */

import { lenientCanonicalJson } from '../../spec/canonical-json.ts';
import type { JsonObject, Pdu } from '../../spec/event.ts';
import { readExactJson } from '../../spec/exact-numbers.ts';
import {
  type EventId,
  type ServerName,
  serverNameOf,
  type UserId,
} from '../../spec/identifiers.ts';
import type { MemoryBudget } from '../memory-budget.ts';
import type { Db } from '../storage/database.ts';
import type { RoomWrite } from '../storage/event-section.ts';
import {
  type OutboundRecord,
  relayedEvents,
  relayedEventsFor,
  type ServerInterval,
  serverIntervals,
} from '../storage/outbound.ts';
import type { Log } from '../streams/log.ts';
import { LogTail } from '../streams/log-tail.ts';
import type { LiveRoom } from './live-room.ts';

export interface RelayedEvent {
  readonly position: number;
  readonly kind: 'pdu';
  readonly id: EventId;
  readonly canonicalJson: string;
}

export interface AddressedEvent {
  readonly item: RelayedEvent;
  readonly destinations: Iterable<ServerName>;
}

/** `unsigned` is ours to add and never ours to send. Old room versions allow any number. */
const wireJson = (json: string): string => {
  const { unsigned: _unsigned, ...pdu } = readExactJson(json).value as unknown as Pdu;
  return lenientCanonicalJson(pdu as unknown as JsonObject);
};

export class OutboundLog {
  readonly #db: Db;
  readonly #log: Log;
  /** For the sender to pick up; it falls back on the database beyond. */
  readonly #recent: LogTail<'event', AddressedEvent>;

  constructor(db: Db, log: Log, budget: MemoryBudget) {
    this.#db = db;
    this.#log = log;
    this.#recent = new LogTail(log.position, {
      maxBytes: budget.bytesFor('outbound'),
      weigh: ({ item }) => 200 + item.canonicalJson.length,
    });
    budget.holds('outbound', () => this.#recent.bytes);
  }

  position(): number {
    return this.#log.position;
  }

  onAdvance(listener: () => void): void {
    this.#log.onAdvance(listener);
  }

  /** A committed write: called in log order, before the log advances over it. */
  follow(room: LiveRoom, write: RoomWrite): void {
    for (const row of write.events) {
      if (row.place !== 'live') continue;
      const before = room.committedServers;
      const changes = write.serverChanges.filter((change) => change.causedByNid === row.eventNid);
      if (changes.length > 0) room.committedServers = changedSet(before, changes);
      if (!row.relayed || row.softFailed || row.rejectedReason !== null) continue;
      const outsiders = write.outsiders.filter(({ eventNid }) => eventNid === row.eventNid);
      const destinations =
        changes.length === 0 && outsiders.length === 0
          ? before
          : new Set([
              ...before,
              ...room.committedServers,
              ...outsiders.map(({ server }) => server as ServerName),
            ]);
      const others = without(destinations, serverNameOf(row.sender as UserId));
      if (others.size === 0) continue;
      const item: RelayedEvent = {
        position: row.streamPos as number,
        kind: 'pdu',
        id: row.eventId as EventId,
        canonicalJson: wireJson(row.json),
      };
      this.#recent.add('event', item.position, { item, destinations: others });
    }
  }

  /** A write to a room that is not in memory: which servers are in it the database says. */
  followUnseen(write: RoomWrite): void {
    const last = write.events.findLast(({ relayed }) => relayed);
    if (last !== undefined) this.#recent.reset(last.streamPos as number);
  }

  /** Relayed events after a position with the servers in their rooms, in order. */
  async read(
    after: number,
    limit: number,
  ): Promise<{ items: readonly AddressedEvent[]; upTo: number }> {
    const upTo = this.#log.position;
    const recent = this.#recent.rowsAfter(after, limit);
    if (recent !== undefined) {
      const items = recent.map(({ row }) => row);
      return { items, upTo: items.length < limit ? upTo : (recent.at(-1)?.position ?? upTo) };
    }
    const records = await relayedEvents(this.#db, after, upTo, limit);
    const intervals = await serverIntervals(
      this.#db,
      [...new Set(records.map((record) => record.room_nid))],
      after,
    );
    return {
      items: address(records, intervals),
      upTo: records.length < limit ? upTo : (records.at(-1)?.stream_pos ?? upTo),
    };
  }

  /** The same for one server that has fallen behind. */
  async readFor(
    server: ServerName,
    after: number,
    limit: number,
  ): Promise<{ items: readonly RelayedEvent[]; upTo: number }> {
    const upTo = this.#log.position;
    const records = await relayedEventsFor(this.#db, server, after, upTo, limit);
    return {
      items: records.filter((record) => senderServerOf(record) !== server).map(itemOf),
      upTo: records.length < limit ? upTo : (records.at(-1)?.stream_pos ?? upTo),
    };
  }

  /** Memory may be wrong: everything up to this position is read from the database. */
  reset(position: number): void {
    this.#recent.reset(position);
  }
}

const changedSet = (
  before: ReadonlySet<ServerName>,
  changes: RoomWrite['serverChanges'],
): ReadonlySet<ServerName> => {
  const after = new Set(before);
  for (const { server, joined } of changes) {
    if (joined) after.add(server as ServerName);
    else after.delete(server as ServerName);
  }
  return after;
};

/** What a server made, such as a join we accepted, it has already. */
const without = (servers: ReadonlySet<ServerName>, maker: ServerName): ReadonlySet<ServerName> => {
  if (!servers.has(maker)) return servers;
  const others = new Set(servers);
  others.delete(maker);
  return others;
};

const senderServerOf = ({ json }: OutboundRecord): ServerName =>
  serverNameOf((JSON.parse(json) as Pdu).sender as UserId);

const itemOf = (record: OutboundRecord): RelayedEvent => ({
  position: record.stream_pos,
  kind: 'pdu',
  id: record.event_id,
  canonicalJson: wireJson(record.json),
});

const address = (
  records: readonly OutboundRecord[],
  intervals: readonly ServerInterval[],
): AddressedEvent[] =>
  records.map((record) => ({
    item: itemOf(record),
    destinations: without(
      new Set(
        intervals
          .filter(
            ({ room_nid: room, from_pos: from, to_pos: to }) =>
              room === record.room_nid &&
              from < record.stream_pos &&
              (to === null || record.stream_pos <= to),
          )
          .map(({ server }) => server),
      ),
      senderServerOf(record),
    ),
  }));
