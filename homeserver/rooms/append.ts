import { exactJson } from '../../spec/canonical-json.ts';
import type { MatrixEvent, StateKey } from '../../spec/event.ts';
import { stateKeyOf } from '../../spec/event.ts';
import { type EventId, serverNameOf } from '../../spec/identifiers.ts';
import { type EventRow, type RoomWrite, roomEvents } from '../storage/event-section.ts';
import type { IdAllocator } from '../storage/id-allocator.ts';
import { type Log, LogWriteRefused, rowsOf } from '../streams/log.ts';
import type { AuthChains } from './auth-chains.ts';
import type { EventStore } from './event-store.ts';
import { isAccepted, type LiveRoom, memberOfKey } from './live-room.ts';
import type { MembershipEffects } from './membership-effects.ts';
import { outsiderToTell } from './outsiders.ts';
import { concernsRedactions, redactionEffects } from './redactions.ts';
import type { RoomRegistry } from './room-registry.ts';
import type { SnapshotStore } from './snapshot-store.ts';
import type { StateMerger } from './state-merger.ts';
import type { Removed, StateRef, StateSnapshot } from './state-snapshot.ts';
import { membershipOf, type StoredEvent, type UnplacedEvent } from './stored-event.ts';
import { emptyWrite, rowOf, snapshotRow } from './write-rows.ts';

/** A live event on its way into the room. */
export interface Arrival {
  readonly event: MatrixEvent;
  /** The PDU as JSON, where the caller has it at hand. */
  readonly json?: string | undefined;
  readonly stateBefore: StateSnapshot;
  /** Set when the event failed authorisation: it is kept, but has no effect. */
  readonly rejectedReason?: string;
  /** Set when the event is authorised, but not by the current state of the room. */
  readonly softFailed?: boolean;
  readonly senderDevice?: string | undefined;
  readonly txnId?: string | undefined;
  readonly txnTarget?: EventId | undefined;
  /** The nid under which the event is already stored as an outlier. */
  readonly nid?: number;
  /** The event is another server's, and this server passes it on: a join it has accepted. */
  readonly relay?: boolean;
  /** Backward extremities that the event leaves open. */
  readonly missingPrevEvents?: readonly EventId[];
}

export interface AppendExtras {
  readonly create?: RoomWrite['create'];
  /** A snapshot that was made for a `stateBefore` and is not stored yet. */
  readonly snapshots?: readonly StateSnapshot[];
}

export interface Appended {
  /** As stored; their `streamPos` is decided by the log and there once `committed` resolves. */
  readonly events: readonly StoredEvent[];
  /** Resolves when everything is durable. @throws {LogWriteFailed} */
  readonly committed: Promise<void>;
}

export interface AppenderDeps {
  readonly log: Log;
  readonly ids: IdAllocator;
  readonly events: EventStore;
  readonly snapshots: SnapshotStore;
  readonly registry: RoomRegistry;
  readonly merger: StateMerger;
  readonly chains: AuthChains;
  readonly membershipEffects: MembershipEffects;
}

type Changes = ReadonlyMap<StateKey, StateRef | Removed>;

/** What one append gathers before it is written. */
interface Draft {
  readonly room: LiveRoom;
  readonly write: RoomWrite;
  /** As many as `write.events`, and in the same order. */
  readonly stored: UnplacedEvent[];
  readonly changes: Changes[];
  readonly snapshots: StateSnapshot[];
  readonly redacted: StoredEvent[];
  /** Those that accepted events named before they came. */
  followed: ReadonlySet<EventId>;
  /** What `events` knew under the nids of `begun` before: outliers, or nothing. */
  readonly knownBefore: (StoredEvent | undefined)[];
  /** The nids of this write, as far as it has come. */
  readonly begun: number[];
  /** What the room lacked and this write brings, as the room had noted it. */
  found: ReadonlyMap<EventId, boolean>;
  /** The room in memory is ahead of the database by this write. */
  hasMoved: boolean;
}

const noChanges: Changes = new Map();
// Most writes bring nothing that was missed: two collections for each of them would be for nothing.
const noneFollowed: ReadonlySet<EventId> = new Set();
const noneFound: ReadonlyMap<EventId, boolean> = new Map();

export class Appender {
  readonly #deps: AppenderDeps;

  constructor(deps: AppenderDeps) {
    this.#deps = deps;
  }

  /**
   * Appends events in the order given, which must be one where prev events come first.
   * @throws {LogWriteFailed} when the room's memory was dropped meanwhile; the caller may try again
   */
  async append(
    room: LiveRoom,
    arrivals: readonly Arrival[],
    extras: AppendExtras = {},
  ): Promise<Appended> {
    if (room.dead) throw new LogWriteRefused('The room must be loaded anew');
    const { ids } = this.#deps;
    const wanted = 4 * arrivals.length + 16;
    if (!ids.has(wanted)) await ids.reserve(wanted);
    const draft: Draft = {
      room,
      write: emptyWrite(room.nid, extras.create),
      stored: [],
      changes: [],
      snapshots: [...(extras.snapshots ?? [])],
      redacted: [],
      followed: noneFollowed,
      knownBefore: [],
      begun: [],
      found: noneFound,
      hasMoved: false,
    };
    if (room.missingPrevEvents.size > 0) this.#noteFound(draft, arrivals);
    try {
      for (const arrival of arrivals) await this.#add(draft, arrival);
    } catch (error) {
      this.#abandon(draft);
      throw error;
    }
    return { events: draft.stored, committed: this.#commit(draft) };
  }

  /** Nothing was written. Where the room had moved already, memory is dropped. */
  #abandon(draft: Draft): void {
    const { room, write, hasMoved } = draft;
    for (const [index, nid] of draft.begun.entries()) {
      const known = draft.knownBefore[index];
      if (known === undefined || room.dead) this.#deps.events.forget(nid);
      else this.#deps.events.remember(known);
    }
    for (const [eventId, isFollowed] of draft.found)
      room.missingPrevEvents.set(eventId, isFollowed);
    // The chains are loaded anew only together with the room: until then writes that are under way
    // have places that the database does not know.
    if (hasMoved || write.chainPlaces.length > 0) {
      this.#deps.chains.drop(room.nid);
      this.#deps.registry.drop(room);
    }
  }

  #noteFound(draft: Draft, arrivals: readonly Arrival[]): void {
    const { room, write } = draft;
    const followed = new Set<EventId>();
    const found = new Map<EventId, boolean>();
    draft.followed = followed;
    draft.found = found;
    for (const { event } of arrivals) {
      const { eventId } = event;
      const isFollowed = room.missingPrevEvents.get(eventId);
      if (isFollowed === undefined) continue;
      if (isFollowed) followed.add(eventId);
      found.set(eventId, isFollowed);
      room.missingPrevEvents.delete(eventId);
      write.foundPrevEvents.push(eventId);
    }
  }

  async #add(draft: Draft, arrival: Arrival): Promise<void> {
    const { room } = draft;
    const { event, stateBefore } = arrival;
    const nid = arrival.nid ?? this.#deps.ids.next();
    const rejected = arrival.rejectedReason !== undefined;
    let stateAfter = stateBefore;
    let replacesNid: number | undefined;
    if (event.stateKey !== undefined && !rejected) {
      const key = stateKeyOf(event.type, event.stateKey);
      const ref = { nid, eventId: event.eventId, membership: membershipOf(event) };
      replacesNid = stateBefore.get(key)?.nid;
      stateAfter = stateBefore.with(this.#deps.ids.next(), new Map([[key, ref]]));
      draft.snapshots.push(stateAfter);
    }
    const stored: UnplacedEvent = {
      nid,
      roomNid: room.nid,
      event,
      streamPos: undefined,
      backfillPos: 0,
      snapshotBefore: stateBefore.nid,
      snapshotAfter: stateAfter.nid,
      currentSnapshot: undefined,
      replacesNid,
      rejectedReason: arrival.rejectedReason,
      softFailed: arrival.softFailed ?? false,
      redactedByNid: undefined,
      senderDevice: arrival.senderDevice,
      txnId: arrival.txnId,
    };
    if (stateAfter !== stateBefore) this.#deps.snapshots.remember(stateAfter);
    // Findable by state resolution and by the events that follow it, before it is committed.
    draft.begun.push(nid);
    draft.knownBefore.push(this.#deps.events.cached(nid));
    this.#deps.events.remember(stored);
    if (event.stateKey !== undefined) await this.#place(draft, stored);
    const changes = isAccepted(stored)
      ? await this.#advance(draft, stored, stateBefore, stateAfter)
      : noChanges;
    stored.currentSnapshot = room.state.nid;
    draft.hasMoved = true;
    for (const eventId of arrival.missingPrevEvents ?? []) {
      room.lacks(eventId, isAccepted(stored));
      draft.write.missingPrevEvents.push({ eventId, referencedByNid: nid });
    }
    draft.stored.push(stored);
    draft.changes.push(changes);
    const relayed = arrival.relay ?? serverNameOf(event.sender) === room.localServer;
    const row = rowOf(stored, arrival.json ?? exactJson(event.pdu));
    row.promoted = arrival.nid !== undefined;
    row.relayed = relayed;
    row.txnTarget = arrival.txnTarget ?? null;
    draft.write.events.push(row);
    if (changes.size > 0) {
      draft.write.changes.push(await this.#deps.membershipEffects.rowsFor(room, stored, changes));
    }
    if (isAccepted(stored) && concernsRedactions(room, stored)) {
      const isWithheld = await this.#redact(draft, stored);
      stored.softFailed = isWithheld;
      row.softFailed = isWithheld;
    }
  }

  /** Moves the forward extremities and with them the current state. Returns what changed. */
  async #advance(
    draft: Draft,
    stored: StoredEvent,
    stateBefore: StateSnapshot,
    stateAfter: StateSnapshot,
  ): Promise<Changes> {
    const { room } = draft;
    const { event } = stored;
    const before = room.state;
    const extremities = headsWith(room, stored, draft.followed);
    let after = stateAfter;
    if (extremities.length > 1 || extremities[0] !== stored) {
      const states = await Promise.all(
        extremities.map((held) =>
          held === stored
            ? stateAfter
            : this.#deps.snapshots.load(room.nid, held.snapshotAfter as number),
        ),
      );
      const merged = await this.#deps.merger.merge(room, states, before);
      after = merged.state;
      if (merged.isNew) draft.snapshots.push(after);
    }
    // Nothing of the room has changed up to here, so a failure above leaves it as it was.
    draft.hasMoved = true;
    room.extremities = extremities;
    if (after.nid === before.nid) return noChanges;
    const linear = after === stateAfter && stateBefore.nid === before.nid;
    const key = stateKeyOf(event.type, event.stateKey ?? '');
    const changes: Changes = linear
      ? new Map([[key, after.get(key) as StateRef]])
      : before.changesTo(after);
    for (const [changed, ref] of changes) {
      const userId = memberOfKey(changed);
      const joined = 'membership' in ref && ref.membership === 'join';
      if (userId === undefined || joined === (before.get(changed)?.membership === 'join')) continue;
      draft.write.memberChanges.push({ causedByNid: stored.nid, userId, joined });
    }
    for (const change of room.moveTo(after, changes)) {
      draft.write.serverChanges.push({ causedByNid: stored.nid, ...change });
    }
    const outsider = outsiderToTell(room, event, before.get(key)?.membership);
    if (outsider !== undefined && after.get(key)?.nid === stored.nid) {
      draft.write.outsiders.push({ eventNid: stored.nid, server: outsider });
    }
    return changes;
  }

  /** Whether the event is to be kept from clients. */
  async #redact({ room, write, redacted }: Draft, stored: StoredEvent): Promise<boolean> {
    const { eventId } = stored.event;
    if (room.unappliedRedactions.has(eventId)) write.awaitedTargets.push(eventId);
    const effects = await redactionEffects(this.#deps, room, stored);
    write.unappliedRedactions.push(...effects.unapplied);
    for (const target of effects.redacted) {
      write.redactions.push({
        eventNid: target.nid,
        redactedByNid: target.redactedByNid as number,
        json: exactJson(target.event.pdu),
      });
      redacted.push(target);
    }
    return effects.withheld;
  }

  async #place({ room, write }: Draft, stored: StoredEvent): Promise<void> {
    const { places, links } = await this.#deps.chains.place(room.nid, [stored]);
    write.chainPlaces.push(...places);
    write.chainLinks.push(...links);
  }

  #commit(draft: Draft): Promise<void> {
    const { room, write } = draft;
    for (const snapshot of draft.snapshots) write.snapshots.push(snapshotRow(room.nid, snapshot));
    write.head = {
      extremities: room.extremities.map(({ nid }) => nid),
      snapshotNid: room.state.nid,
      joined: room.joinedCount,
      invited: room.invitedCount,
    };
    room.pendingWrites += 1;
    const committed = this.#deps.log.append({
      parts: [rowsOf(roomEvents, [write])],
      ground: room.ground,
      stillValid: () => !room.dead,
      committed: () => {
        room.pendingWrites -= 1;
        for (const [index, event] of draft.stored.entries()) {
          event.streamPos = (write.events[index] as EventRow).streamPos as number;
        }
        for (const eventId of write.awaitedTargets) room.unappliedRedactions.delete(eventId);
        this.#deps.merger.stored(draft.snapshots.map(({ nid }) => nid));
      },
      failed: () => {
        room.pendingWrites -= 1;
        for (const { nid } of draft.stored) this.#deps.events.forget(nid);
        this.#deps.chains.drop(room.nid);
        this.#deps.merger.clear();
        this.#deps.registry.drop(room);
      },
    });
    // Whoever awaits `committed` sees a failure; nobody else needs to.
    committed.catch(() => undefined);
    room.lastWrite = committed;
    return committed;
  }
}

/**
 * The forward extremities once an event is there. One that came after an event that follows it is
 * none of them, but takes the places of those that it follows itself.
 */
const headsWith = (
  { extremities }: LiveRoom,
  stored: StoredEvent,
  followed: ReadonlySet<EventId>,
): readonly StoredEvent[] => {
  const { eventId, prevEventIds } = stored.event;
  const kept = extremities.filter((held) => !prevEventIds.includes(held.event.eventId));
  return kept.length > 0 && followed.has(eventId) ? kept : [...kept, stored];
};
