/**
 * Which events a server may be given, by the history visibility at each of them. Those it may not
 * see are given redacted where the graph would have a hole without them.
 *
 * Specification: https://spec.matrix.org/v1.19/client-server-api/#room-history-visibility
 */
import type { EventStore } from '../../homeserver/rooms/event-store.ts';
import { type LiveRoom, memberOfKey } from '../../homeserver/rooms/live-room.ts';
import type { SnapshotStore } from '../../homeserver/rooms/snapshot-store.ts';
import type { StoredEvent } from '../../homeserver/rooms/stored-event.ts';
import type { Db } from '../../homeserver/storage/database.ts';
import { erasedPositions } from '../../homeserver/storage/erasure.ts';
import { exactJson } from '../../spec/canonical-json.ts';
import { stateKeyOf } from '../../spec/event.ts';
import {
  historyVisibilityOf,
  mayServerSee,
  type ServerStanding,
} from '../../spec/history-visibility.ts';
import { type ServerName, serverNameOf, type UserId } from '../../spec/identifiers.ts';
import { redactEvent } from '../../spec/redaction.ts';

const visibilityKey = stateKeyOf('m.room.history_visibility', '');

/** What has been found out in one request: neighbouring events share their states. */
type Standings = Map<number, Promise<ServerStanding>>;

export class ServerVisibility {
  readonly #events: EventStore;
  readonly #snapshots: SnapshotStore;
  readonly #database: Db;

  constructor(deps: {
    readonly database: Db;
    readonly events: EventStore;
    readonly snapshots: SnapshotStore;
  }) {
    this.#database = deps.database;
    this.#events = deps.events;
    this.#snapshots = deps.snapshots;
  }

  /** For each event, in order, its JSON: whole if the server may see it, redacted if not. */
  async pdusFor(
    server: ServerName,
    room: LiveRoom,
    events: readonly StoredEvent[],
  ): Promise<string[]> {
    const standings: Standings = new Map();
    const erased = await this.#erasedSenders(room, events);
    const pdus: string[] = [];
    for (const stored of events) {
      const maySee =
        (await this.#maySee(server, room, stored, standings)) &&
        (!erased.has(stored.event.sender) || (await this.#wasThere(server, room, stored)));
      const event = maySee ? stored.event : redactEvent(stored.event, room.rules);
      pdus.push(exactJson(event.pdu));
    }
    return pdus;
  }

  /**
   * Senders here who have been erased: servers that came later get redacted copies of what they said.
   * https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3accountdeactivate
   */
  async #erasedSenders(room: LiveRoom, events: readonly StoredEvent[]): Promise<Set<UserId>> {
    const senders = new Set<UserId>();
    for (const { event } of events) {
      const isLocal = serverNameOf(event.sender) === room.localServer;
      if (isLocal && event.stateKey === undefined) senders.add(event.sender);
    }
    if (senders.size === 0) return senders;
    return new Set((await erasedPositions(this.#database, [...senders])).keys());
  }

  /** Whether somebody of the server was in the room at an event; state is never kept from it. */
  async #wasThere(server: ServerName, room: LiveRoom, stored: StoredEvent): Promise<boolean> {
    if (stored.event.stateKey !== undefined) return true;
    const state = await this.#snapshots.load(room.nid, stored.snapshotBefore ?? 0);
    for (const [key, { membership }] of state.entries()) {
      const user = memberOfKey(key);
      if (membership === 'join' && user !== undefined && serverNameOf(user) === server) return true;
    }
    return false;
  }

  maySee(server: ServerName, room: LiveRoom, stored: StoredEvent): Promise<boolean> {
    return this.#maySee(server, room, stored, new Map());
  }

  async #maySee(
    server: ServerName,
    room: LiveRoom,
    { snapshotBefore, snapshotAfter, event }: StoredEvent,
    standings: Standings,
  ): Promise<boolean> {
    // A departure is not looked for in history: what a server missed then, it asks of others.
    const joinedLater = room.hasJoinedServer(server);
    if (snapshotBefore === undefined || snapshotAfter === undefined) {
      // Without a place in history there is only its use for authorising others.
      return joinedLater && event.stateKey !== undefined;
    }
    const standing = (nid: number): Promise<ServerStanding> => {
      let found = standings.get(nid);
      if (found === undefined) {
        found = this.#standing(server, room, nid);
        standings.set(nid, found);
      }
      return found;
    };
    const before = await standing(snapshotBefore);
    if (mayServerSee({ before, joinedLater })) return true;
    if (snapshotAfter === snapshotBefore) return false;
    return mayServerSee({ before, after: await standing(snapshotAfter), joinedLater });
  }

  async #standing(
    server: ServerName,
    room: LiveRoom,
    snapshotNid: number,
  ): Promise<ServerStanding> {
    const state = await this.#snapshots.load(room.nid, snapshotNid);
    const ref = state.get(visibilityKey);
    const setting = ref && (await this.#events.byNid(room.nid, ref.nid));
    const visibility = historyVisibilityOf(setting?.event.content);
    let hasJoinedUser = false;
    let hasInvitedUser = false;
    const isOpen =
      visibility === 'world_readable' || (visibility === 'shared' && room.hasJoinedServer(server));
    // Going through all members is kept for when memberships at the time decide.
    for (const [key, { membership }] of isOpen ? [] : state.entries()) {
      const user = memberOfKey(key);
      if (user === undefined || serverNameOf(user) !== server) continue;
      hasJoinedUser ||= membership === 'join';
      hasInvitedUser ||= membership === 'invite';
    }
    return { visibility, hasJoinedUser, hasInvitedUser };
  }
}
