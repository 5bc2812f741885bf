/**
 * What a person's push rules say about an event. An event is made ready once and shared by everyone
 * who is asked about it while it is in memory. The number of members, the power levels and display
 * names are those of the present: what comes late is judged by the room as it is.
 */
import { stateKeyOf } from '../../spec/event.ts';
import { type PowerLevels, powerLevelsOf } from '../../spec/power-levels.ts';
import { evaluateRuleset, type PushVerdict } from '../../spec/push-rules/evaluate.ts';
import { PreparedEvent } from '../../spec/push-rules/prepared-event.ts';
import type { EventStore } from '../rooms/event-store.ts';
import type { LiveRoom } from '../rooms/live-room.ts';
import type { StoredEvent } from '../rooms/stored-event.ts';
import type { UserRules } from './user-rules.ts';

/** A room as the rules of one person see it. */
export interface PushContext {
  readonly room: LiveRoom;
  readonly rules: UserRules;
  /** Worked out only for events that nobody was asked about before. */
  readonly levels: () => PowerLevels;
  readonly displayName: string | undefined;
}

const powerLevelsKey = stateKeyOf('m.room.power_levels', '');
const createKey = stateKeyOf('m.room.create', '');

export class PushEvaluator {
  readonly #events: EventStore;
  readonly #prepared = new WeakMap<StoredEvent, PreparedEvent>();

  constructor(events: EventStore) {
    this.#events = events;
  }

  /** At once when the state it needs is in memory. */
  contextOf(room: LiveRoom, rules: UserRules): PushContext | Promise<PushContext> {
    const keys = [powerLevelsKey, createKey];
    // No predefined rule asks for a display name.
    if (rules.streamPos > 0) keys.push(stateKeyOf('m.room.member', rules.userId));
    const nids = keys.map((key) => room.committed.state.get(key)?.nid);
    const cached = nids.map((nid) => (nid === undefined ? undefined : this.#events.cached(nid)));
    if (cached.every((event, index) => event !== undefined || nids[index] === undefined)) {
      return makeContext(room, rules, cached);
    }
    const wanted = nids.filter((nid) => nid !== undefined);
    return this.#events.manyByNid(room.nid, wanted).then((found) =>
      makeContext(
        room,
        rules,
        nids.map((nid) => (nid === undefined ? undefined : found.get(nid))),
      ),
    );
  }

  /** Nobody is notified of their own events: those are not to be asked about. */
  verdict(context: PushContext, stored: StoredEvent): PushVerdict {
    let prepared = this.#prepared.get(stored);
    if (prepared === undefined) {
      const levels = context.levels();
      prepared = new PreparedEvent(stored.event, {
        memberCount: context.room.committed.joinedCount,
        senderPowerLevel: levels.ofUser(stored.event.sender),
        notificationLevels: levels.notificationLevels(),
      });
      this.#prepared.set(stored, prepared);
    }
    return evaluateRuleset(context.rules.compiled, prepared, context.displayName);
  }
}

const makeContext = (
  room: LiveRoom,
  rules: UserRules,
  [powerLevels, create, member]: readonly (StoredEvent | undefined)[],
): PushContext => {
  const displayName = member?.event.content['displayname'];
  return {
    room,
    rules,
    levels: () => powerLevelsOf(powerLevels?.event, create?.event, room.rules),
    displayName: typeof displayName === 'string' ? displayName : undefined,
  };
};
