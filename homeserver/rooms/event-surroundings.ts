/**
 * What an event refers to and this server does not have, asked of another one before the event is
 * judged: the states after its prev events, and its auth events.
 * https://spec.matrix.org/v1.19/server-server-api/#backfilling-and-retrieving-missing-events
 */
import type { Logger } from 'pino';
import type { MatrixEvent } from '../../spec/event.ts';
import type { EventId, ServerName } from '../../spec/identifiers.ts';
import type { EventStore } from './event-store.ts';
import type { LiveRoom } from './live-room.ts';
import { AuthEventsMissing, type Outliers } from './outliers.ts';
import { type RemoteEvents, RemoteFailure } from './remote-events.ts';
import type { RemoteStates } from './remote-states.ts';
import type { StateSnapshot } from './state-snapshot.ts';
import { isPlaced } from './stored-event.ts';

export interface SurroundingsDeps {
  readonly events: EventStore;
  readonly outliers: Outliers;
  readonly remote: RemoteEvents;
  readonly states: RemoteStates;
  readonly logger: Logger;
}

export interface Asking {
  /** Who is asked. */
  readonly server: ServerName;
  /** Who has sent the event, and is charged with the work it makes. */
  readonly sentBy: ServerName;
  /** After this no more is asked, by `performance.now()`. */
  readonly untilMs: number;
  /** States told already, by the event they are after. */
  readonly told: Map<EventId, StateSnapshot>;
}

export interface Surroundings {
  /** States after those prev events that are not in this server's timeline. */
  readonly statesAfterMissing: ReadonlyMap<EventId, StateSnapshot>;
  /** Whether others had to be asked, which gives the event time to come by another way. */
  readonly askedOthers: boolean;
}

const maxAuthRounds = 10;
const maxAuthEvents = 500;

export class EventSurroundings {
  readonly #deps: SurroundingsDeps;

  constructor(deps: SurroundingsDeps) {
    this.#deps = deps;
  }

  /** @throws {AuthEventsMissing} {RemoteFailure} */
  async of(asking: Asking, room: LiveRoom, event: MatrixEvent): Promise<Surroundings> {
    const { events, states } = this.#deps;
    const hadAuthEvents = (await this.#lackingAuth(room, event)).length === 0;
    if (!hadAuthEvents) await this.#askAuthChain(asking, room, event);
    const known = await events.manyInRoom(room.nid, event.prevEventIds);
    const missing = event.prevEventIds.filter((id) => !isPlaced(known.get(id)));
    const statesAfterMissing = new Map<EventId, StateSnapshot>();
    for (const id of missing) {
      checkTime(asking);
      const state =
        asking.told.get(id) ?? (await states.stateAfter(asking.server, room, id, asking.sentBy));
      asking.told.set(id, state);
      statesAfterMissing.set(id, state);
    }
    // States come with their auth chains, which may have been all that was missing.
    if (!hadAuthEvents && (await this.#lackingAuth(room, event)).length > 0) {
      await this.fetchAuthEvents(asking.server, room, [event], asking);
      const lacking = await this.#lackingAuth(room, event);
      if (lacking.length > 0) throw new AuthEventsMissing(lacking);
    }
    return { statesAfterMissing, askedOthers: !hadAuthEvents || missing.length > 0 };
  }

  /**
   * Auth events that are neither here nor among the events themselves, and theirs in turn, one by one,
   * as far as the server gives them.
   * @throws {RemoteFailure}
   */
  async fetchAuthEvents(
    server: ServerName,
    room: LiveRoom,
    events: readonly MatrixEvent[],
    asking?: Asking,
  ): Promise<void> {
    const gathered = new Map(events.map((event) => [event.eventId, event]));
    const fetched: MatrixEvent[] = [];
    for (let round = 0; round < maxAuthRounds && fetched.length < maxAuthEvents; round += 1) {
      const wanted = new Set([...gathered.values()].flatMap(({ authEventIds }) => authEventIds));
      for (const id of gathered.keys()) wanted.delete(id);
      const here = await this.#deps.events.manyInRoom(room.nid, wanted);
      for (const id of here.keys()) wanted.delete(id);
      if (wanted.size === 0) break;
      if (asking !== undefined) checkTime(asking);
      const ids = [...wanted].slice(0, maxAuthEvents);
      const found = await this.#deps.remote.events(server, room, ids);
      if (found.length === 0) break;
      for (const event of found) gathered.set(event.eventId, event);
      fetched.push(...found);
    }
    if (fetched.length > 0) await this.#deps.outliers.store(room, fetched);
  }

  async #lackingAuth(room: LiveRoom, event: MatrixEvent): Promise<EventId[]> {
    const known = await this.#deps.events.manyInRoom(room.nid, event.authEventIds);
    return event.authEventIds.filter((id) => !known.has(id));
  }

  /** All at once; a server that does not tell them so may still tell them one by one. */
  async #askAuthChain(asking: Asking, room: LiveRoom, event: MatrixEvent): Promise<void> {
    const { remote, outliers, logger } = this.#deps;
    checkTime(asking);
    let chain: MatrixEvent[];
    try {
      chain = await remote.eventAuth(asking.server, room, event.eventId);
    } catch (error) {
      if (!(error instanceof RemoteFailure)) throw error;
      logger.debug({ err: error, event: event.eventId }, 'auth chain not told');
      return;
    }
    await outliers.store(room, chain);
  }
}

const checkTime = ({ server, untilMs }: Asking): void => {
  if (performance.now() > untilMs) throw new RemoteFailure(`${server} answers too slowly`);
};
