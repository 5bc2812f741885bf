/** Orders for events that refer to each other, as auth events or previous events. */
import type { MatrixEvent } from '../../spec/event.ts';
import type { EventId } from '../../spec/identifiers.ts';

/** Those an event refers to come before it; a cycle, which no honest server makes, is cut. */
export const inReferenceOrder = (
  events: readonly MatrixEvent[],
  referencesOf: (event: MatrixEvent) => readonly EventId[],
): MatrixEvent[] => {
  const byId = new Map(events.map((event) => [event.eventId, event]));
  const entered = new Set<EventId>();
  const ordered = new Set<MatrixEvent>();
  for (const first of byId.values()) {
    const stack = [first];
    for (let event = stack.at(-1); event !== undefined; event = stack.at(-1)) {
      const before: MatrixEvent[] = [];
      if (!entered.has(event.eventId)) {
        entered.add(event.eventId);
        for (const id of referencesOf(event)) {
          const referred = byId.get(id);
          if (referred !== undefined && !entered.has(id)) before.push(referred);
        }
      }
      if (before.length > 0) {
        stack.push(...before);
      } else {
        ordered.add(event);
        stack.pop();
      }
    }
  }
  return [...ordered];
};

export const inAuthOrder = (events: readonly MatrixEvent[]): MatrixEvent[] =>
  inReferenceOrder(events, ({ authEventIds }) => authEventIds);
