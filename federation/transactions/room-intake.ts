/**
 * Events of other servers on their way into a room, once they have been looked at: taken in by the
 * process that owns the room, whichever was sent them.
 */

import { type Owners, whereOwned } from '../../homeserver/owners.ts';
import type { LiveRoom } from '../../homeserver/rooms/live-room.ts';
import type { Receipt, RemoteReceiver, Taking } from '../../homeserver/rooms/receive.ts';
import { LogWriteFailed } from '../../homeserver/streams/log.ts';
import { exactJson } from '../../spec/canonical-json.ts';
import { limitExceeded } from '../../spec/errors.ts';
import type { MatrixEvent } from '../../spec/event.ts';
import { storedEvent } from '../../spec/event-format.ts';
import type { EventId, RoomId, ServerName } from '../../spec/identifiers.ts';
import type { RoomAccess } from '../rooms/room-access.ts';
import type { InboundMetrics } from './inbound-metrics.ts';
import type { InboundQueue } from './inbound-queue.ts';

export interface RoomIntakeDeps {
  readonly owners: Owners;
  readonly access: RoomAccess;
  readonly receiver: RemoteReceiver;
  readonly queue: InboundQueue;
  readonly metrics: InboundMetrics;
}

/** What another server is told of an event. */
export interface Verdict {
  readonly error?: string;
}

/** An event as it travels: its id, and the PDU as JSON. */
type EventText = readonly [eventId: EventId, json: string];

/** Events of one server that may wait; it is asked to wait itself beyond that. */
const MAX_BACKLOG = 5000;
const BACKLOG_RETRY_MS = 10_000;

export class RoomIntake {
  readonly #deps: RoomIntakeDeps;

  constructor(deps: RoomIntakeDeps) {
    this.#deps = deps;
    deps.owners.answer(
      'roomIntake.take',
      async (origin: ServerName, roomId: RoomId, texts: readonly EventText[]) => {
        this.checkBacklog(origin);
        return [...(await this.#take(origin, await this.#room(roomId), eventsOf(texts)))];
      },
    );
    deps.owners.answer(
      'roomIntake.receive',
      async (origin: ServerName, roomId: RoomId, texts: readonly EventText[], taking: Taking) => {
        const room = await this.#room(roomId);
        return [...(await deps.receiver.receive(origin, room, eventsOf(texts), taking))];
      },
    );
  }

  /** @throws MatrixError M_LIMIT_EXCEEDED when too many of the server's events wait */
  checkBacklog(origin: ServerName): void {
    if (this.#deps.queue.backlogOf(origin) > MAX_BACKLOG) {
      throw limitExceeded(BACKLOG_RETRY_MS, 'Too many of your events wait to be taken in');
    }
  }

  /**
   * What stands on its own is taken in at once; from the first event that does not, all wait. Resolves
   * when everything kept is durable.
   */
  async take(
    origin: ServerName,
    room: LiveRoom,
    events: readonly MatrixEvent[],
  ): Promise<ReadonlyMap<EventId, Verdict>> {
    const { owners } = this.#deps;
    return whereOwned(
      owners,
      room.id,
      () => this.#take(origin, room, events),
      async () => {
        const args = [origin, room.id, events.map(textOf)];
        return new Map(
          (await owners.ask(room.id, 'roomIntake.take', args)) as [EventId, Verdict][],
        );
      },
    );
  }

  /** As `RemoteReceiver.receive`. */
  receive(
    server: ServerName,
    room: LiveRoom,
    events: readonly MatrixEvent[],
    taking: Taking = {},
  ): Promise<ReadonlyMap<EventId, Receipt>> {
    const { owners, receiver } = this.#deps;
    return whereOwned(
      owners,
      room.id,
      async () => {
        const receipts = await receiver.receive(server, room, events, taking);
        const isPassing = [...receipts.values()].some((receipt) => receipt.isPassing === true);
        // What has been taken in already is recognised by the new owner.
        if (isPassing && owners.elsewhere(room.id) !== undefined) {
          throw new LogWriteFailed('The room has another owner');
        }
        return receipts;
      },
      async () => {
        const args = [server, room.id, events.map(textOf), taking];
        const receipts = await owners.ask(room.id, 'roomIntake.receive', args);
        return new Map(receipts as [EventId, Receipt][]);
      },
    );
  }

  async #take(
    origin: ServerName,
    room: LiveRoom,
    events: readonly MatrixEvent[],
  ): Promise<Map<EventId, Verdict>> {
    const { receiver, queue, metrics } = this.#deps;
    const atOnce: MatrixEvent[] = [];
    const alongside = new Set<EventId>();
    if (!queue.isWaitingFrom(room.id, origin)) {
      for (const event of events) {
        if (!(await receiver.isSelfContained(room, event, alongside))) break;
        atOnce.push(event);
        alongside.add(event.eventId);
      }
    }
    const later = events.slice(atOnce.length);
    const results = new Map<EventId, Verdict>();
    if (atOnce.length > 0) {
      const receipts = await receiver.receive(origin, room, atOnce);
      // An answer is final: what says nothing of an event is tried again from the queue.
      const again = atOnce.filter(({ eventId }) => receipts.get(eventId)?.isPassing === true);
      later.unshift(...again);
      for (const { eventId } of atOnce) {
        const error = receipts.get(eventId)?.error;
        results.set(eventId, error === undefined ? {} : { error });
      }
    }
    metrics.received('kept', events.length - later.length);
    metrics.received('waiting', later.length);
    if (later.length > 0) {
      await queue.add(origin, room, later);
      for (const { eventId } of later) results.set(eventId, {});
    }
    return results;
  }

  async #room(roomId: RoomId): Promise<LiveRoom> {
    const room = await this.#deps.access.ours(roomId);
    // Whoever asks has it: nothing is said of the events, so they are sent again.
    if (room === undefined) throw new LogWriteFailed(`${roomId} is not here`);
    return room;
  }
}

const textOf = ({ eventId, pdu }: MatrixEvent): EventText => [eventId, exactJson(pdu)];

const eventsOf = (texts: readonly EventText[]): MatrixEvent[] =>
  texts.map(([eventId, json]) => storedEvent(json, eventId));
