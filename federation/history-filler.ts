/**
 * History that this server does not have, fetched when someone pages back to where it is missing.
 *
 * Specification:
 * https://spec.matrix.org/v1.19/server-server-api/#backfilling-and-retrieving-missing-events
 */
import { LRUCache } from 'lru-cache';
import type { Logger } from 'pino';
import type { Clock } from '../homeserver/clock.ts';
import { type Owners, whereOwned } from '../homeserver/owners.ts';
import type { EventStore } from '../homeserver/rooms/event-store.ts';
import type { HistoryFill } from '../homeserver/rooms/fill.ts';
import type { EventNearTime, HistoryFiller, HistoryGap } from '../homeserver/rooms/history.ts';
import type { LiveRoom } from '../homeserver/rooms/live-room.ts';
import type { RemoteEvents } from '../homeserver/rooms/remote-events.ts';
import type { RoomRegistry } from '../homeserver/rooms/room-registry.ts';
import { type EventId, type RoomId, type ServerName, serverNameOf } from '../spec/identifiers.ts';
import { FederationError } from './federation-error.ts';
import { HistoryByTime } from './history-by-time.ts';
import type { FederationClient } from './http-client.ts';

export interface FederatedHistoryDeps {
  readonly client: FederationClient;
  readonly remote: RemoteEvents;
  readonly fill: HistoryFill;
  readonly events: EventStore;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly registry: RoomRegistry;
  readonly owners: Owners;
}

const EVENTS_ASKED = 100;
/** Missing events named in one request. */
const MAX_STARTS = 20;
const MAX_SERVERS = 5;
/** Someone is waiting for the answer. */
const TRY_FOR_MS = 20_000;
/** A gap that nobody could fill is left alone for this long. */
const GIVE_UP_MS = 10 * 60_000;
/** The same where a server did not answer, or this one could not write; how soon it is asked again is decided for all requests. */
const TRY_AGAIN_MS = 10_000;
const MAX_REMEMBERED = 10_000;

export class FederatedHistory implements HistoryFiller {
  readonly #deps: FederatedHistoryDeps;
  readonly #byTime: HistoryByTime;
  readonly #filling = new Map<EventId, Promise<boolean>>();
  /** Until when, by the event after the gap. */
  readonly #hopeless = new LRUCache<EventId, number>({ max: MAX_REMEMBERED });

  constructor(deps: FederatedHistoryDeps) {
    this.#deps = deps;
    this.#byTime = new HistoryByTime(deps);
    deps.owners.answer('history.fill', async (roomId: RoomId, gap: HistoryGap) => {
      const room = await deps.registry.find(roomId);
      return room !== undefined && this.#fillHere(room, gap);
    });
    deps.owners.answer('history.fetchNear', async (roomId: RoomId, wanted: EventNearTime) => {
      const room = await deps.registry.find(roomId);
      return room !== undefined && this.#fetchNearHere(room, wanted);
    });
  }

  fetchNear(room: LiveRoom, wanted: EventNearTime): Promise<boolean> {
    return this.#atOwner('fetchNear', room, wanted, () => this.#fetchNearHere(room, wanted));
  }

  /** Several who page back together wait for the same answer. */
  fill(room: LiveRoom, gap: HistoryGap): Promise<boolean> {
    return this.#atOwner('fill', room, gap, () => this.#fillHere(room, gap));
  }

  #atOwner(
    method: 'fill' | 'fetchNear',
    { id }: LiveRoom,
    wanted: HistoryGap | EventNearTime,
    here: () => Promise<boolean>,
  ): Promise<boolean> {
    const { owners } = this.#deps;
    const there = async () => (await owners.ask(id, `history.${method}`, [id, wanted])) === true;
    return whereOwned(owners, id, here, there);
  }

  async #fetchNearHere(room: LiveRoom, wanted: EventNearTime): Promise<boolean> {
    return this.#byTime.fetch(room, wanted, await this.#candidates(room, wanted.gap));
  }

  #fillHere(room: LiveRoom, gap: HistoryGap): Promise<boolean> {
    const { clock } = this.#deps;
    if ((this.#hopeless.get(gap.eventId) ?? 0) > clock.nowMs()) return Promise.resolve(false);
    let filling = this.#filling.get(gap.eventId);
    if (filling === undefined) {
      filling = this.#fill(room, gap).finally(() => this.#filling.delete(gap.eventId));
      this.#filling.set(gap.eventId, filling);
    }
    return filling;
  }

  async #fill(room: LiveRoom, gap: HistoryGap): Promise<boolean> {
    const { remote, fill, clock, logger } = this.#deps;
    const missing = (await fill.missingBefore(gap)).slice(0, MAX_STARTS);
    const deadlineMs = performance.now() + TRY_FOR_MS;
    let pauseMs = GIVE_UP_MS;
    for (const server of missing.length > 0 ? await this.#candidates(room, gap) : []) {
      if (performance.now() > deadlineMs) break;
      try {
        const events = await remote.backfill(server, room, missing, EVENTS_ASKED);
        if ((await fill.place(server, room, gap, events)) > 0) return true;
      } catch (error) {
        // Where this server failed itself, nothing is said about the gap.
        if (!(error instanceof FederationError) || error.retryable) pauseMs = TRY_AGAIN_MS;
        logger.info({ err: error, server, room: room.id }, 'history could not be fetched');
      }
    }
    this.#hopeless.set(gap.eventId, clock.nowMs() + pauseMs);
    return false;
  }

  /** The servers most likely to have it: of whoever spoke just after, then of those who run the room. */
  async #candidates(room: LiveRoom, gap: HistoryGap): Promise<ServerName[]> {
    const { events } = this.#deps;
    const after = await events.byId(gap.eventId);
    const create = room.stateRef('m.room.create', '');
    const creator = create && (await events.byNid(room.nid, create.nid));
    const preferred = [after, creator].flatMap((stored) =>
      stored === undefined ? [] : [serverNameOf(stored.event.sender)],
    );
    const servers = new Set<ServerName>(preferred.filter((server) => room.hasJoinedServer(server)));
    for (const server of room.joinedServers) servers.add(server);
    servers.delete(room.localServer);
    return [...servers].slice(0, MAX_SERVERS);
  }
}
