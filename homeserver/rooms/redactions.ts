/**
 * What a newly known event means for redactions: it may be one, or be waited for by one.
 * https://spec.matrix.org/v1.19/rooms/v12/#handling-redactions
 */
import { mayApplyRedaction } from '../../spec/auth/redaction.ts';
import { stateKeyOf } from '../../spec/event.ts';
import type { EventId } from '../../spec/identifiers.ts';
import { redactEvent, redactsOf } from '../../spec/redaction.ts';
import { authEventsIn } from './auth-selection.ts';
import type { EventStore } from './event-store.ts';
import type { LiveRoom } from './live-room.ts';
import type { StoredEvent } from './stored-event.ts';

export interface RedactionEffects {
  /** Events in their redacted form. */
  readonly redacted: readonly StoredEvent[];
  /** Targets that are not known yet. */
  readonly unapplied: readonly { readonly eventId: EventId; readonly redactionNid: number }[];
}

/**
 * Every event concerned must be known to `events`. Decided by the room's power levels as they are
 * now; `room.unappliedRedactions` is brought in line.
 */
export const redactionEffects = async (
  events: EventStore,
  room: LiveRoom,
  stored: StoredEvent,
): Promise<RedactionEffects> => {
  const redacted: StoredEvent[] = [];
  const unapplied: { eventId: EventId; redactionNid: number }[] = [];
  const targetId = redactsOf(stored.event, room.rules);
  if (targetId !== undefined) {
    const target = await events.inRoom(room.nid, targetId);
    if (target === undefined) {
      unapplied.push({ eventId: targetId, redactionNid: stored.nid });
      const waiting = room.unappliedRedactions.get(targetId) ?? [];
      room.unappliedRedactions.set(targetId, [...waiting, stored.nid]);
    } else {
      redacted.push(...(await redactedForm(events, room, stored, target)));
    }
  }
  for (const nid of room.unappliedRedactions.get(stored.event.eventId) ?? []) {
    const redaction = await events.byNid(room.nid, nid);
    if (redaction === undefined || redacted.length > 0) continue;
    redacted.push(...(await redactedForm(events, room, redaction, stored)));
  }
  return { redacted, unapplied };
};

const redactedForm = async (
  events: EventStore,
  room: LiveRoom,
  redaction: StoredEvent,
  target: StoredEvent,
): Promise<StoredEvent[]> => {
  if (target.roomNid !== room.nid || target.redactedByNid !== undefined) return [];
  const { createEvent, byKey } = await authEventsIn(events, room, room.state, redaction.event);
  const input = {
    createEvent,
    state: (type: string, stateKey: string) => byKey.get(stateKeyOf(type, stateKey)),
  };
  if (!mayApplyRedaction(redaction.event, target.event, input, room.rules)) return [];
  const event = redactEvent(target.event, room.rules);
  return [{ ...target, event, redactedByNid: redaction.nid }];
};
