/**
 * An event of a given time that this server does not have: several servers are asked which one it is,
 * and the nearest that turns out to be as they say takes its place in the gap.
 *
 * Specification:
 * https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1timestamp_to_eventroomid
 */
import type { Logger } from 'pino';
import { KeyedQueue } from '../homeserver/keyed-queue.ts';
import type { EventStore } from '../homeserver/rooms/event-store.ts';
import type { HistoryFill } from '../homeserver/rooms/fill.ts';
import type { EventNearTime } from '../homeserver/rooms/history.ts';
import type { LiveRoom } from '../homeserver/rooms/live-room.ts';
import type { RemoteEvents } from '../homeserver/rooms/remote-events.ts';
import { isPlaced } from '../homeserver/rooms/stored-event.ts';
import { type EventId, isEventIdInFormat, type ServerName } from '../spec/identifiers.ts';
import { FederationError } from './federation-error.ts';
import type { FederationClient } from './http-client.ts';
import { uri } from './uri.ts';

export interface HistoryByTimeDeps {
  readonly client: FederationClient;
  readonly remote: RemoteEvents;
  readonly fill: HistoryFill;
  readonly events: EventStore;
  readonly logger: Logger;
}

interface Told {
  readonly server: ServerName;
  readonly eventId: EventId;
  readonly originServerTs: number;
}

const ANSWER_BOUNDS = { maxBytes: 4_096, maxValues: 50 };
/** Asked together. */
const MAX_SERVERS = 3;
const ONE_SERVER_TIMEOUT_MS = 4_000;
/** For everything: then the person who asked is answered with what is here. */
const TRY_FOR_MS = 10_000;

export class HistoryByTime {
  readonly #deps: HistoryByTimeDeps;
  /** One event of a room at a time; who has waited in vain until their turn takes none. */
  readonly #placing = new KeyedQueue<number>();

  constructor(deps: HistoryByTimeDeps) {
    this.#deps = deps;
  }

  /** Whether an event nearer than what is wanted has come. Takes ten seconds at most. */
  async fetch(
    room: LiveRoom,
    wanted: EventNearTime,
    servers: readonly ServerName[],
  ): Promise<boolean> {
    const { client, logger } = this.#deps;
    const tryForMs = Math.min(TRY_FOR_MS, 2 * client.timeoutMs);
    const deadlineMs = performance.now() + tryForMs;
    const fetching = this.#fetch(room, wanted, servers.slice(0, MAX_SERVERS), deadlineMs).catch(
      (error: unknown) => {
        logger.info({ err: error, room: room.id }, 'an event of a time could not be fetched');
        return false;
      },
    );
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<boolean>((resolve) => {
      timer = setTimeout(() => resolve(false), tryForMs);
    });
    try {
      return await Promise.race([fetching, late]);
    } finally {
      clearTimeout(timer);
    }
  }

  async #fetch(
    room: LiveRoom,
    wanted: EventNearTime,
    servers: readonly ServerName[],
    deadlineMs: number,
  ): Promise<boolean> {
    const answers = await Promise.all(servers.map((server) => this.#ask(server, room, wanted)));
    const told = answers
      .filter((answer) => answer !== undefined)
      .sort((a, b) => distance(wanted, a) - distance(wanted, b));
    return this.#placing.run(room.nid, async () => {
      for (const answer of told) {
        if (performance.now() > deadlineMs) break;
        if (await this.#place(room, wanted, answer)) return true;
      }
      return false;
    });
  }

  async #ask(server: ServerName, room: LiveRoom, wanted: EventNearTime): Promise<Told | undefined> {
    const { client } = this.#deps;
    try {
      const { event_id: eventId, origin_server_ts: originServerTs } = await client.request({
        destination: server,
        method: 'GET',
        path: uri`/_matrix/federation/v1/timestamp_to_event/${room.id}`,
        query: { ts: wanted.timestampMs, dir: wanted.direction === 'forwards' ? 'f' : 'b' },
        purpose: 'person',
        requester: wanted.asker,
        timeoutMs: Math.min(ONE_SERVER_TIMEOUT_MS, client.timeoutMs),
        ...ANSWER_BOUNDS,
      });
      if (typeof eventId !== 'string' || typeof originServerTs !== 'number') return undefined;
      if (!isEventIdInFormat(eventId, room.rules.eventIdFormat)) return undefined;
      return isNearer(wanted, { originServerTs }) ? { server, eventId, originServerTs } : undefined;
    } catch (error) {
      if (error instanceof FederationError) return undefined;
      throw error;
    }
  }

  async #place(room: LiveRoom, wanted: EventNearTime, { server, eventId }: Told): Promise<boolean> {
    const { events, remote, fill, logger } = this.#deps;
    // It may have come since it was looked for.
    if (isPlaced(await events.inRoom(room.nid, eventId))) return true;
    try {
      const [event] = await remote.events(server, room, [eventId]);
      if (event === undefined || !isNearer(wanted, event)) return false;
      return await fill.placeApart(server, room, wanted.gap, event);
    } catch (error) {
      logger.info({ err: error, server, room: room.id }, 'an event of a time was not told');
      return false;
    }
  }
}

const distance = ({ timestampMs }: EventNearTime, event: { readonly originServerTs: number }) =>
  Math.abs(event.originServerTs - timestampMs);

/** On the right side of the time, and nearer to it than what is known. */
const isNearer = (wanted: EventNearTime, event: { readonly originServerTs: number }): boolean => {
  const { direction, timestampMs, withinMs } = wanted;
  const isOnSide =
    direction === 'forwards'
      ? event.originServerTs >= timestampMs
      : event.originServerTs <= timestampMs;
  return isOnSide && distance(wanted, event) < withinMs;
};
