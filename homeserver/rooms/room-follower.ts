/**
 * What memory learns of committed writes to rooms, from their rows: the events and their places, what
 * was redacted, and the room as it is now. Whose writes they are makes no difference.
 */

import type { StateKey } from '../../spec/event.ts';
import { stateKeyOf } from '../../spec/event.ts';
import { storedEvent } from '../../spec/event-format.ts';
import type { EventId, RoomId } from '../../spec/identifiers.ts';
import { roomPurges } from '../storage/abandoned-rooms.ts';
import { type EventRow, type RoomWrite, roomEvents } from '../storage/event-section.ts';
import type { Log } from '../streams/log.ts';
import type { AuthChains } from './auth-chains.ts';
import type { EventStore } from './event-store.ts';
import { isAccepted, type LiveRoom } from './live-room.ts';
import { showCarriedOut } from './redactions.ts';
import type { RoomObserver } from './room-observer.ts';
import type { RoomRegistry } from './room-registry.ts';
import { RoomView } from './room-view.ts';
import type { SnapshotStore } from './snapshot-store.ts';
import type { Removed, StateRef } from './state-snapshot.ts';
import type { StoredEvent } from './stored-event.ts';

export interface RoomFollowerDeps {
  readonly log: Log;
  readonly events: EventStore;
  readonly snapshots: SnapshotStore;
  readonly chains: AuthChains;
  readonly registry: RoomRegistry;
  readonly observer: RoomObserver;
}

type Changes = ReadonlyMap<StateKey, StateRef | Removed>;
type ChangeRows = RoomWrite['changes'][number];

const noChanges: Changes = new Map();

export class RoomFollower {
  readonly #deps: RoomFollowerDeps;

  constructor(deps: RoomFollowerDeps) {
    this.#deps = deps;
    deps.log.onRows(roomEvents, (writes, isOurs) => {
      for (const write of writes) this.#follow(write, isOurs);
    });
    deps.log.onRows(roomPurges, (roomNids) => {
      for (const roomNid of roomNids) this.#drop(roomNid);
    });
  }

  /** The room is no longer one of this server. */
  #drop(roomNid: number): void {
    const { registry, events } = this.#deps;
    const room = registry.cached(roomNid);
    if (room !== undefined) registry.drop(room);
    events.forgetRoom(roomNid);
  }

  #follow(write: RoomWrite, isOurs: boolean): void {
    const { registry, observer, chains } = this.#deps;
    const [first] = write.events;
    if (!isOurs && write.chainPlaces.length > 0) chains.drop(write.roomNid);
    // Snapshots, a room's creation: nothing that memory holds.
    if (first === undefined) return;
    const room = registry.following(write.roomNid);
    const stored = this.#take(write);
    if (room === undefined) {
      if (write.redactions.length > 0) this.#redact(undefined, write, stored);
      registry.onceLoaded(write.roomNid, (loaded) => this.#show(loaded, write, stored, isOurs));
    } else this.#show(room, write, stored, isOurs);
    if (first.place !== 'live') observer.usersChanged(write.roomNid, first.roomId as RoomId, write);
    else if (room === undefined) observer.appendedUnseen(stored, write);
    else observer.appended(room, stored, write, isOurs);
  }

  /** Brings a room in memory in line with a write to it. */
  #show(room: LiveRoom, write: RoomWrite, stored: StoredEvent[], isOurs: boolean): void {
    if (write.redactions.length > 0) this.#redact(room, write, stored);
    if (!isOurs) this.#keepGround(room, write, stored);
    if (write.events[0]?.place !== 'live') return;
    room.committed = isOurs ? this.#viewAfter(room.committed, write) : room.ahead;
    this.#addToTimeline(room, write, stored);
  }

  /** What the next event of the room will build on, which another process has moved. */
  #keepGround(room: LiveRoom, write: RoomWrite, stored: readonly StoredEvent[]): void {
    const { registry, events } = this.#deps;
    for (const eventId of write.foundPrevEvents) room.missingPrevEvents.delete(eventId as EventId);
    for (const { eventId, referencedByNid } of write.missingPrevEvents) {
      const by = stored.find(({ nid }) => nid === referencedByNid);
      room.lacks(eventId as EventId, by !== undefined && isAccepted(by));
    }
    for (const { eventId, redactionNid } of write.unappliedRedactions) {
      const waiting = room.unappliedRedactions.get(eventId) ?? [];
      room.unappliedRedactions.set(eventId, [...waiting, redactionNid]);
    }
    for (const eventId of write.awaitedTargets) room.unappliedRedactions.delete(eventId);
    if (write.head === undefined) return;
    const changes = new Map(write.changes.flatMap((rows) => [...changesOf(rows)]));
    room.moveTo(this.#viewAfter(room.ahead, write).state, changes);
    const known = [...stored, ...room.extremities];
    room.extremities = write.head.extremities.flatMap(
      (head) => known.find(({ nid }) => nid === head) ?? events.cached(head) ?? [],
    );
    // Loaded anew when next asked for, rather than written on top of half of its heads.
    if (room.extremities.length < write.head.extremities.length) registry.drop(room);
  }

  /** The events of a write as they are now known, but for outliers: nobody looks for those yet. */
  #take({ events: rows }: RoomWrite): StoredEvent[] {
    const { events } = this.#deps;
    const taken: StoredEvent[] = [];
    for (const row of rows) {
      if (row.place === 'outlier') continue;
      const cached = events.cached(row.eventNid);
      const streamPos = row.place === 'announced' ? undefined : (row.streamPos ?? undefined);
      if (cached !== undefined && cached.streamPos === streamPos) {
        taken.push(cached);
        continue;
      }
      const stored = storedEventOf(row, streamPos, cached);
      events.remember(stored);
      taken.push(stored);
    }
    return taken;
  }

  /** Replaces in `written`, and wherever else they are held, events by their redacted forms. */
  #redact(room: LiveRoom | undefined, { redactions }: RoomWrite, written: StoredEvent[]): void {
    const { events } = this.#deps;
    for (const { eventNid, redactedByNid, json } of redactions) {
      const at = written.findIndex(({ nid }) => nid === eventNid);
      const known = written[at] ?? room?.recent.find(eventNid) ?? events.cached(eventNid);
      if (known !== undefined) {
        const { eventId } = known.event;
        const pruned = { ...known, event: storedEvent(json, eventId), redactedByNid };
        if (at >= 0) written[at] = pruned;
        events.remember(pruned);
        room?.recent.replace(pruned);
      }
      const by = written.findIndex(({ nid }) => nid === redactedByNid);
      const redaction = written[by];
      if (redaction === undefined) showCarriedOut(events, redactedByNid);
      else if (redaction.softFailed) {
        const shown = { ...redaction, softFailed: false };
        written[by] = shown;
        events.remember(shown);
      }
    }
  }

  #viewAfter(before: RoomView, { head, changes }: RoomWrite): RoomView {
    if (head === undefined) return before;
    const { snapshotNid, joined, invited } = head;
    if (snapshotNid === before.state.nid) return before;
    const { snapshots } = this.#deps;
    let state = snapshots.cached(snapshotNid);
    if (state === undefined) {
      state = before.state.with(
        snapshotNid,
        new Map(changes.flatMap((rows) => [...changesOf(rows)])),
      );
      snapshots.remember(state);
    }
    return new RoomView(state, joined, invited);
  }

  #addToTimeline(room: LiveRoom, write: RoomWrite, stored: readonly StoredEvent[]): void {
    const bytesBefore = room.recent.bytes;
    for (const event of stored) {
      const { nid } = event;
      const changes = write.changes.find(({ causedByNid }) => causedByNid === nid);
      room.recent.add({
        position: event.streamPos as number,
        stored: isAccepted(event) ? event : undefined,
        isAfterGap: write.missingPrevEvents.some(({ referencedByNid }) => referencedByNid === nid),
        changes: changes === undefined ? noChanges : changesOf(changes),
      });
    }
    this.#deps.registry.recentAdded(room.recent.bytes - bytesBefore);
  }
}

/** From the row that was written; the event itself from memory, where it is known. */
const storedEventOf = (
  row: EventRow,
  streamPos: number | undefined,
  known: StoredEvent | undefined,
): StoredEvent => ({
  nid: row.eventNid,
  roomNid: row.roomNid,
  event: known?.event ?? storedEvent(row.json, row.eventId as EventId),
  streamPos,
  backfillPos: row.backfillPos,
  snapshotBefore: row.snapshotBefore ?? undefined,
  snapshotAfter: row.snapshotAfter ?? undefined,
  currentSnapshot: row.currentSnapshot ?? undefined,
  replacesNid: row.replacesNid ?? undefined,
  rejectedReason: row.rejectedReason ?? undefined,
  softFailed: row.softFailed,
  redactedByNid: known?.redactedByNid,
  senderDevice: row.senderDevice ?? undefined,
  txnId: row.txnId ?? undefined,
});

const changesOf = ({ rows }: ChangeRows): Changes =>
  new Map(
    rows.map(({ type, stateKey, eventNid, eventId, removedNid, membership }) => [
      stateKeyOf(type, stateKey),
      eventId === null
        ? { removedNid }
        : { nid: eventNid, eventId: eventId as EventId, membership: membership ?? undefined },
    ]),
  );
