/**
 * Events of other servers: the checks on receipt of a PDU from the fourth on, and finding what an
 * event refers to and this server does not have. (The first three are made before events get here.)
 * https://spec.matrix.org/v1.19/server-server-api/#checks-performed-on-receipt-of-a-pdu
 */
import type { Logger } from 'pino';
import { EventRejected } from '../../spec/auth/event-rejected.ts';
import { MatrixError } from '../../spec/errors.ts';
import type { MatrixEvent } from '../../spec/event.ts';
import type { EventId, ServerName } from '../../spec/identifiers.ts';
import { MissingEventsError } from '../../spec/state-resolution/event-source.ts';
import { LogWriteFailed } from '../streams/log.ts';
import type { Appender, Arrival } from './append.ts';
import { authEventsIn, rejectionBy } from './auth-selection.ts';
import type { EventStore } from './event-store.ts';
import type { Asking, EventSurroundings, Surroundings } from './event-surroundings.ts';
import type { ExtremityReducer } from './extremity-reducer.ts';
import type { LiveRoom } from './live-room.ts';
import { AuthEventsMissing, describe, type Outliers } from './outliers.ts';
import type { PolicyServers } from './policy-servers.ts';
import { inReferenceOrder } from './reference-order.ts';
import { type RemoteEvents, RemoteFailure } from './remote-events.ts';
import type { RoomRegistry } from './room-registry.ts';
import type { SnapshotStore } from './snapshot-store.ts';
import type { StateMerger } from './state-merger.ts';
import type { StateSnapshot } from './state-snapshot.ts';
import { isPlaced, type StoredEvent } from './stored-event.ts';

export interface RemoteReceiverDeps {
  readonly registry: RoomRegistry;
  readonly appender: Appender;
  readonly events: EventStore;
  readonly snapshots: SnapshotStore;
  readonly merger: StateMerger;
  readonly extremityReducer: ExtremityReducer;
  readonly outliers: Outliers;
  readonly remote: RemoteEvents;
  readonly surroundings: EventSurroundings;
  readonly policyServers: PolicyServers;
  readonly logger: Logger;
}

/** What became of an event. Kept events are answered without an error, rejected ones included. */
export interface Receipt {
  readonly error?: string;
  /** The error says nothing of the event: it is to be tried again. */
  readonly isPassing?: boolean;
}

/** Events fetched to close the gap before one event; a longer gap is left for backfill. */
const maxMissingEvents = 50;
/**
 * For all that has to be asked for one batch of events. What comes later in the room waits behind
 * it, so a server that answers slowly is asked no more after this; others are, another time.
 */
const askingTimeMs = 60_000;

/** What is known of an event's surroundings before the room's writer takes it. */
interface Prepared extends Surroundings {
  /** With the signature of the room's policy server, should that have been lacking. */
  readonly event: MatrixEvent;
  /** The room's policy server does not recommend the event. */
  readonly isUnwelcome: boolean;
}

/** How a server's events are taken. */
export interface Taking {
  /** Who has sent them, where others are asked about them. */
  readonly sentBy?: ServerName;
  /** This server passes them on to the others in the room: events that only it has been told of. */
  readonly relay?: boolean;
}

export class RemoteReceiver {
  readonly #deps: RemoteReceiverDeps;
  readonly #askingTimeMs: number;

  constructor(deps: RemoteReceiverDeps, options: { readonly askingTimeMs?: number } = {}) {
    this.#deps = deps;
    this.#askingTimeMs = options.askingTimeMs ?? askingTimeMs;
  }

  /**
   * Takes events of one room from one server. Resolves when what was kept is durable. A verdict on one
   * event does not keep the others out; where this server itself fails, the rest are left as well.
   */
  async receive(
    server: ServerName,
    room: LiveRoom,
    events: readonly MatrixEvent[],
    { sentBy = server, relay = false }: Taking = {},
  ): Promise<Map<EventId, Receipt>> {
    const receipts = new Map<EventId, Receipt>();
    const commits: Promise<void>[] = [];
    const fresh = await this.#withoutPlaced(room, events, receipts, commits);
    const untilMs = performance.now() + this.#askingTimeMs;
    const asking: Asking = { server, sentBy, untilMs, told: new Map() };
    const { waiting, outliers } = await this.#withMissing(server, room, fresh);
    let passing: Receipt | undefined;
    for (const event of waiting) {
      const { eventId } = event;
      if (passing !== undefined) {
        receipts.set(eventId, passing);
        continue;
      }
      try {
        const prepared = await this.#prepare(asking, room, event);
        const isRelayed = relay && fresh.includes(event);
        commits.push(...(await this.#take(room, prepared, outliers.get(eventId), isRelayed)));
        receipts.set(eventId, {});
      } catch (error) {
        const receipt: Receipt = { error: (error as Error).message };
        if (!isVerdict(error)) {
          passing = { ...receipt, isPassing: true };
          this.#deps.logger.error({ err: error, event: eventId }, 'event could not be taken in');
        } else {
          this.#deps.logger.debug({ err: error, event: eventId }, 'event not taken');
        }
        receipts.set(eventId, passing ?? receipt);
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
    commits: Promise<void>[],
  ): Promise<MatrixEvent[]> {
    const known = await this.#deps.events.manyInRoom(
      room.nid,
      events.map(({ eventId }) => eventId),
    );
    const fresh = new Map<EventId, MatrixEvent>();
    let hasPending = false;
    for (const event of events) {
      const stored = known.get(event.eventId);
      if (!isPlaced(stored)) {
        fresh.set(event.eventId, event);
        continue;
      }
      receipts.set(event.eventId, {});
      // Another request has brought it, and it is being written: memory is ahead of the log.
      if (stored?.streamPos === undefined) hasPending = true;
    }
    if (hasPending) {
      const pending = written(room);
      // Seen by whoever awaits all of them, which is later.
      pending.catch(() => undefined);
      commits.push(pending);
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
    // A depth may be any number that someone claims: whatever the heads say, what comes just before
    // the events is asked for.
    const depths = room.extremities.map(({ event }) => event.depth);
    for (const { depth } of lacking) depths.push(depth - maxMissingEvents);
    try {
      return await this.#deps.remote.missingEvents(origin, room, {
        latest: lacking.map(({ eventId }) => eventId),
        earliest,
        limit: maxMissingEvents,
        minDepth: Math.max(0, Math.min(...depths)),
      });
    } catch (error) {
      if (!(error instanceof RemoteFailure)) throw error;
      this.#deps.logger.info({ err: error, origin, room: room.id }, 'missing events not answered');
      return [];
    }
  }

  /** Everything that has to be asked of others, outside the room's writer. */
  async #prepare(asking: Asking, room: LiveRoom, event: MatrixEvent): Promise<Prepared> {
    const { policyServers, surroundings } = this.#deps;
    const found = await surroundings.of(asking, room, event);
    if (!policyServers.concerns(room, event)) return { ...found, event, isUnwelcome: false };
    // 7. Validated by the policy server, if the room is using one, otherwise it is soft-failed.
    try {
      const signed = await policyServers.signed(room, event, { forClient: false });
      const askedOthers = found.askedOthers || signed !== event;
      return { ...found, event: signed, isUnwelcome: false, askedOthers };
    } catch (error) {
      if (!(error instanceof MatrixError)) throw error;
      this.#deps.logger.debug({ err: error, event: event.eventId }, 'event is not recommended');
      return { ...found, event, isUnwelcome: true, askedOthers: true };
    }
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
      if (isPlaced(stored)) return [room.durable()];
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

/** Resolves when whatever the room's writer has begun is durable. @throws {LogWriteFailed} if it is not */
const written = async (room: LiveRoom): Promise<void> => {
  await room.exclusive(() => room.durable());
  if (room.dead) throw new LogWriteFailed('The room must be loaded anew');
};

/** Whether an error is about the event, or about those who were asked for what it refers to. */
const isVerdict = (error: unknown): boolean =>
  error instanceof MatrixError ||
  error instanceof EventRejected ||
  error instanceof AuthEventsMissing ||
  error instanceof MissingEventsError ||
  error instanceof RemoteFailure;
