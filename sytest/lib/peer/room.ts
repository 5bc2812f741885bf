/**
 * A room as the peer knows it: every event, the state before and after each, and
 * the tips new events are built on. It authorises nothing: what a room may hold
 * is for the server under test to judge.
 */

import { type Draft, eventIdOf, finish, type Pdu, type PeerRules, rulesOf } from './pdu.ts';
import type { JsonObject, SigningKey } from './signing.ts';

/** Event ids by `type` NUL `state_key`. */
type State = ReadonlyMap<string, string>;

export interface NewEvent {
  readonly type: string;
  readonly sender: string;
  readonly stateKey?: string;
  readonly content?: JsonObject;
  /** Replaces members of the finished draft, to make it wrong on purpose; applied before hashing. */
  readonly but?: Partial<Draft>;
}

interface Known {
  readonly pdu: Pdu;
  readonly before: State;
  readonly after: State;
}

export interface Identity {
  readonly name: string;
  readonly key: SigningKey;
}

export class PeerRoom {
  readonly id: string;
  readonly version: string;
  readonly rules: PeerRules;
  readonly #self: Identity;
  readonly #known = new Map<string, Known>();
  #tips: readonly string[] = [];
  #clockMs = Date.now();

  private constructor(self: Identity, id: string, version: string) {
    this.#self = self;
    this.id = id;
    this.version = version;
    this.rules = rulesOf(version);
  }

  /** A public room of the peer's own. */
  static create(self: Identity, creator: string, version: string): PeerRoom {
    const rules = rulesOf(version);
    const content: JsonObject = { room_version: version };
    if (rules.creatorInContent) content['creator'] = creator;
    const roomId = `!${Math.random().toString(36).slice(2)}:${self.name}`;
    const create = finish(
      {
        type: 'm.room.create',
        sender: creator,
        ...(rules.roomIdIsCreateEvent ? {} : { room_id: roomId }),
        state_key: '',
        content,
        prev_events: [],
        auth_events: [],
        depth: 1,
        origin_server_ts: Date.now(),
      },
      rules,
      self.name,
      self.key,
    );
    const id = rules.roomIdIsCreateEvent ? `!${eventIdOf(create, rules).slice(1)}` : roomId;
    const room = new PeerRoom(self, id, version);
    room.adds(create);
    const state = (type: string, stateKey: string, stateContent: JsonObject) =>
      room.appends({ type, sender: creator, stateKey, content: stateContent });
    state('m.room.member', creator, { membership: 'join' });
    state('m.room.power_levels', '', {
      users: rules.roomIdIsCreateEvent ? {} : { [creator]: 100 },
    });
    state('m.room.join_rules', '', { join_rule: 'public' });
    state('m.room.history_visibility', '', { history_visibility: 'shared' });
    return room;
  }

  /** A room of another server, from its answer to `send_join`. */
  static fromJoin(
    self: Identity,
    id: string,
    version: string,
    join: Pdu,
    answer: { state: Pdu[]; auth_chain: Pdu[] },
  ): PeerRoom {
    const room = new PeerRoom(self, id, version);
    for (const pdu of [...answer.auth_chain, ...answer.state].sort((a, b) => a.depth - b.depth)) {
      room.#known.set(room.idOf(pdu), { pdu, before: new Map(), after: new Map() });
    }
    const before = new Map(answer.state.map((pdu) => [keyOf(pdu), room.idOf(pdu)]));
    room.#learn(join, before);
    room.#tips = [room.idOf(join)];
    return room;
  }

  idOf(pdu: JsonObject): string {
    return eventIdOf(pdu, this.rules);
  }

  get tips(): readonly string[] {
    return this.#tips;
  }

  get state(): State {
    const [tip] = this.#tips;
    return tip === undefined ? new Map() : this.#known.get(tip)!.after;
  }

  stateEvent(type: string, stateKey = ''): Pdu | undefined {
    const id = this.state.get(`${type}\0${stateKey}`);
    return id === undefined ? undefined : this.event(id);
  }

  event(id: string): Pdu | undefined {
    return this.#known.get(id)?.pdu;
  }

  /** State before the event, and every event its authorisation rests on. */
  stateBefore(id: string): { state: Pdu[]; authChain: Pdu[] } | undefined {
    const known = this.#known.get(id);
    if (known === undefined) return undefined;
    const state = [...known.before.values()].map((each) => this.event(each)!);
    return { state, authChain: this.authChain(state) };
  }

  authChain(of: readonly Pdu[]): Pdu[] {
    const chain = new Map<string, Pdu>();
    const visit = (pdu: Pdu) => {
      for (const id of pdu.auth_events) {
        const parent = this.event(id);
        if (parent === undefined || chain.has(id)) continue;
        chain.set(id, parent);
        visit(parent);
      }
    };
    for (const pdu of of) visit(pdu);
    return [...chain.values()];
  }

  /** Walks back along `prev_events`, nearest first, not past `stopAt`. */
  ancestors(from: readonly string[], limit: number, stopAt: readonly string[] = []): Pdu[] {
    const found: Pdu[] = [];
    const seen = new Set(stopAt);
    const queue = [...from];
    while (queue.length > 0 && found.length < limit) {
      const id = queue.shift()!;
      const pdu = this.event(id);
      if (seen.has(id) || pdu === undefined) continue;
      seen.add(id);
      found.push(pdu);
      queue.push(...pdu.prev_events);
    }
    return found;
  }

  /** An event on the room's tips, complete but for hash and signature. */
  drafts(event: NewEvent): Draft {
    const content = event.content ?? {};
    const prevDepths = this.#tips.map((id) => this.event(id)?.depth ?? 0);
    this.#clockMs = Math.max(this.#clockMs + 1, Date.now());
    return {
      type: event.type,
      sender: event.sender,
      room_id: this.id,
      ...(event.stateKey === undefined ? {} : { state_key: event.stateKey }),
      content,
      prev_events: [...this.#tips],
      auth_events: this.#authEventsFor(event.type, event.sender, event.stateKey, content),
      depth: Math.max(0, ...prevDepths) + 1,
      origin_server_ts: this.#clockMs,
      ...event.but,
    } as Draft;
  }

  /** A hashed and signed event on the room's tips, without making it a part of the room. */
  makes(event: NewEvent): Pdu {
    return finish(this.drafts(event), this.rules, this.#self.name, this.#self.key);
  }

  /** Makes an event and builds the next ones on it. */
  appends(event: NewEvent): Pdu {
    const pdu = this.makes(event);
    this.adds(pdu);
    return pdu;
  }

  /** Takes in a finished event: its own, or one received. */
  adds(pdu: Pdu): void {
    const id = this.idOf(pdu);
    if (this.#known.has(id)) return;
    const before = new Map(
      pdu.prev_events.flatMap((prev) => [...(this.#known.get(prev)?.after ?? [])]),
    );
    this.#learn(pdu, before);
    const replaced = new Set(pdu.prev_events);
    this.#tips = [...this.#tips.filter((tip) => !replaced.has(tip)), id];
  }

  /** Further events are built on these and nothing else. */
  continuesFrom(...ids: readonly string[]): void {
    this.#tips = ids;
  }

  #learn(pdu: Pdu, before: State): void {
    const after = new Map(before);
    const id = this.idOf(pdu);
    if (pdu.state_key !== undefined) after.set(keyOf(pdu), id);
    this.#known.set(id, { pdu, before, after });
  }

  /** https://spec.matrix.org/v1.19/server-server-api/#auth-events-selection */
  #authEventsFor(
    type: string,
    sender: string,
    stateKey: string | undefined,
    content: JsonObject,
  ): string[] {
    if (type === 'm.room.create') return [];
    const keys = ['m.room.power_levels\0', `m.room.member\0${sender}`];
    if (!this.rules.roomIdIsCreateEvent) keys.unshift('m.room.create\0');
    if (type === 'm.room.member') {
      keys.push(`m.room.member\0${stateKey}`);
      if (['join', 'invite', 'knock'].includes(content['membership'])) {
        keys.push('m.room.join_rules\0');
      }
      const authoriser = content['join_authorised_via_users_server'];
      if (authoriser !== undefined) keys.push(`m.room.member\0${authoriser}`);
    }
    const ids = keys.map((key) => this.state.get(key)).filter((id) => id !== undefined);
    return [...new Set(ids)];
  }
}

function keyOf(pdu: Pdu): string {
  return `${pdu.type}\0${pdu.state_key}`;
}
