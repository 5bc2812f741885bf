/**
 * A room whose history forks and merges, for telling stories about state resolution. Events are
 * made by hand, without hashes and signatures, so that a story chooses their ids and times.
 */
import { selectAuthKeys } from '../../auth/auth-events.ts';
import { rejectionOf } from '../../auth/authorise-event.ts';
import {
  type JsonObject,
  type MatrixEvent,
  type Pdu,
  type StateKey,
  type StateMap,
  stateKeyOf,
} from '../../event.ts';
import type { EventId, RoomId, UserId } from '../../identifiers.ts';
import { type RoomVersionRules, rulesOf } from '../../room-versions.ts';
import type { ResolutionSource } from '../event-source.ts';
import { resolveState } from '../resolve.ts';

export interface EventOptions {
  /** Without its sigil; by default numbered in the order of making. */
  readonly id?: string;
  readonly originServerTs?: number;
  readonly depth?: number;
  /** Instead of the selection from the fork's state. */
  readonly authEvents?: readonly MatrixEvent[];
}

export const userIdOf = (name: string): UserId => `@${name}:${name}.example` as UserId;

/** All the events of one room, whichever fork they are on. Alice creates it. */
export class ForkedRoom {
  readonly rules: RoomVersionRules;
  readonly roomId: RoomId;
  readonly events = new Map<EventId, MatrixEvent>();
  /** Events that the server rejected when it received them. */
  readonly rejected = new Set<EventId>();
  /** How many events were asked for, for tests of economy. */
  fetched = 0;

  constructor(version: string) {
    const rules = rulesOf(version);
    if (rules === undefined) throw new RangeError(`No room version ${version}`);
    this.rules = rules;
    this.roomId = (rules.roomIdIsCreateHash ? '!create' : '!room:alice.example') as RoomId;
  }

  readonly source: ResolutionSource = {
    fetchEvents: async (eventIds) => {
      this.fetched += eventIds.length;
      return new Map(
        eventIds.flatMap((eventId) => {
          const event = this.events.get(eventId);
          return event === undefined ? [] : [[eventId, event] as const];
        }),
      );
    },
    isRejected: (eventId) => this.rejected.has(eventId),
  };

  /** The room just created: Alice is in it, and nothing else happened. */
  create(content: JsonObject = {}): Fork {
    const fork = new Fork(this, new Map());
    const creator = this.rules.creatorInContent ? { creator: userIdOf('alice') } : {};
    fork.send('alice', 'm.room.create', '', { ...creator, ...content }, { id: 'create' });
    fork.member('alice', 'join');
    return fork;
  }

  /** Alice's room with power levels, by default hers alone, that anybody may join. */
  createPublic(levels: JsonObject = {}): Fork {
    const fork = this.create();
    fork.powerLevels('alice', levels);
    fork.send('alice', 'm.room.join_rules', '', { join_rule: 'public' });
    return fork;
  }

  resolve(...states: readonly StateMap[]): Promise<StateMap> {
    return resolveState(this.rules, states, this.source);
  }

  async merge(...forks: readonly Fork[]): Promise<Fork> {
    return new Fork(this, await this.resolve(...forks.map(({ state }) => state)));
  }
}

/** One line of a room's history, with the state at its end. */
export class Fork {
  readonly room: ForkedRoom;
  state: StateMap;

  constructor(room: ForkedRoom, state: StateMap) {
    this.room = room;
    this.state = state;
  }

  fork(): Fork {
    return new Fork(this.room, this.state);
  }

  get(type: string, stateKey = ''): MatrixEvent | undefined {
    const eventId = this.state.get(stateKeyOf(type, stateKey));
    return eventId === undefined ? undefined : this.room.events.get(eventId);
  }

  membership(name: string): unknown {
    return this.get('m.room.member', userIdOf(name))?.content['membership'];
  }

  /** Makes a state event that the fork's state allows, and puts it into the state. */
  send(
    sender: string,
    type: string,
    stateKey: string,
    content: JsonObject,
    options: EventOptions = {},
  ): MatrixEvent {
    const event = this.make(sender, type, stateKey, content, options);
    const rejection = this.rejectionOf(event);
    if (rejection !== undefined) throw rejection;
    this.put(event);
    return event;
  }

  /** Makes a state event without regard to what is allowed, and without putting it anywhere. */
  make(
    sender: string,
    type: string,
    stateKey: string,
    content: JsonObject,
    { id, originServerTs, depth, authEvents }: EventOptions = {},
  ): MatrixEvent {
    const { room } = this;
    const count = room.events.size + 1;
    const isHashedCreate = room.rules.roomIdIsCreateHash && type === 'm.room.create';
    const draft = { type, stateKey, sender: userIdOf(sender), content };
    const authEventIds =
      authEvents?.map(({ eventId }) => eventId) ??
      selectAuthKeys(draft, room.rules)
        .map((key) => this.state.get(key))
        .filter((eventId) => eventId !== undefined);
    const prevEventIds = [...room.events.keys()].slice(-1);
    const eventId = `$${id ?? `event${String(count).padStart(3, '0')}`}` as EventId;
    const event: MatrixEvent = {
      ...draft,
      eventId,
      roomId: room.roomId,
      originServerTs: originServerTs ?? count * 1_000,
      depth: depth ?? count,
      prevEventIds,
      authEventIds,
      pdu: {
        type,
        ...(isHashedCreate ? {} : { room_id: room.roomId }),
        sender: draft.sender,
        state_key: stateKey,
        content,
        origin_server_ts: originServerTs ?? count * 1_000,
        depth: depth ?? count,
        prev_events: prevEventIds,
        auth_events: authEventIds,
        hashes: { sha256: '' },
        signatures: {},
      } as Pdu,
    };
    if (room.events.has(eventId)) throw new RangeError(`Two events with the id ${eventId}`);
    room.events.set(eventId, event);
    return event;
  }

  /** What forbids an event in the fork's state. */
  rejectionOf(event: MatrixEvent): Error | undefined {
    const state = (type: string, stateKey: string) => this.get(type, stateKey);
    return rejectionOf(event, this.room.rules, { createEvent: state('m.room.create', ''), state });
  }

  put(...events: readonly MatrixEvent[]): this {
    const state = new Map<StateKey, EventId>(this.state);
    for (const event of events) {
      state.set(stateKeyOf(event.type, event.stateKey ?? ''), event.eventId);
    }
    this.state = state;
    return this;
  }

  /** Power levels by name; Alice has 100 where that needs saying. */
  powerLevels(sender: string, users: JsonObject, options: EventOptions = {}): MatrixEvent {
    const all = this.room.rules.powerLevels.creatorsAreInfinite ? users : { alice: 100, ...users };
    const byUserId = Object.entries(all).map(([name, level]) => [userIdOf(name), level]);
    const content = { users: Object.fromEntries(byUserId) };
    return this.send(sender, 'm.room.power_levels', '', content, options);
  }

  topic(sender: string, topic: string, options: EventOptions = {}): MatrixEvent {
    return this.send(sender, 'm.room.topic', '', { topic }, options);
  }

  joinRule(sender: string, rule: string, options: EventOptions = {}): MatrixEvent {
    return this.send(sender, 'm.room.join_rules', '', { join_rule: rule }, options);
  }

  /** A membership that a user gives themselves or, with `target`, somebody else. */
  member(
    sender: string,
    membership: string,
    { target = sender, ...options }: EventOptions & { readonly target?: string } = {},
  ): MatrixEvent {
    return this.send(sender, 'm.room.member', userIdOf(target), { membership }, options);
  }
}
