/**
 * Events as clients see them, as JSON text. The text of an event is written once and shared by all
 * readers; only `unsigned`, which differs by reader and time, is put on at the end.
 * https://spec.matrix.org/v1.19/client-server-api/#room-event-format
 */
import { toClientEvent } from '../../spec/client-event.ts';
import type { JsonObject } from '../../spec/event.ts';
import type { FieldSelection } from '../../spec/field-selection.ts';
import type { DeviceId, EventId, UserId } from '../../spec/identifiers.ts';
import type { RoomVersionRules } from '../../spec/room-versions.ts';
import type { Clock } from '../clock.ts';
import { turns } from '../turns.ts';
import type { EventStore } from './event-store.ts';
import { redactedCopy, type StoredEvent } from './stored-event.ts';

export interface Viewer {
  readonly userId: UserId;
  readonly deviceId: DeviceId | undefined;
}

export interface EventView {
  readonly stored: StoredEvent;
  /** The viewer's membership at the event, where it is known. */
  readonly membership: string | undefined;
  readonly relations?: BundledRelations | undefined;
  /** Nids of events that this one refers to and the viewer may not see: what it replaced, redactions. */
  readonly hidden?: ReadonlySet<number> | undefined;
}

/** What is told of the events that relate to an event; see aggregations.ts. */
export interface BundledRelations {
  /** The newest valid edit. */
  readonly replacement: EventView | undefined;
  readonly thread:
    | { readonly latest: EventView; readonly count: number; readonly participated: boolean }
    | undefined;
  readonly references: readonly EventId[] | undefined;
}

export interface ClientFormat {
  /** `false` where the response implies the room, as in `/sync`. */
  readonly withRoomId: boolean;
  readonly fields?: FieldSelection | undefined;
  /** `federation` gives the PDU itself. */
  readonly format?: 'client' | 'federation';
}

/** Few enough to be written in less than a turn. */
const eventsWrittenTogether = 100;

/** The state an event replaced, and its redaction. */
const referredBy = ({ roomNid, replacesNid, redactedByNid }: StoredEvent) =>
  [replacesNid, redactedByNid].flatMap((nid) => (nid === undefined ? [] : [{ roomNid, nid }]));

export class ClientEvents {
  readonly #events: EventStore;
  readonly #clock: Clock;
  /** Texts without `unsigned` and the closing brace. */
  readonly #openTexts = new WeakMap<StoredEvent, string>();

  constructor(events: EventStore, clock: Clock) {
    this.#events = events;
    this.#clock = clock;
  }

  /** Loads what `write` refers to: the states replaced, and redactions. Undefined: all is there. */
  prepare(events: readonly StoredEvent[]): Promise<void> | undefined {
    const missing: { roomNid: number; nid: number }[] = [];
    for (const { roomNid, replacesNid, redactedByNid } of events) {
      for (const nid of [replacesNid, redactedByNid]) {
        if (nid !== undefined && this.#events.cached(nid) === undefined) {
          missing.push({ roomNid, nid });
        }
      }
    }
    return missing.length === 0 ? undefined : this.#load(missing);
  }

  /** JSON text of one event; `prepare` has been awaited. */
  write(view: EventView, rules: RoomVersionRules, viewer: Viewer, format: ClientFormat): string {
    if (format.fields !== undefined || format.format === 'federation') {
      return this.#writeSpecially(view, rules, viewer, format);
    }
    const { stored } = view;
    const unsigned = this.#unsigned(view, rules, viewer, format);
    const room = format.withRoomId ? `,"room_id":${JSON.stringify(stored.event.roomId)}` : '';
    return `${this.#openText(stored, rules)}${room},"unsigned":${unsigned}}`;
  }

  /**
   * JSON texts of as many events as there may be, in turns with whatever else there is to do; what
   * they refer to is loaded meanwhile, and not kept.
   */
  async writeMany(
    views: readonly EventView[],
    rules: RoomVersionRules,
    viewer: Viewer,
    format: ClientFormat,
  ): Promise<string[]> {
    const texts: string[] = [];
    const giveWay = turns();
    for (let start = 0; start < views.length; start += eventsWrittenTogether) {
      const some = views.slice(start, start + eventsWrittenTogether);
      const referred = await this.#events.manyOfRooms(
        some.flatMap(({ stored }) => referredBy(stored)),
      );
      const release = this.#events.hold([...referred.values()]);
      try {
        for (const view of some) texts.push(this.write(view, rules, viewer, format));
      } finally {
        release();
      }
      const pause = giveWay();
      if (pause !== undefined) await pause;
    }
    return texts;
  }

  #openText(stored: StoredEvent, rules: RoomVersionRules): string {
    let text = this.#openTexts.get(stored);
    if (text === undefined) {
      text = JSON.stringify(toClientEvent(stored.event, rules, { withRoomId: false })).slice(0, -1);
      this.#openTexts.set(stored, text);
    }
    return text;
  }

  #unsigned(
    { stored, membership, relations, hidden }: EventView,
    rules: RoomVersionRules,
    viewer: Viewer,
    format: ClientFormat,
  ): string {
    let text = `{"age":${Math.max(0, this.#clock.nowMs() - stored.event.originServerTs)}`;
    if (membership !== undefined) text += `,"membership":${JSON.stringify(membership)}`;
    if (
      stored.txnId !== undefined &&
      stored.event.sender === viewer.userId &&
      stored.senderDevice === viewer.deviceId
    ) {
      text += `,"transaction_id":${JSON.stringify(stored.txnId)}`;
    }
    text += this.#history(stored, rules, hidden);
    if (relations !== undefined) {
      text += `,"m.relations":${this.#relations(relations, rules, viewer, format)}`;
    }
    return `${text}}`;
  }

  #relations(
    { replacement, thread, references }: BundledRelations,
    rules: RoomVersionRules,
    viewer: Viewer,
    { withRoomId, format }: ClientFormat,
  ): string {
    const inner: ClientFormat = { withRoomId, ...(format !== undefined && { format }) };
    const parts: string[] = [];
    if (replacement !== undefined) {
      parts.push(`"m.replace":${this.write(replacement, rules, viewer, inner)}`);
    }
    if (thread !== undefined) {
      const { latest, count, participated } = thread;
      const event = this.write(latest, rules, viewer, inner);
      parts.push(
        `"m.thread":{"latest_event":${event},"count":${count},"current_user_participated":${participated}}`,
      );
    }
    if (references !== undefined) {
      const chunk = references.map((eventId) => ({ event_id: eventId }));
      parts.push(`"m.reference":${JSON.stringify({ chunk })}`);
    }
    return `{${parts.join(',')}}`;
  }

  /** What the event replaced, and what redacted it. */
  #history(
    { replacesNid, redactedByNid }: StoredEvent,
    rules: RoomVersionRules,
    hidden: ReadonlySet<number> | undefined,
  ): string {
    let text = '';
    const replaced = replacesNid === undefined ? undefined : this.#events.cached(replacesNid);
    if (replaced !== undefined) {
      if (hidden?.has(replaced.nid) !== true) {
        text += `,"prev_content":${JSON.stringify(replaced.event.content)}`;
        text += `,"prev_sender":${JSON.stringify(replaced.event.sender)}`;
      }
      text += `,"replaces_state":${JSON.stringify(replaced.event.eventId)}`;
    }
    const redaction = redactedByNid === undefined ? undefined : this.#events.cached(redactedByNid);
    if (redaction !== undefined) {
      const room = JSON.stringify(redaction.event.roomId);
      // Not in the specification, but what clients looked for before there was the other.
      text += `,"redacted_by":${JSON.stringify(redaction.event.eventId)}`;
      // That there was one has to be told, or the event would seem to have been empty; why has not.
      const because =
        hidden?.has(redaction.nid) === true ? redactedCopy(redaction, rules) : redaction;
      text += `,"redacted_because":${this.#openText(because, rules)},"room_id":${room}}`;
    }
    return text;
  }

  #writeSpecially(
    view: EventView,
    rules: RoomVersionRules,
    viewer: Viewer,
    clientFormat: ClientFormat,
  ): string {
    const { stored } = view;
    const { fields, format, withRoomId } = clientFormat;
    const unsigned = JSON.parse(this.#unsigned(view, rules, viewer, clientFormat)) as JsonObject;
    const event: JsonObject =
      format === 'federation'
        ? { ...(stored.event.pdu as unknown as JsonObject), unsigned }
        : toClientEvent(stored.event, rules, { withRoomId, unsigned });
    return JSON.stringify(fields === undefined ? event : fields(event));
  }

  async #load(missing: readonly { roomNid: number; nid: number }[]): Promise<void> {
    const byRoom = new Map<number, number[]>();
    for (const { roomNid, nid } of missing) {
      const nids = byRoom.get(roomNid);
      if (nids === undefined) byRoom.set(roomNid, [nid]);
      else nids.push(nid);
    }
    await Promise.all([...byRoom].map(([room, nids]) => this.#events.manyByNid(room, nids)));
  }
}
