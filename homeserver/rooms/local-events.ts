/**
 * Events of this server's own users: built on the room's current state, authorised by it, hashed,
 * signed and appended. https://spec.matrix.org/v1.19/server-server-api/#pdus
 */

import {
  buildUnsignedEvent,
  type EventTemplate,
  type UnsignedEvent,
} from '../../spec/build-event.ts';
import { exactJson } from '../../spec/canonical-json.ts';
import { matrixError } from '../../spec/errors.ts';
import type { JsonObject, MatrixEvent } from '../../spec/event.ts';
import { InvalidEventError } from '../../spec/event-format.ts';
import { referenceHash } from '../../spec/hashes.ts';
import type { DeviceId, EventId, RoomId, ServerName, UserId } from '../../spec/identifiers.ts';
import { type PowerLevels, powerLevelsOf } from '../../spec/power-levels.ts';
import type { RoomVersionRules } from '../../spec/room-versions.ts';
import { type SigningKey, signBytes } from '../../spec/signing.ts';
import type { Clock } from '../clock.ts';
import type { Random } from '../random.ts';
import { LogWriteFailed } from '../streams/log.ts';
import type { AppendExtras, Appended, Appender, Arrival } from './append.ts';
import { type AuthEvents, authEventsIn, rejectionBy } from './auth-selection.ts';
import type { EventStore } from './event-store.ts';
import type { LiveRoom } from './live-room.ts';
import type { PolicyServers } from './policy-servers.ts';
import type { RoomRegistry } from './room-registry.ts';
import type { SnapshotStore } from './snapshot-store.ts';
import type { StateMerger } from './state-merger.ts';
import type { StateSnapshot } from './state-snapshot.ts';
import type { StoredEvent } from './stored-event.ts';

export interface EventDraft {
  readonly type: string;
  readonly sender: UserId;
  readonly content: JsonObject;
  readonly stateKey?: string | undefined;
  readonly redacts?: EventId | undefined;
  /** Given by application services; the present otherwise. */
  readonly originServerTs?: number | undefined;
  readonly senderDevice?: DeviceId | undefined;
  readonly txnId?: string | undefined;
  /** The event that the path of the request names. */
  readonly txnTarget?: EventId | undefined;
}

export interface LocalEventsDeps {
  readonly registry: RoomRegistry;
  readonly appender: Appender;
  readonly events: EventStore;
  readonly policyServers: PolicyServers;
  readonly snapshots: SnapshotStore;
  readonly merger: StateMerger;
  readonly serverName: ServerName;
  readonly signingKey: () => SigningKey;
  readonly clock: Clock;
  readonly random: Random;
}

/** A finished event of this server. */
export interface LocalEvent {
  readonly event: MatrixEvent;
  /** The PDU as JSON. */
  readonly json: string;
}

/** A finished event, and what it stands on. */
export interface BuiltEvent extends LocalEvent {
  readonly ground: Ground;
}

/** Where an event is put. */
interface Ground {
  readonly prev: readonly StoredEvent[];
  /** The state after those. */
  readonly state: StateSnapshot;
  /** Snapshots that are not stored yet. */
  readonly made: readonly StateSnapshot[];
}

/** What to send, decided as the room's writer; undefined for nothing. */
export type DecideDraft = (
  room: LiveRoom,
) => EventDraft | undefined | Promise<EventDraft | undefined>;

/** The event with the signature of another server. */
export type Countersign = (room: LiveRoom, made: LocalEvent) => Promise<LocalEvent>;

/** Prev events an event may list; the rest of a badly forked room stays for the next one. */
const maxPrevEvents = 20;
const attempts = 3;
const noSnapshots: readonly StateSnapshot[] = [];

export class LocalEvents {
  readonly #deps: LocalEventsDeps;

  constructor(deps: LocalEventsDeps) {
    this.#deps = deps;
  }

  /**
   * Runs `work` as the room's one writer. Where the room's memory was dropped under way the room is
   * loaded anew and `work` runs again.
   * @throws MatrixError M_NOT_FOUND when this server does not have the room
   */
  async inRoom<T>(roomId: RoomId, work: (room: LiveRoom) => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt += 1) {
      const room = await this.#deps.registry.find(roomId);
      if (room === undefined) throw matrixError('M_NOT_FOUND', 'Room not found');
      try {
        return await room.exclusive(() => {
          if (room.dead) throw new LogWriteFailed('The room must be loaded anew');
          return work(room);
        });
      } catch (error) {
        if (!(error instanceof LogWriteFailed) || attempt === attempts) throw error;
      }
    }
  }

  /**
   * Sends one event. A state event that changes nothing is not sent again.
   * @returns the event's id, once it is durable
   */
  send(roomId: RoomId, draft: EventDraft): Promise<EventId> {
    return this.sendDecided(roomId, () => draft) as Promise<EventId>;
  }

  /**
   * Like `send`, for what can be said only when it is the event's turn.
   * @returns undefined when nothing was to be sent
   */
  async sendDecided(roomId: RoomId, decide: DecideDraft): Promise<EventId | undefined> {
    const { policyServers } = this.#deps;
    const staged = await this.inRoom(roomId, async (room) => {
      const draft = await decide(room);
      if (draft === undefined) return undefined;
      return policyServers.concerns(room, draft) ? 'policy' : this.stage(room, draft);
    });
    if (staged === 'policy') return this.#sendAfterSigning(roomId, decide);
    await staged?.committed;
    return staged?.eventId;
  }

  /** Sends an event that another server must sign as well, or that something waits for the id of. */
  async sendCountersigned(
    roomId: RoomId,
    draft: EventDraft,
    countersign: Countersign,
  ): Promise<EventId> {
    return (await this.#sendAfterSigning(roomId, () => draft, countersign)) as EventId;
  }

  /**
   * The room is not held up while others sign; what was true when the event was made is checked
   * again before it is appended.
   */
  async #sendAfterSigning(
    roomId: RoomId,
    decide: DecideDraft,
    countersign?: Countersign,
  ): Promise<EventId | undefined> {
    for (let attempt = 1; attempt <= attempts; attempt += 1) {
      const made = await this.inRoom(roomId, async (room) => {
        const draft = await decide(room);
        if (draft === undefined) return undefined;
        const unchanged =
          countersign === undefined ? await this.#unchangedState(room, draft) : undefined;
        if (unchanged !== undefined) return { unchanged, durable: room.durable() };
        return { room, draft, built: await this.build(room, draft) };
      });
      if (made === undefined) return undefined;
      if ('unchanged' in made) {
        await made.durable;
        return made.unchanged;
      }
      const { room, draft, built } = made;
      const recommended = await this.#recommended(room, built);
      const signed = (await countersign?.(room, recommended)) ?? recommended;
      const appended = await this.#appendSigned(roomId, draft, signed, built.ground);
      if (appended === undefined) continue;
      await appended.committed;
      return signed.event.eventId;
    }
    throw new LogWriteFailed('The room was lost again and again');
  }

  /** With the signature of the room's policy server, if it has one. @throws MatrixError */
  async #recommended(room: LiveRoom, made: LocalEvent): Promise<LocalEvent> {
    const event = await this.#deps.policyServers.signed(room, made.event, { forClient: true });
    return event === made.event ? made : { event, json: exactJson(event.pdu) };
  }

  /** Undefined where what the event stands on was never written. @throws MatrixError M_FORBIDDEN */
  #appendSigned(
    roomId: RoomId,
    draft: EventDraft,
    made: LocalEvent,
    ground: Ground,
  ): Promise<Appended | undefined> {
    const { events, appender } = this.#deps;
    const { event } = made;
    return this.inRoom(roomId, async (room) => {
      const prevs = await events.manyInRoom(room.nid, event.prevEventIds);
      if (prevs.size < event.prevEventIds.length) return undefined;
      const rejection = await this.rejectionNow(room, event);
      if (rejection !== undefined) throw matrixError('M_FORBIDDEN', rejection);
      return appender.append(room, [arrivalOf(draft, made, ground.state)], {
        snapshots: ground.made,
      });
    });
  }

  /**
   * Like `send`, for a caller that already is the room's writer: its policy server, if it has one,
   * is not asked.
   */
  async stage(
    room: LiveRoom,
    draft: EventDraft,
    extras?: AppendExtras,
  ): Promise<{ eventId: EventId; committed: Promise<void> }> {
    const unchanged =
      draft.stateKey === undefined ? undefined : await this.#unchangedState(room, draft);
    if (unchanged !== undefined) {
      return { eventId: unchanged, committed: room.durable() };
    }
    const made = await this.build(room, draft);
    const { committed }: Appended = await this.#deps.appender.append(
      room,
      [arrivalOf(draft, made, made.ground.state)],
      made.ground.made.length === 0 ? extras : { ...extras, snapshots: made.ground.made },
    );
    return { eventId: made.event.eventId, committed };
  }

  /**
   * Builds and authorises an event on top of the room's current state, and of the events that have
   * led to it, as far as one event may name them.
   * @throws MatrixError M_FORBIDDEN, M_INVALID_PARAM, M_TOO_LARGE or M_BAD_JSON
   */
  async build(room: LiveRoom, draft: EventDraft): Promise<BuiltEvent> {
    const { events, signingKey } = this.#deps;
    const isWide = room.extremities.length > maxPrevEvents;
    const ground: Ground = isWide
      ? await this.#groundIn(room)
      : { prev: room.extremities, state: room.state, made: noSnapshots };
    const auth = await authEventsIn(events, room, ground.state, draft);
    const { event, signedBytes, finish } = this.#hash(room, draft, auth, ground.prev);
    const rejection = rejectionBy(event, room.rules, auth);
    if (rejection !== undefined) {
      const code = rejection.isAboutContent ? 'M_INVALID_PARAM' : 'M_FORBIDDEN';
      throw matrixError(code, sentence(rejection.message));
    }
    const now = isWide ? await this.rejectionNow(room, event) : undefined;
    if (now !== undefined) throw matrixError('M_FORBIDDEN', now);
    return { event, json: finish(signBytes(signedBytes, signingKey())), ground };
  }

  /** Of more heads than an event may name, the newest: others judge the event by those it names. */
  async #groundIn(room: LiveRoom): Promise<Ground> {
    const { snapshots, merger } = this.#deps;
    const prev = [...room.extremities]
      .sort((a, b) => b.event.depth - a.event.depth)
      .slice(0, maxPrevEvents);
    const states = await Promise.all(
      prev.map(({ snapshotAfter }) => snapshots.load(room.nid, snapshotAfter as number)),
    );
    const { state, isNew } = await merger.merge(room, states, room.state);
    return { prev, state, made: isNew ? [state] : noSnapshots };
  }

  /** Why the room's current state does not authorise an event; undefined when it does. */
  async rejectionNow(room: LiveRoom, event: MatrixEvent): Promise<string | undefined> {
    const auth = await authEventsIn(this.#deps.events, room, room.state, event);
    const rejection = rejectionBy(event, room.rules, auth);
    return rejection && sentence(rejection.message);
  }

  async powerLevels(room: LiveRoom): Promise<PowerLevels> {
    const create = room.stateRef('m.room.create', '');
    const levels = room.stateRef('m.room.power_levels', '');
    const nids = [create, levels].flatMap((ref) => (ref === undefined ? [] : [ref.nid]));
    const found = await this.#deps.events.manyByNid(room.nid, nids);
    return powerLevelsOf(
      found.get(levels?.nid ?? 0)?.event,
      found.get(create?.nid ?? 0)?.event,
      room.rules,
    );
  }

  /** The first event of a room, before the room is there. */
  buildCreate(
    rules: RoomVersionRules,
    draft: Pick<EventDraft, 'sender' | 'content' | 'originServerTs'>,
    roomId: RoomId | undefined,
  ): LocalEvent {
    const { event, signedBytes, finish } = this.#build(rules, {
      type: 'm.room.create',
      stateKey: '',
      sender: draft.sender,
      content: draft.content,
      roomId,
      prev: [],
      auth: [],
      depth: 1,
      ts: draft.originServerTs ?? this.#deps.clock.nowMs(),
      eventId: this.#chosenId(rules),
    });
    return { event, json: finish(signBytes(signedBytes, this.#deps.signingKey())) };
  }

  #hash(
    room: LiveRoom,
    draft: EventDraft,
    auth: AuthEvents,
    prev: readonly StoredEvent[],
  ): UnsignedEvent {
    const { rules } = room;
    const content =
      draft.redacts !== undefined && rules.redaction.redactsInContent
        ? { ...draft.content, redacts: draft.redacts }
        : draft.content;
    return this.#build(rules, {
      type: draft.type,
      stateKey: draft.stateKey,
      sender: draft.sender,
      content,
      roomId: room.id,
      prev: prev.map(({ event }) => event.eventId),
      auth: auth.listed.map(({ eventId }) => eventId),
      depth: room.nextDepth,
      ts: draft.originServerTs ?? this.#deps.clock.nowMs(),
      redacts: draft.redacts,
      eventId: this.#chosenId(rules),
      referenceHash: (eventId) => {
        const referred = [...auth.listed, ...prev.map(({ event }) => event)];
        const event = referred.find((candidate) => candidate.eventId === eventId);
        if (event === undefined) throw new Error(`No event ${eventId} to refer to`);
        return referenceHash(event.pdu, rules);
      },
    });
  }

  /** The id of an event, in room versions where it is not made of its hash. */
  #chosenId(rules: RoomVersionRules): EventId | undefined {
    if (rules.eventIdFormat !== 'domain') return undefined;
    const { serverName, random } = this.#deps;
    return `$${random.bytes(18).toString('base64url')}:${serverName}` as EventId;
  }

  #build(rules: RoomVersionRules, template: EventTemplate): UnsignedEvent {
    const { serverName, signingKey } = this.#deps;
    try {
      return buildUnsignedEvent(template, rules, serverName, signingKey().keyId);
    } catch (error) {
      if (!(error instanceof InvalidEventError)) throw error;
      throw error.reason === 'too_large'
        ? matrixError('M_TOO_LARGE', sentence(error.message))
        : matrixError('M_BAD_JSON', sentence(error.message));
    }
  }

  async #unchangedState(room: LiveRoom, draft: EventDraft): Promise<EventId | undefined> {
    if (draft.stateKey === undefined) return undefined;
    const ref = room.stateRef(draft.type, draft.stateKey);
    if (ref === undefined) return undefined;
    const stored: StoredEvent | undefined = await this.#deps.events.byNid(room.nid, ref.nid);
    const same =
      stored !== undefined &&
      stored.event.sender === draft.sender &&
      stored.redactedByNid === undefined &&
      isSameJson(stored.event.content, draft.content);
    return same ? stored.event.eventId : undefined;
  }
}

const arrivalOf = (
  { senderDevice, txnId, txnTarget }: EventDraft,
  { event, json }: LocalEvent,
  stateBefore: StateSnapshot,
): Arrival => ({ event, json, stateBefore, senderDevice, txnId, txnTarget });

const sentence = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);

const isSameJson = (a: unknown, b: unknown): boolean => {
  if (a === b) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const left = Object.entries(a);
  return (
    left.length === Object.keys(b).length &&
    left.every(
      ([key, value]) => Object.hasOwn(b, key) && isSameJson(value, b[key as keyof typeof b]),
    )
  );
};
