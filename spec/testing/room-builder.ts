/**
 * A timeline builder for tests: rooms of real, hashed and signed events, in which a test states
 * only its own point. Depth, time, prev and auth events are filled in; keys come from the server's
 * name; nothing is random, so the same calls give the same events.
 *
 * Events are not authorised: a test may well want one that is not.
 */
import { createHash } from 'node:crypto';
import { selectAuthKeys } from '../auth/auth-events.ts';
import { type BuiltEvent, buildEvent } from '../build-event.ts';
import {
  type JsonObject,
  type MatrixEvent,
  type StateKey,
  type StateMap,
  stateKeyOf,
} from '../event.ts';
import { referenceHash, signedJson } from '../hashes.ts';
import { type EventId, type RoomId, serverNameOf, type UserId } from '../identifiers.ts';
import { DEFAULT_ROOM_VERSION, type RoomVersionRules, rulesOf } from '../room-versions.ts';
import { type SigningKey, signingKeyFromSeed, signText, withSignature } from '../signing.ts';

export interface RoomOptions {
  readonly version?: string;
  /** `@alice:alpha.test` unless given. */
  readonly creator?: string;
  readonly createContent?: JsonObject;
  /** Makes rooms of the same shape distinct. */
  readonly name?: string;
  /**
   * Resolves the states that meet where an event has several prev events. Without it such states
   * must be equal, or the event must name its `stateBefore`.
   */
  readonly resolve?: (states: readonly StateMap[], room: RoomBuilder) => StateMap;
}

export interface SendOptions {
  readonly type: string;
  readonly sender: string;
  readonly stateKey?: string;
  readonly content?: JsonObject;
  /** The room's forward extremities unless given. */
  readonly prev?: readonly MatrixEvent[];
  /** Chosen from the state before the event unless given. */
  readonly auth?: readonly MatrixEvent[];
  readonly stateBefore?: StateMap;
  readonly ts?: number;
  readonly depth?: number;
  readonly redacts?: EventId;
  /** Further servers that sign. */
  readonly alsoSignedBy?: readonly string[];
}

const FIRST_TS = 1_700_000_000_000;
const STEP_MS = 1_000;
const signingKeys = new Map<string, SigningKey>();

/** The signing key that a server has in every test. */
export const testSigningKey = (serverName: string): SigningKey => {
  let key = signingKeys.get(serverName);
  if (key === undefined) {
    key = signingKeyFromSeed('test', createHash('sha256').update(serverName).digest());
    signingKeys.set(serverName, key);
  }
  return key;
};

/** The state after an event: that after its parent, or a given one, and what the event sets. */
interface StateChange {
  readonly base: EventId | StateMap;
  readonly key: StateKey | undefined;
}

export class RoomBuilder {
  readonly rules: RoomVersionRules;
  readonly create: MatrixEvent;
  readonly creator: UserId;
  /** Every event, in the order of making. */
  readonly timeline: MatrixEvent[] = [];
  readonly events = new Map<EventId, MatrixEvent>();
  /** The canonical JSON of each event, as it travels. */
  readonly json = new Map<EventId, string>();
  readonly #name: string;
  readonly #resolve: RoomOptions['resolve'];
  readonly #changes = new Map<EventId, StateChange>();
  /** The state after the event looked at last, moved along in place while a timeline is straight. */
  #live: { eventId: EventId; state: Map<StateKey, EventId> } | undefined;
  #extremities: MatrixEvent[] = [];
  #count = 0;

  constructor({
    version = DEFAULT_ROOM_VERSION,
    creator = '@alice:alpha.test',
    createContent = {},
    name = 'room',
    resolve,
  }: RoomOptions = {}) {
    const rules = rulesOf(version);
    if (rules === undefined) throw new TypeError(`unknown room version ${version}`);
    this.rules = rules;
    this.creator = creator as UserId;
    this.#name = name;
    this.#resolve = resolve;
    this.create = this.send({
      type: 'm.room.create',
      stateKey: '',
      sender: creator,
      content: {
        room_version: version,
        ...(rules.creatorInContent && { creator }),
        // Room ids made of the create event differ only if their create events do.
        ...(rules.roomIdIsCreateHash && name !== 'room' && { name }),
        ...createContent,
      },
      prev: [],
    });
  }

  get roomId(): RoomId {
    return this.create.roomId;
  }

  /** The newest events that no other follows. */
  get extremities(): readonly MatrixEvent[] {
    return this.#extremities;
  }

  /** Appends an event; after the extremities, unless `prev` makes it a fork. */
  send(options: SendOptions): MatrixEvent {
    const { type, stateKey, content = {}, prev = this.#extremities } = options;
    const sender = options.sender as UserId;
    const number = this.#count++;
    const base = options.stateBefore ?? this.#baseFor(prev);
    const auth =
      options.auth ?? this.#selectAuth({ type, stateKey, sender, content }, this.#stateOf(base));
    const serverName = serverNameOf(sender);
    const isVersion12Create = type === 'm.room.create' && this.rules.roomIdIsCreateHash;
    const built = buildEvent(
      {
        type,
        stateKey,
        sender,
        content,
        roomId: isVersion12Create ? undefined : this.#roomIdFor(sender),
        prev: prev.map((event) => event.eventId),
        auth: auth.map((event) => event.eventId),
        depth: options.depth ?? Math.max(0, ...prev.map((event) => event.depth)) + 1,
        ts: options.ts ?? FIRST_TS + number * STEP_MS,
        redacts: options.redacts,
        eventId:
          this.rules.eventIdFormat === 'domain'
            ? (`$${this.#name}-${number}:${serverName}` as EventId)
            : undefined,
        referenceHash: (eventId) => referenceHash(this.#event(eventId).pdu, this.rules),
      },
      this.rules,
      serverName,
      testSigningKey(serverName),
    );
    return this.#add(this.#alsoSign(built, options.alsoSignedBy ?? []), base);
  }

  /** A state event with an empty state key, unless given, by the creator, unless given. */
  setState(type: string, content: JsonObject, options: Partial<SendOptions> = {}): MatrixEvent {
    return this.send({ sender: this.creator, stateKey: '', ...options, type, content });
  }

  /** A membership event; by the user themself unless `sender` is given. */
  member(
    user: string,
    membership: string,
    { content = {}, ...options }: Partial<SendOptions> = {},
  ): MatrixEvent {
    return this.send({
      sender: user,
      ...options,
      type: 'm.room.member',
      stateKey: user,
      content: { ...content, membership },
    });
  }

  message(sender: string, body = 'hello', options: Partial<SendOptions> = {}): MatrixEvent {
    return this.send({
      ...options,
      sender,
      type: 'm.room.message',
      content: { msgtype: 'm.text', body },
    });
  }

  /** The state after an event, or after the extremities. */
  stateAfter(event?: MatrixEvent): StateMap {
    return new Map(this.#stateOf(event?.eventId ?? this.#baseFor(this.#extremities)));
  }

  /** Looks up the state after an event (or after the extremities) as authorisation does. */
  lookup(after?: MatrixEvent): (type: string, stateKey: string) => MatrixEvent | undefined {
    const state = this.stateAfter(after);
    return (type, stateKey) => {
      const eventId = state.get(stateKeyOf(type, stateKey));
      return eventId === undefined ? undefined : this.#event(eventId);
    };
  }

  /** The auth events of an event. */
  authEventsOf(event: MatrixEvent): MatrixEvent[] {
    return event.authEventIds.map((eventId) => this.#event(eventId));
  }

  #roomIdFor(sender: UserId): RoomId {
    return this.create?.roomId ?? (`!${this.#name}:${serverNameOf(sender)}` as RoomId);
  }

  #event(eventId: EventId): MatrixEvent {
    const event = this.events.get(eventId);
    if (event === undefined) throw new TypeError(`${eventId} is not of this room`);
    return event;
  }

  #baseFor(prev: readonly MatrixEvent[]): EventId | StateMap {
    const [first, ...others] = prev;
    if (first === undefined) return new Map();
    if (others.length === 0) return first.eventId;
    const states = prev.map((event) => this.stateAfter(event));
    const [firstState, ...otherStates] = states as [StateMap, ...StateMap[]];
    if (otherStates.every((other) => isSameState(firstState, other))) return firstState;
    if (this.#resolve !== undefined) return this.#resolve(states, this);
    throw new TypeError('states differ: give the room `resolve`, or the event `stateBefore`');
  }

  #stateOf(base: EventId | StateMap): StateMap {
    if (typeof base !== 'string') return base;
    if (this.#live?.eventId === base) return this.#live.state;
    const path: EventId[] = [];
    let below: EventId | StateMap = base;
    while (typeof below === 'string') {
      path.push(below);
      const change: StateChange | undefined = this.#changes.get(below);
      if (change === undefined) throw new TypeError(`${below} is not of this room`);
      below = change.base;
    }
    const state = new Map(below);
    for (const eventId of path.reverse()) this.#applyTo(state, eventId);
    this.#live = { eventId: base, state };
    return state;
  }

  #applyTo(state: Map<StateKey, EventId>, eventId: EventId): void {
    const key = this.#changes.get(eventId)?.key;
    if (key !== undefined) state.set(key, eventId);
  }

  #selectAuth(
    event: Pick<MatrixEvent, 'type' | 'stateKey' | 'sender' | 'content'>,
    state: StateMap,
  ): MatrixEvent[] {
    return selectAuthKeys(event, this.rules)
      .map((key) => state.get(key))
      .filter((eventId) => eventId !== undefined)
      .map((eventId) => this.#event(eventId));
  }

  #alsoSign({ event, json }: BuiltEvent, servers: readonly string[]): BuiltEvent {
    if (servers.length === 0) return { event, json };
    const signed = signedJson(event.pdu, this.rules);
    let { signatures } = event.pdu;
    for (const server of servers) {
      const key = testSigningKey(server);
      signatures = withSignature(signatures, server, key.keyId, signText(signed, key));
    }
    const pdu = { ...event.pdu, signatures };
    return { event: { ...event, pdu }, json: JSON.stringify(pdu) };
  }

  #add({ event, json }: BuiltEvent, base: EventId | StateMap): MatrixEvent {
    const { eventId, type, stateKey } = event;
    this.timeline.push(event);
    this.events.set(eventId, event);
    this.json.set(eventId, json);
    const key = stateKey === undefined ? undefined : stateKeyOf(type, stateKey);
    this.#changes.set(eventId, { base, key });
    if (this.#live !== undefined && this.#live.eventId === base) {
      this.#applyTo(this.#live.state, eventId);
      this.#live.eventId = eventId;
    }
    const followed = new Set(event.prevEventIds);
    this.#extremities = [
      ...this.#extremities.filter((extremity) => !followed.has(extremity.eventId)),
      event,
    ];
    return event;
  }
}

const isSameState = (a: StateMap, b: StateMap): boolean =>
  a === b || (a.size === b.size && [...a].every(([key, eventId]) => b.get(key) === eventId));

/**
 * A room with its creator joined, power levels in which the creator stands at 100 (or above all,
 * where creators do), and the given join rule.
 */
export const buildRoom = ({
  joinRule = 'public',
  powerLevels = {},
  ...options
}: RoomOptions & { readonly joinRule?: string; readonly powerLevels?: JsonObject } = {}) => {
  const room = new RoomBuilder(options);
  const { creator, rules } = room;
  room.member(creator, 'join');
  room.setState('m.room.power_levels', {
    users: rules.powerLevels.creatorsAreInfinite ? {} : { [creator]: 100 },
    ...powerLevels,
  });
  room.setState('m.room.join_rules', { join_rule: joinRule });
  return room;
};
