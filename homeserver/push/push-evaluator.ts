/**
 * What a person's push rules say about an event. An event is made ready once and shared by everyone
 * who is asked about it while it is in memory. The number of members, the power levels and display
 * names are those of the present: what comes late is judged by the room as it is.
 */
import { type MatrixEvent, type Pdu, stateKeyOf } from '../../spec/event.ts';
import { trustedEvent } from '../../spec/event-format.ts';
import type { EventId } from '../../spec/identifiers.ts';
import { type PowerLevels, powerLevelsOf } from '../../spec/power-levels.ts';
import { evaluateRuleset, type PushVerdict } from '../../spec/push-rules/evaluate.ts';
import { PreparedEvent } from '../../spec/push-rules/prepared-event.ts';
import { rulesOf } from '../../spec/room-versions.ts';
import type { EventStore } from '../rooms/event-store.ts';
import type { LiveRoom } from '../rooms/live-room.ts';
import type { RoomRegistry } from '../rooms/room-registry.ts';
import type { StoredEvent } from '../rooms/stored-event.ts';
import type { Db } from '../storage/database.ts';
import { type PushRoomRecord, pushRooms } from '../storage/unread-events.ts';
import type { UserRules } from './user-rules.ts';

/** A room as the rules of one person see it. */
export interface PushContext {
  readonly rules: UserRules;
  readonly memberCount: number;
  /** Worked out only for events that nobody was asked about before. */
  readonly levels: () => PowerLevels;
  readonly displayName: string | undefined;
}

const powerLevelsKey = stateKeyOf('m.room.power_levels', '');
const createKey = stateKeyOf('m.room.create', '');

export class PushEvaluator {
  readonly #db: Db;
  readonly #events: EventStore;
  readonly #registry: RoomRegistry;
  readonly #prepared = new WeakMap<StoredEvent, PreparedEvent>();

  constructor(db: Db, events: EventStore, registry: RoomRegistry) {
    this.#db = db;
    this.#events = events;
    this.#registry = registry;
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

  /** Of many rooms at once, by nid; those this server does not have are left out. */
  async contextsOf(
    roomNids: readonly number[],
    rules: UserRules,
  ): Promise<Map<number, PushContext>> {
    const contexts = new Map<number, PushContext>();
    const absent: number[] = [];
    for (const roomNid of roomNids) {
      const room = this.#registry.cached(roomNid);
      const context = room && this.contextOf(room, rules);
      if (context === undefined || context instanceof Promise) absent.push(roomNid);
      else contexts.set(roomNid, context);
    }
    if (absent.length === 0) return contexts;
    for (const record of await pushRooms(this.#db, rules.userId, absent)) {
      contexts.set(record.room_nid, contextFrom(record, rules));
    }
    return contexts;
  }

  /** Nobody is notified of their own events: those are not to be asked about. */
  verdict(context: PushContext, stored: StoredEvent): PushVerdict {
    let prepared = this.#prepared.get(stored);
    if (prepared === undefined) {
      const levels = context.levels();
      prepared = new PreparedEvent(stored.event, {
        memberCount: context.memberCount,
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
    rules,
    memberCount: room.committed.joinedCount,
    levels: () => powerLevelsOf(powerLevels?.event, create?.event, room.rules),
    displayName: typeof displayName === 'string' ? displayName : undefined,
  };
};

/** The same of a room that is not in memory. */
const contextFrom = (record: PushRoomRecord, rules: UserRules): PushContext => {
  const eventOf = (json: string | null): MatrixEvent | undefined =>
    json === null ? undefined : trustedEvent(JSON.parse(json) as Pdu, '' as EventId);
  const roomRules = rulesOf(record.version);
  if (roomRules === undefined) throw new Error(`No room version ${record.version}`);
  const displayName = eventOf(record.member)?.content['displayname'];
  return {
    rules,
    memberCount: record.joined,
    levels: () => powerLevelsOf(eventOf(record.power_levels), eventOf(record.create), roomRules),
    displayName: typeof displayName === 'string' ? displayName : undefined,
  };
};
