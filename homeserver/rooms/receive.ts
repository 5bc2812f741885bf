/**
 * Events of other servers: the checks on receipt of a PDU from the fourth on, and finding what an
 * event refers to and this server does not have. (The first three are made before events get here.)
 * https://spec.matrix.org/v1.19/server-server-api/#checks-performed-on-receipt-of-a-pdu
 */
import type { Logger } from 'pino';
import { MatrixError } from '../../spec/errors.ts';
import type { MatrixEvent } from '../../spec/event.ts';
import type { EventId, ServerName } from '../../spec/identifiers.ts';
import type { Appender, Arrival } from './append.ts';
import { authEventsIn, rejectionBy } from './auth-selection.ts';
import type { EventStore } from './event-store.ts';
import type { ExtremityReducer } from './extremity-reducer.ts';
import type { LiveRoom } from './live-room.ts';
import { AuthEventsMissing, describe, type Outliers } from './outliers.ts';
import type { PolicyServers } from './policy-servers.ts';
import { inReferenceOrder } from './reference-order.ts';
import type { RemoteEvents } from './remote-events.ts';
import type { RemoteStates } from './remote-states.ts';
import type { RoomRegistry } from './room-registry.ts';
import type { SnapshotStore } from './snapshot-store.ts';
import type { StateMerger } from './state-merger.ts';
import type { StateSnapshot } from './state-snapshot.ts';
import type { StoredEvent } from './stored-event.ts';

export interface RemoteReceiverDeps {
  readonly registry: RoomRegistry;
  readonly appender: Appender;
  readonly events: EventStore;
  readonly snapshots: SnapshotStore;
  readonly merger: StateMerger;
  readonly extremityReducer: ExtremityReducer;
  readonly outliers: Outliers;
  readonly remote: RemoteEvents;
  readonly states: RemoteStates;
  readonly policyServers: PolicyServers;
  readonly logger: Logger;
}

/** What became of an event. Kept events are answered without an error, rejected ones included. */
export type Receipt = { readonly error?: string };

/** Events fetched to close the gap before one event; a longer gap is left for backfill. */
const maxMissingEvents = 50;
/**
 * For all that has to be asked for one batch of events. What comes later in the room waits behind
 * it, so a server that answers slowly is asked no more after this; others are, another time.
 */
const askingTimeMs = 60_000;

/** What is known of an event's surroundings before the room's writer takes it. */
interface Prepared {
  /** With the signature of the room's policy server, should that have been lacking. */
  readonly event: MatrixEvent;
  /** The room's policy server does not recommend the event. */
  readonly isUnwelcome: boolean;
  /** States after those prev events that are not in this server's timeline. */
  readonly statesAfterMissing: ReadonlyMap<EventId, StateSnapshot>;
  /** Whether others had to be asked, which gives the event time to come by another way. */
  readonly askedOthers: boolean;
}

export class RemoteReceiver {
  readonly #deps: RemoteReceiverDeps;
  readonly #askingTimeMs: number;

  constructor(deps: RemoteReceiverDeps, options: { readonly askingTimeMs?: number } = {}) {
    this.#deps = deps;
    this.#askingTimeMs = options.askingTimeMs ?? askingTimeMs;
  }

  /**
   * Takes events of one room from one server. Resolves when what was kept is durable. One event's
   * failure does not keep the others out. With `relay` this server passes them on to the others in
   * the room: events of a handshake that only it has been told of.
   */
  async receive(
    origin: ServerName,
    room: LiveRoom,
    events: readonly MatrixEvent[],
    { relay = false }: { relay?: boolean } = {},
  ): Promise<Map<EventId, Receipt>> {
    const receipts = new Map<EventId, Receipt>();
    const fresh = await this.#withoutPlaced(room, events, receipts);
    const askUntilMs = performance.now() + this.#askingTimeMs;
    const { waiting, outliers } = await this.#withMissing(origin, room, fresh);
    const commits: Promise<void>[] = [];
    for (const event of waiting) {
      try {
        const prepared = await this.#prepare(origin, room, event, askUntilMs);
        const outlier = outliers.get(event.eventId);
        commits.push(
          ...(await this.#take(room, prepared, outlier, relay && fresh.includes(event))),
        );
        receipts.set(event.eventId, {});
      } catch (error) {
        this.#deps.logger.debug({ err: error, event: event.eventId }, 'event not taken');
        receipts.set(event.eventId, { error: (error as Error).message });
      }
    }
    await Promise.all(commits);
    return receipts;
  }

  /**
   * Whether everything the event refers to is here, and the signature of the room's policy server
   * on it, so that receiving it asks nobody.
   */
  async isSelfContained(
    room: LiveRoom,
    event: MatrixEvent,
    alongside: ReadonlySet<EventId> = new Set(),
  ): Promise<boolean> {
    const { policyServers } = this.#deps;
    if (policyServers.concerns(room, event) && !(await policyServers.isWelcome(room, event))) {
      return false;
    }
    const ids = [...event.prevEventIds, ...event.authEventIds].filter((id) => !alongside.has(id));
    const known = await this.#deps.events.manyInRoom(room.nid, ids);
    return (
      event.authEventIds.every((id) => alongside.has(id) || known.has(id)) &&
      event.prevEventIds.every((id) => alongside.has(id) || isPlaced(known.get(id)))
    );
  }

  async #withoutPlaced(
    room: LiveRoom,
    events: readonly MatrixEvent[],
    receipts: Map<EventId, Receipt>,
  ): Promise<MatrixEvent[]> {
    const known = await this.#deps.events.manyInRoom(
      room.nid,
      events.map(({ eventId }) => eventId),
    );
    const fresh = new Map<EventId, MatrixEvent>();
    for (const event of events) {
      if (isPlaced(known.get(event.eventId))) receipts.set(event.eventId, {});
      else fresh.set(event.eventId, event);
    }
    return [...fresh.values()];
  }

  /**
   * The events and those missing before them, prev events first, and what is stored of them as
   * outliers.
   */
  async #withMissing(
    origin: ServerName,
    room: LiveRoom,
    events: readonly MatrixEvent[],
  ): Promise<{ waiting: MatrixEvent[]; outliers: ReadonlyMap<EventId, StoredEvent> }> {
    const all = new Map(events.map((event) => [event.eventId, event]));
    const prevIds = new Set(events.flatMap(({ prevEventIds }) => prevEventIds));
    const known = await this.#deps.events.manyInRoom(room.nid, prevIds);
    const lacking = events.filter(({ prevEventIds }) =>
      prevEventIds.some((id) => !all.has(id) && !isPlaced(known.get(id))),
    );
    if (lacking.length > 0) {
      for (const event of await this.#fetchMissing(origin, room, lacking)) {
        if (!all.has(event.eventId)) all.set(event.eventId, event);
      }
    }
    const stored = await this.#deps.events.manyInRoom(room.nid, all.keys());
    const fresh = [...all.values()].filter(({ eventId }) => !isPlaced(stored.get(eventId)));
    const waiting = inReferenceOrder(fresh, ({ prevEventIds }) => prevEventIds);
    return { waiting, outliers: stored };
  }

  async #fetchMissing(
    origin: ServerName,
    room: LiveRoom,
    lacking: readonly MatrixEvent[],
  ): Promise<MatrixEvent[]> {
    const earliest = room.extremities.map(({ event }) => event.eventId);
    const minDepth = Math.min(...room.extremities.map(({ event }) => event.depth));
    try {
      return await this.#deps.remote.missingEvents(origin, room, {
        latest: lacking.map(({ eventId }) => eventId),
        earliest,
        limit: maxMissingEvents,
        minDepth: Number.isFinite(minDepth) ? minDepth : 0,
      });
    } catch (error) {
      this.#deps.logger.info({ err: error, origin, room: room.id }, 'missing events not answered');
      return [];
    }
  }

  /** Everything that has to be asked of others, outside the room's writer. */
  async #prepare(
    origin: ServerName,
    room: LiveRoom,
    event: MatrixEvent,
    askUntilMs: number,
  ): Promise<Prepared> {
    const surroundings = await this.#surroundings(origin, room, event, askUntilMs);
    if (!this.#deps.policyServers.concerns(room, event)) return surroundings;
    // 7. Validated by the policy server, if the room is using one, otherwise it is soft-failed.
    try {
      const signed = await this.#deps.policyServers.signed(room, event, { forClient: false });
      const askedOthers = surroundings.askedOthers || signed !== event;
      return { ...surroundings, event: signed, askedOthers };
    } catch (error) {
      if (!(error instanceof MatrixError)) throw error;
      this.#deps.logger.debug({ err: error, event: event.eventId }, 'event is not recommended');
      return { ...surroundings, isUnwelcome: true, askedOthers: true };
    }
  }

  async #surroundings(
    origin: ServerName,
    room: LiveRoom,
    event: MatrixEvent,
    askUntilMs: number,
  ): Promise<Prepared> {
    const hadAuthEvents = await this.#ensureAuthEvents(origin, room, event, askUntilMs);
    const known = await this.#deps.events.manyInRoom(room.nid, event.prevEventIds);
    const missing = event.prevEventIds.filter((id) => !isPlaced(known.get(id)));
    const statesAfterMissing = new Map<EventId, StateSnapshot>();
    for (const id of missing) {
      checkTime(origin, askUntilMs);
      statesAfterMissing.set(id, await this.#deps.states.stateAfter(origin, room, id));
    }
    const askedOthers = !hadAuthEvents || missing.length > 0;
    return { event, isUnwelcome: false, statesAfterMissing, askedOthers };
  }

  /** Whether they were here already. @throws {AuthEventsMissing} */
  async #ensureAuthEvents(
    origin: ServerName,
    room: LiveRoom,
    event: MatrixEvent,
    askUntilMs: number,
  ): Promise<boolean> {
    const known = await this.#deps.events.manyInRoom(room.nid, event.authEventIds);
    if (event.authEventIds.every((id) => known.has(id))) return true;
    checkTime(origin, askUntilMs);
    const chain = await this.#deps.remote.eventAuth(origin, room, event.eventId);
    await this.#deps.outliers.store(room, chain);
    const now = await this.#deps.events.manyInRoom(room.nid, event.authEventIds);
    const missing = event.authEventIds.filter((id) => !now.has(id));
    if (missing.length > 0) throw new AuthEventsMissing(missing);
    return false;
  }

  /** Checks 4 to 6 and the append, as the room's writer. */
  #take(
    room: LiveRoom,
    prepared: Prepared,
    outlier: StoredEvent | undefined,
    relay: boolean,
  ): Promise<Promise<void>[]> {
    return room.exclusive(async () => {
      const { event, isUnwelcome, askedOthers } = prepared;
      // Who else has stored it since it was looked up has left it in memory. Looking it up once more
      // would cost as much as all the checks.
      const stored = askedOthers
        ? await this.#deps.events.inRoom(room.nid, event.eventId)
        : (this.#deps.events.cachedInRoom(room.nid, event.eventId) ?? outlier);
      if (isPlaced(stored)) return [];
      const { state, made } = await this.#stateBefore(room, prepared);
      const rejectedReason = await this.#rejection(room, event, state);
      const softFailed =
        rejectedReason === undefined &&
        (isUnwelcome ||
          (await this.#isSoftFailed(room, event, state)) ||
          // Held back like one that failed softly: it counts once others follow it. What a handshake
          // brings is made of the heads as they were here.
          !(relay || (await this.#deps.extremityReducer.hasRoomFor(room, event))));
      // It may have been stored as an outlier meanwhile.
      const nid = stored?.nid ?? this.#deps.events.cachedInRoom(room.nid, event.eventId)?.nid;
      const arrival: Arrival = {
        event,
        stateBefore: state,
        softFailed,
        relay,
        missingPrevEvents: [...prepared.statesAfterMissing.keys()],
        ...(rejectedReason !== undefined && { rejectedReason }),
        ...(nid !== undefined && { nid }),
      };
      const { committed } = await this.#deps.appender.append(room, [arrival], { snapshots: made });
      return [committed];
    });
  }

  /** The state before an event: the resolution of the states after its prev events. */
  async #stateBefore(
    room: LiveRoom,
    { event, statesAfterMissing }: Prepared,
  ): Promise<{ state: StateSnapshot; made: StateSnapshot[] }> {
    const known = await this.#deps.events.manyInRoom(room.nid, event.prevEventIds);
    const states: StateSnapshot[] = [];
    for (const id of event.prevEventIds) {
      const prev = known.get(id);
      const state = statesAfterMissing.get(id);
      if (state !== undefined) states.push(state);
      else if (prev?.snapshotAfter !== undefined) {
        states.push(await this.#deps.snapshots.load(room.nid, prev.snapshotAfter));
      }
    }
    const merged = await this.#deps.merger.merge(room, states, room.state);
    return { state: merged.state, made: merged.isNew ? [merged.state] : [] };
  }

  async #rejection(
    room: LiveRoom,
    event: MatrixEvent,
    state: StateSnapshot,
  ): Promise<string | undefined> {
    const { events, outliers } = this.#deps;
    // 4. Authorisation rules based on the event's auth events, otherwise it is rejected.
    const known = await events.manyInRoom(room.nid, event.authEventIds);
    const authInState = await authEventsIn(events, room, state, event);
    const byAuthEvents = outliers.rejection(event, room.rules, known, authInState.createEvent);
    if (byAuthEvents !== undefined) return byAuthEvents;
    // 5. Authorisation rules based on the state before the event, otherwise it is rejected.
    const byState = rejectionBy(event, room.rules, authInState);
    return byState && describe(byState);
  }

  /** 6. Authorisation rules based on the current state of the room, otherwise it is soft-failed. */
  async #isSoftFailed(
    room: LiveRoom,
    event: MatrixEvent,
    stateBefore: StateSnapshot,
  ): Promise<boolean> {
    if (stateBefore.nid === room.state.nid) return false;
    const auth = await authEventsIn(this.#deps.events, room, room.state, event);
    return rejectionBy(event, room.rules, auth) !== undefined;
  }
}

const checkTime = (server: ServerName, askUntilMs: number): void => {
  if (performance.now() > askUntilMs) throw new Error(`${server} answers too slowly`);
};

/** Whether the event is in the timeline (or was refused a place there): its state is known. */
const isPlaced = (stored: StoredEvent | undefined): boolean => stored?.snapshotAfter !== undefined;
