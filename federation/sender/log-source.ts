/**
 * The log as the sender reads it: the events that other servers are to have from this one.
 *
 * Specification: https://spec.matrix.org/v1.19/server-server-api/#transactions
 */
import { LRUCache } from 'lru-cache';
import type { EventStore } from '../../homeserver/rooms/event-store.ts';
import { memberOfKey } from '../../homeserver/rooms/live-room.ts';
import type { RoomRegistry } from '../../homeserver/rooms/room-registry.ts';
import type { SnapshotStore } from '../../homeserver/rooms/snapshot-store.ts';
import type { StoredEvent } from '../../homeserver/rooms/stored-event.ts';
import type { Db } from '../../homeserver/storage/database.ts';
import { liveEventsBetween } from '../../homeserver/storage/live-events.ts';
import type { Log } from '../../homeserver/streams/log.ts';
import { lenientCanonicalJson } from '../../spec/canonical-json.ts';
import type { JsonObject } from '../../spec/event.ts';
import { isUserId, type ServerName, serverNameOf } from '../../spec/identifiers.ts';
import type { AddressedItem, OutboundItem, OutboundSource } from './outbound-source.ts';

export interface LogSourceDeps {
  readonly db: Db;
  readonly log: Log;
  readonly registry: RoomRegistry;
  readonly events: EventStore;
  readonly snapshots: SnapshotStore;
  readonly serverName: ServerName;
}

const MAX_CACHED_STATES = 2000;
const NOBODY: ReadonlySet<ServerName> = new Set();

export class LogSource implements OutboundSource {
  readonly #deps: LogSourceDeps;
  /** Servers with someone joined, by the id of a room state. */
  readonly #serversAt = new LRUCache<number, ReadonlySet<ServerName>>({ max: MAX_CACHED_STATES });

  constructor(deps: LogSourceDeps) {
    this.#deps = deps;
  }

  position(): number {
    return this.#deps.log.position;
  }

  onAdvance(listener: () => void): void {
    this.#deps.log.onAdvance(() => listener());
  }

  async read(
    after: number,
    limit: number,
  ): Promise<{ items: readonly AddressedItem[]; upTo: number }> {
    const { events, upTo } = await this.#page(after, limit);
    const items: AddressedItem[] = [];
    for (const stored of events) {
      const destinations = await this.#destinations(stored);
      if (destinations.size > 0) items.push({ item: itemOf(stored), destinations });
    }
    return { items, upTo };
  }

  async readFor(
    destination: ServerName,
    after: number,
    limit: number,
  ): Promise<{ items: readonly OutboundItem[]; upTo: number }> {
    const page = await this.#page(after, limit);
    const items: OutboundItem[] = [];
    for (const stored of page.events) {
      if ((await this.#destinations(stored)).has(destination)) items.push(itemOf(stored));
    }
    return { items, upTo: page.upTo };
  }

  /** Our events among the next `limit` of the log. */
  async #page(after: number, limit: number): Promise<{ events: StoredEvent[]; upTo: number }> {
    const { db, log, events } = this.#deps;
    const position = log.position;
    const records = await liveEventsBetween(db, after, position, limit);
    const nidsByRoom = new Map<number, number[]>();
    for (const { room_nid: room, event_nid: nid } of records) {
      const nids = nidsByRoom.get(room);
      if (nids === undefined) nidsByRoom.set(room, [nid]);
      else nids.push(nid);
    }
    const found = new Map<number, StoredEvent>();
    for (const [room, nids] of nidsByRoom) {
      for (const [nid, stored] of await events.manyByNid(room, nids)) found.set(nid, stored);
    }
    const ours = records.flatMap(({ event_nid: nid, stream_pos: streamPos }) => {
      const stored = found.get(nid);
      // A cached event may not have been told its position yet.
      return stored !== undefined && this.#isForUsToSend(stored) ? [{ ...stored, streamPos }] : [];
    });
    const isLastPage = records.length < limit;
    return { events: ours, upTo: isLastPage ? position : (records.at(-1)?.stream_pos ?? position) };
  }

  /**
   * Events of our users, and those of others that reached the room through us: joins, knocks and
   * departures that we have put our signature to.
   */
  #isForUsToSend({ event }: StoredEvent): boolean {
    const { serverName } = this.#deps;
    if (serverNameOf(event.sender) === serverName) return true;
    return (
      event.type === 'm.room.member' &&
      // Our signature on an invite is that of the invited side.
      event.content['membership'] !== 'invite' &&
      Object.hasOwn(event.pdu.signatures, serverName)
    );
  }

  async #destinations(stored: StoredEvent): Promise<ReadonlySet<ServerName>> {
    const { event, roomNid, snapshotBefore, snapshotAfter } = stored;
    const before = await this.#serversIn(roomNid, snapshotBefore);
    const isMember = event.type === 'm.room.member';
    if (!isMember && before.size <= 1 && before.has(this.#deps.serverName)) return NOBODY;
    const servers = new Set(before);
    if (isMember) {
      // Those that come in with the event, and those that hear of the room for the last time.
      for (const server of await this.#serversIn(roomNid, snapshotAfter)) servers.add(server);
      const { membership } = event.content;
      const isDeparture = membership === 'leave' || membership === 'ban';
      const target = event.stateKey;
      if (isDeparture && target !== undefined && isUserId(target))
        servers.add(serverNameOf(target));
    }
    servers.delete(this.#deps.serverName);
    // It is where the event came from.
    servers.delete(serverNameOf(event.sender));
    return servers;
  }

  async #serversIn(
    roomNid: number,
    snapshotNid: number | undefined,
  ): Promise<ReadonlySet<ServerName>> {
    if (snapshotNid === undefined) return NOBODY;
    const cached = this.#serversAt.get(snapshotNid);
    if (cached !== undefined) return cached;
    const { registry, snapshots } = this.#deps;
    const room = registry.cached(roomNid);
    let servers: Set<ServerName>;
    if (room?.state.nid === snapshotNid) {
      servers = new Set(room.joinedServers);
    } else {
      servers = new Set();
      const state = await snapshots.load(roomNid, snapshotNid);
      for (const [key, { membership }] of state.entries()) {
        const user = membership === 'join' ? memberOfKey(key) : undefined;
        if (user !== undefined) servers.add(serverNameOf(user));
      }
    }
    this.#serversAt.set(snapshotNid, servers);
    return servers;
  }
}

const itemOf = (stored: StoredEvent): OutboundItem => ({
  position: stored.streamPos as number,
  kind: 'pdu',
  id: stored.event.eventId,
  canonicalJson: lenientCanonicalJson(stored.event.pdu as unknown as JsonObject),
});
