/**
 * What a newly known event means for redactions: it may be one, or be waited for by one.
 * https://spec.matrix.org/v1.19/rooms/v12/#handling-redactions
 */
import { mayApplyRedaction } from '../../spec/auth/redaction.ts';
import type { EventId } from '../../spec/identifiers.ts';
import { redactEvent, redactsOf } from '../../spec/redaction.ts';
import type { RoomVersionRules } from '../../spec/room-versions.ts';
import { authEventsIn, stateIn } from './auth-selection.ts';
import type { EventStore } from './event-store.ts';
import type { LiveRoom } from './live-room.ts';
import type { SnapshotStore } from './snapshot-store.ts';
import type { StoredEvent } from './stored-event.ts';

export interface RedactionStores {
  readonly events: EventStore;
  readonly snapshots: SnapshotStore;
}

export interface RedactionEffects {
  /** Events in their redacted form. */
  readonly redacted: readonly StoredEvent[];
  /** Targets that are not known yet. */
  readonly unapplied: readonly { readonly eventId: EventId; readonly redactionNid: number }[];
  /**
   * Whether the event is a redaction to be kept from clients until it is carried out: marked like
   * one that failed softly, but a part of the room as any other.
   */
  readonly withheld: boolean;
}

/** Whether `redactionEffects` has anything to say of an event: of most it has not. */
export const concernsRedactions = (room: LiveRoom, { event }: StoredEvent): boolean =>
  event.type === 'm.room.redaction' || room.unappliedRedactions.has(event.eventId);

/**
 * Every event concerned must be known to `events`. Decided by the state at the redaction, the same on
 * every server; `room.unappliedRedactions` is brought in line.
 */
export const redactionEffects = async (
  stores: RedactionStores,
  room: LiveRoom,
  stored: StoredEvent,
): Promise<RedactionEffects> => {
  const { rules } = room;
  const { events } = stores;
  const redacted: StoredEvent[] = [];
  const unapplied: { eventId: EventId; redactionNid: number }[] = [];
  let applies = false;
  const targetId = redactsOf(stored.event, rules);
  if (targetId !== undefined) {
    const target = await events.inRoom(room.nid, targetId);
    if (target === undefined) {
      unapplied.push({ eventId: targetId, redactionNid: stored.nid });
      const waiting = room.unappliedRedactions.get(targetId) ?? [];
      room.unappliedRedactions.set(targetId, [...waiting, stored.nid]);
    } else {
      applies = await mayApply(stores, room, stored, target);
      if (applies && target.redactedByNid === undefined) {
        redacted.push(redactedForm(stored, target, rules));
      }
    }
  }
  const waiting = stored.redactedByNid === undefined ? waitingFor(room, stored) : [];
  for (const nid of waiting) {
    const redaction = await events.byNid(room.nid, nid);
    if (redaction === undefined || !(await mayApply(stores, room, redaction, stored))) continue;
    redacted.push(redactedForm(redaction, stored, rules));
    break;
  }
  return { redacted, unapplied, withheld: isKeptUntilApplied(stored, rules) && !applies };
};

const waitingFor = (room: LiveRoom, { event }: StoredEvent): readonly number[] =>
  room.unappliedRedactions.get(event.eventId) ?? [];

/**
 * "They should not be sent to clients until both the redaction event and the event the redaction
 * affects have been received, and can be validated." State is shown as the room has it.
 */
const isKeptUntilApplied = ({ event }: StoredEvent, rules: RoomVersionRules): boolean =>
  event.type === 'm.room.redaction' && event.stateKey === undefined && !rules.authoriseRedactions;

const redactedForm = (
  redaction: StoredEvent,
  target: StoredEvent,
  rules: RoomVersionRules,
): StoredEvent => ({
  ...target,
  event: redactEvent(target.event, rules),
  redactedByNid: redaction.nid,
});

const mayApply = async (
  { events, snapshots }: RedactionStores,
  room: LiveRoom,
  redaction: StoredEvent,
  target: StoredEvent,
): Promise<boolean> => {
  if (target.roomNid !== room.nid) return false;
  const { snapshotBefore } = redaction;
  if (snapshotBefore === undefined) return false;
  const state =
    snapshotBefore === room.state.nid ? room.state : await snapshots.load(room.nid, snapshotBefore);
  const { createEvent, listed } = await authEventsIn(events, room, state, redaction.event);
  const input = {
    createEvent,
    state: stateIn(listed),
  };
  return mayApplyRedaction(redaction.event, target.event, input, room.rules);
};

/** A redaction that has waited and is committed as carried out is kept from nobody any more. */
export const showCarriedOut = (events: EventStore, redactionNid: number): void => {
  const redaction = events.cached(redactionNid);
  if (redaction?.softFailed === true) events.remember({ ...redaction, softFailed: false });
};
