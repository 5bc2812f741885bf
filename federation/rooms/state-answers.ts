/**
 * Room states and auth chains as other servers are told them: event JSON is passed on as stored,
 * without being parsed, because a room may have tens of thousands of members.
 *
 * Specification: https://spec.matrix.org/v1.19/server-server-api/#retrieving-events
 */
import type { AuthChains } from '../../homeserver/rooms/auth-chains.ts';
import type { EventStore } from '../../homeserver/rooms/event-store.ts';
import type { LiveRoom } from '../../homeserver/rooms/live-room.ts';
import type { SnapshotStore } from '../../homeserver/rooms/snapshot-store.ts';
import type { StoredEvent } from '../../homeserver/rooms/stored-event.ts';
import type { Db } from '../../homeserver/storage/database.ts';
import { eventIdsByNid, eventJsonByNid } from '../../homeserver/storage/event-json.ts';
import { exactJson } from '../../spec/canonical-json.ts';
import { matrixError } from '../../spec/errors.ts';
import { createEventIdOf, type EventId } from '../../spec/identifiers.ts';

/** Events read from the database at a time. */
const BATCH = 1000;

export interface StateNids {
  readonly state: readonly number[];
  readonly authChain: readonly number[];
}

export class StateAnswers {
  readonly #db: Db;
  readonly #events: EventStore;
  readonly #snapshots: SnapshotStore;
  readonly #chains: AuthChains;
  /** Answers being made: many servers ask the same when a room's state is missing to them. */
  readonly #making = new Map<string, Promise<Buffer>>();

  constructor(deps: {
    readonly db: Db;
    readonly events: EventStore;
    readonly snapshots: SnapshotStore;
    readonly chains: AuthChains;
  }) {
    this.#db = deps.db;
    this.#events = deps.events;
    this.#snapshots = deps.snapshots;
    this.#chains = deps.chains;
  }

  /**
   * The state before an event, and its auth chain (with that of the event, if asked).
   * @throws MatrixError M_NOT_FOUND when the state there is not known
   */
  async stateBefore(
    room: LiveRoom,
    stored: StoredEvent,
    { withEvent = false }: { readonly withEvent?: boolean } = {},
  ): Promise<StateNids> {
    if (stored.snapshotBefore === undefined) {
      throw matrixError('M_NOT_FOUND', 'The state at this event is not known here');
    }
    const state = await this.#snapshots.load(room.nid, stored.snapshotBefore);
    const nids = [...state.entries()].map(([, ref]) => ref.nid);
    const starts = withEvent ? [...nids, ...(await this.#authNids(room, stored))] : nids;
    const chain = new Set(await this.#chainOf(room, starts));
    if (withEvent) for (const nid of await this.#authNids(room, stored)) chain.add(nid);
    return { state: nids, authChain: [...chain] };
  }

  /**
   * The whole answer to `/state`, made once for all who ask for it meanwhile.
   * @throws MatrixError M_NOT_FOUND when the state there is not known
   */
  stateJson(room: LiveRoom, stored: StoredEvent): Promise<Buffer> {
    return this.#once(`state ${stored.nid}`, async () => {
      const { state, authChain } = await this.stateBefore(room, stored);
      const chain = await this.list(room, authChain);
      return Buffer.from(`{"auth_chain":${chain},"pdus":${await this.list(room, state)}}`);
    });
  }

  /** As `stateJson`, for `/state_ids`. */
  stateIdsJson(room: LiveRoom, stored: StoredEvent): Promise<Buffer> {
    return this.#once(`state_ids ${stored.nid}`, async () => {
      const { state, authChain } = await this.stateBefore(room, stored);
      const answer = {
        auth_chain_ids: await this.ids(room, authChain),
        pdu_ids: await this.ids(room, state),
      };
      return Buffer.from(JSON.stringify(answer));
    });
  }

  #once(key: string, make: () => Promise<Buffer>): Promise<Buffer> {
    let making = this.#making.get(key);
    if (making === undefined) {
      making = make().finally(() => this.#making.delete(key));
      this.#making.set(key, making);
    }
    return making;
  }

  /** The auth chain of an event, the event itself left out. */
  async authChain(room: LiveRoom, stored: StoredEvent): Promise<number[]> {
    const direct = await this.#authNids(room, stored);
    return [...new Set([...direct, ...(await this.#chainOf(room, direct))])];
  }

  async ids(room: LiveRoom, nids: readonly number[]): Promise<EventId[]> {
    const ids = await this.#read(nids, (batch) => eventIdsByNid(this.#db, room.nid, batch));
    return nids.flatMap((nid) => {
      const id = ids.get(nid) ?? this.#events.cached(nid)?.event.eventId;
      return id === undefined ? [] : [id as EventId];
    });
  }

  /** The text of a JSON list with these events. */
  async list(room: LiveRoom, nids: readonly number[]): Promise<string> {
    const texts = await this.#read(nids, (batch) => eventJsonByNid(this.#db, room.nid, batch));
    const pdus = nids.flatMap((nid) => {
      // An event on its way to the database is in memory.
      const text = texts.get(nid) ?? jsonOf(this.#events.cached(nid));
      return text === undefined ? [] : [text];
    });
    return `[${pdus.join(',')}]`;
  }

  async #read(
    nids: readonly number[],
    query: (batch: readonly number[]) => Promise<Map<number, string>>,
  ): Promise<Map<number, string>> {
    const found = new Map<number, string>();
    for (let at = 0; at < nids.length; at += BATCH) {
      for (const [nid, text] of await query(nids.slice(at, at + BATCH))) found.set(nid, text);
    }
    return found;
  }

  async #authNids({ rules }: LiveRoom, { event }: StoredEvent): Promise<number[]> {
    const ids = new Set<EventId>(event.authEventIds);
    // Implied where the room id is made of it, and wanted by those who do not have it.
    if (rules.roomIdIsCreateHash && event.type !== 'm.room.create') {
      ids.add(createEventIdOf(event.roomId));
    }
    return [...(await this.#events.manyById(ids)).values()].map(({ nid }) => nid);
  }

  /** Everything the auth chains of these events hold, by the chain cover where it reaches. */
  async #chainOf(room: LiveRoom, nids: readonly number[]): Promise<number[]> {
    const graph = await this.#chains.graphOf(room.nid);
    const reach = graph.authChainReach(nids);
    if (reach !== undefined) return graph.difference([reach, new Map()]);
    const seen = new Set<number>();
    let level = nids;
    while (level.length > 0) {
      const stored = await this.#events.manyByNid(room.nid, level);
      const ids = [...stored.values()].flatMap(({ event }) => event.authEventIds);
      const auth = await this.#events.manyById(new Set(ids));
      level = [...auth.values()].map(({ nid }) => nid).filter((nid) => !seen.has(nid));
      for (const nid of level) seen.add(nid);
    }
    return [...seen];
  }
}

const jsonOf = (stored: StoredEvent | undefined): string | undefined =>
  stored && exactJson(stored.event.pdu);
