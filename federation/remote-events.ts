/**
 * Asking other servers for events: every answer is bounded in size and number before it is looked
 * at, and every event in it checked before it is handed on.
 *
 * Specification:
 * https://spec.matrix.org/v1.19/server-server-api/#backfilling-and-retrieving-missing-events
 */
import type { RemoteEvents, RoomOfVersion } from '../homeserver/rooms/remote-events.ts';
import { sharedTurn } from '../homeserver/turns.ts';
import type { JsonObject, MatrixEvent } from '../spec/event.ts';
import { type EventId, isEventIdInFormat, type ServerName } from '../spec/identifiers.ts';
import { JsonTextList } from '../spec/json-pieces.ts';
import type { AnswerBounds } from './answer-reader.ts';
import { type CheckOptions, checkedEvents } from './checked-events.ts';
import { FederationError, RefusedByServer, RequestImpossible } from './federation-error.ts';
import type { FederationClient } from './http-client.ts';
import type { KeyRing } from './keys/key-ring.ts';
import { uri } from './uri.ts';

const MEBIBYTE = 1024 * 1024;
export const MAX_STATE_EVENTS = 150_000;
const MAX_TIMELINE_EVENTS = 500;
const MAX_AUTH_CHAIN_EVENTS = 20_000;
/** What is in an answer besides events. */
const MAX_OTHER_VALUES = 20_000;
/** An event has some thirty values. */
const VALUES_PER_EVENT = 40;
/** Of a whole room: state and auth chain in full. */
export const STATE_BOUNDS: AnswerBounds = {
  maxBytes: 128 * MEBIBYTE,
  maxValues: MAX_OTHER_VALUES,
  lists: { state: MAX_STATE_EVENTS, pdus: MAX_STATE_EVENTS, auth_chain: MAX_STATE_EVENTS },
  maxListValues: MAX_STATE_EVENTS * VALUES_PER_EVENT,
};
const STATE_IDS_BOUNDS: AnswerBounds = {
  maxBytes: 16 * MEBIBYTE,
  maxValues: 2 * MAX_STATE_EVENTS + 10,
};
const TIMELINE_BOUNDS: AnswerBounds = {
  maxBytes: 16 * MEBIBYTE,
  maxValues: MAX_OTHER_VALUES,
  lists: { events: MAX_TIMELINE_EVENTS, pdus: MAX_TIMELINE_EVENTS },
  maxListValues: 500_000,
};
const AUTH_CHAIN_BOUNDS: AnswerBounds = {
  maxBytes: 16 * MEBIBYTE,
  maxValues: MAX_OTHER_VALUES,
  lists: { auth_chain: MAX_AUTH_CHAIN_EVENTS },
  maxListValues: MAX_AUTH_CHAIN_EVENTS * VALUES_PER_EVENT,
};
const EVENT_BOUNDS: AnswerBounds = {
  maxBytes: 256 * 1024,
  maxValues: 1_000,
  lists: { pdus: 10 },
  maxListValues: 40_000,
};

const CONCURRENT_EVENTS = 6;
/** For what takes the other server some work. */
const LONG_TIMEOUT_MS = 60_000;

export class FederationEvents implements RemoteEvents {
  readonly #client: FederationClient;
  readonly #keyRing: KeyRing;

  constructor(deps: { readonly client: FederationClient; readonly keyRing: KeyRing }) {
    this.#client = deps.client;
    this.#keyRing = deps.keyRing;
  }

  async missingEvents(
    server: ServerName,
    room: RoomOfVersion,
    ask: {
      readonly latest: readonly EventId[];
      readonly earliest: readonly EventId[];
      readonly limit: number;
      readonly minDepth: number;
    },
  ): Promise<MatrixEvent[]> {
    const { events } = await this.#client.request({
      destination: server,
      method: 'POST',
      path: uri`/_matrix/federation/v1/get_missing_events/${room.id}`,
      body: {
        latest_events: [...ask.latest],
        earliest_events: [...ask.earliest],
        limit: ask.limit,
        min_depth: ask.minDepth,
      },
      purpose: 'room',
      timeoutMs: this.#client.timeoutMs,
      ...TIMELINE_BOUNDS,
    });
    return this.#checked(room, listOf(server, events, ask.limit));
  }

  async events(
    server: ServerName,
    room: RoomOfVersion,
    eventIds: readonly EventId[],
  ): Promise<MatrixEvent[]> {
    const pdus: unknown[] = [];
    const waiting = [...eventIds];
    let unreachable: FederationError | undefined;
    const ask = async (): Promise<void> => {
      for (let id = waiting.pop(); id !== undefined; id = waiting.pop()) {
        try {
          pdus.push(...(await this.#event(server, id)));
        } catch (error) {
          // The server may lack some of them; one that does not answer at all is asked no more.
          if (error instanceof RefusedByServer && !error.retryable) continue;
          if (!(error instanceof FederationError)) throw error;
          unreachable = error;
          waiting.length = 0;
        }
      }
    };
    await Promise.all(Array.from({ length: Math.min(CONCURRENT_EVENTS, waiting.length) }, ask));
    if (unreachable !== undefined && pdus.length === 0) throw unreachable;
    const wanted = new Set(eventIds);
    return (await this.#checked(room, pdus)).filter(({ eventId }) => wanted.has(eventId));
  }

  async #event(server: ServerName, eventId: EventId): Promise<readonly unknown[]> {
    const { pdus } = await this.#client.request({
      destination: server,
      method: 'GET',
      path: uri`/_matrix/federation/v1/event/${eventId}`,
      purpose: 'room',
      timeoutMs: this.#client.timeoutMs,
      ...EVENT_BOUNDS,
    });
    return [...listOf(server, pdus, 1)];
  }

  async stateIds(
    server: ServerName,
    room: RoomOfVersion,
    eventId: EventId,
  ): Promise<{ stateIds: EventId[]; authChainIds: EventId[] }> {
    const answer = await this.#client.request({
      destination: server,
      method: 'GET',
      path: uri`/_matrix/federation/v1/state_ids/${room.id}`,
      query: { event_id: eventId },
      timeoutMs: LONG_TIMEOUT_MS,
      purpose: 'room',
      ...STATE_IDS_BOUNDS,
    });
    return {
      stateIds: idsOf(server, room, answer['pdu_ids']),
      authChainIds: idsOf(server, room, answer['auth_chain_ids']),
    };
  }

  async state(
    server: ServerName,
    room: RoomOfVersion,
    eventId: EventId,
  ): Promise<{ state: MatrixEvent[]; authChain: MatrixEvent[] }> {
    const answer = await this.#client.request({
      destination: server,
      method: 'GET',
      path: uri`/_matrix/federation/v1/state/${room.id}`,
      query: { event_id: eventId },
      timeoutMs: LONG_TIMEOUT_MS,
      purpose: 'room',
      ...STATE_BOUNDS,
    });
    return this.stateIn(server, room, answer['pdus'], answer['auth_chain']);
  }

  /** State and auth chain as they come together, events that are in both checked once. */
  async stateIn(
    server: ServerName,
    room: RoomOfVersion,
    statePdus: unknown,
    authPdus: unknown,
  ): Promise<{ state: MatrixEvent[]; authChain: MatrixEvent[] }> {
    const state = await this.#checked(room, listOf(server, statePdus, MAX_STATE_EVENTS));
    const known = new Map<string, MatrixEvent>();
    const both: MatrixEvent[] = [];
    for (const event of state) {
      known.set(signatureKey(event.pdu), event);
      await sharedTurn();
    }
    const others: unknown[] = [];
    for (const pdu of listOf(server, authPdus, MAX_STATE_EVENTS)) {
      const event = known.get(signatureKey(pdu));
      if (event === undefined) others.push(pdu);
      else both.push(event);
      await sharedTurn();
    }
    return { state, authChain: [...(await this.#checked(room, others)), ...both] };
  }

  async eventAuth(
    server: ServerName,
    room: RoomOfVersion,
    eventId: EventId,
  ): Promise<MatrixEvent[]> {
    const { auth_chain: chain } = await this.#client.request({
      destination: server,
      method: 'GET',
      path: uri`/_matrix/federation/v1/event_auth/${room.id}/${eventId}`,
      timeoutMs: LONG_TIMEOUT_MS,
      purpose: 'room',
      ...AUTH_CHAIN_BOUNDS,
    });
    return this.#checked(room, listOf(server, chain, MAX_AUTH_CHAIN_EVENTS));
  }

  async backfill(
    server: ServerName,
    room: RoomOfVersion,
    from: readonly EventId[],
    limit: number,
  ): Promise<MatrixEvent[]> {
    const { pdus } = await this.#client.request({
      destination: server,
      method: 'GET',
      path: uri`/_matrix/federation/v1/backfill/${room.id}`,
      query: { v: from, limit },
      timeoutMs: LONG_TIMEOUT_MS,
      purpose: 'room',
      ...TIMELINE_BOUNDS,
    });
    const list = listOf(server, pdus, MAX_TIMELINE_EVENTS);
    return this.#checked(room, list, { anyReferences: true });
  }

  #checked(
    room: RoomOfVersion,
    pdus: Iterable<unknown>,
    options: CheckOptions = {},
  ): Promise<MatrixEvent[]> {
    return checkedEvents(this.#keyRing, room, pdus, options);
  }
}

/** @throws RequestImpossible for what is no list; more than `max` entries are left out */
const listOf = (server: ServerName, value: unknown, max: number): Iterable<unknown> => {
  if (value instanceof JsonTextList) return value.length > max ? firstOf(value, max) : value;
  if (!Array.isArray(value)) {
    throw new RequestImpossible(server, 'answered with something other than events');
  }
  return value.length > max ? value.slice(0, max) : value;
};

const firstOf = function* (list: Iterable<unknown>, count: number): Iterable<unknown> {
  let left = count;
  for (const element of list) {
    if (left-- === 0) return;
    yield element;
  }
};

const idsOf = (server: ServerName, { rules }: RoomOfVersion, value: unknown): EventId[] => {
  const ids = [...listOf(server, value, MAX_STATE_EVENTS)].filter(
    (id): id is EventId => typeof id === 'string' && isEventIdInFormat(id, rules.eventIdFormat),
  );
  return [...new Set(ids)];
};

/** What tells two copies of one event apart from all others, cheaply: its signatures. */
const signatureKey = (pdu: unknown): string =>
  JSON.stringify((pdu as JsonObject | null | undefined)?.['signatures'] ?? null);
