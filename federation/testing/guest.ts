/**
 * A user of a played server in a room of one of ours: joins by the handshake, then makes whatever
 * events the test wants, in whatever place of the graph.
 */
import { selectAuthKeys } from '../../spec/auth/auth-events.ts';
import { type BuiltEvent, buildEvent } from '../../spec/build-event.ts';
import { type JsonObject, type MatrixEvent, type StateKey, stateKeyOf } from '../../spec/event.ts';
import { parsePdu } from '../../spec/event-format.ts';
import { readExactJson } from '../../spec/exact-numbers.ts';
import {
  type EventId,
  localpartOf,
  type RoomId,
  type ServerName,
  type UserId,
} from '../../spec/identifiers.ts';
import { type RoomVersionRules, rulesOf } from '../../spec/room-versions.ts';
import type { PeerResponse, RoomPeer } from './room-peer.ts';

export interface GuestEvent {
  readonly type: string;
  readonly content?: JsonObject;
  readonly stateKey?: string;
  readonly sender?: UserId;
  /** The last event the guest made, unless given. */
  readonly prev?: readonly EventId[];
  readonly depth?: number;
  readonly auth?: readonly EventId[];
  readonly ts?: number;
}

export interface MadeEvent {
  readonly id: EventId;
  readonly pdu: JsonObject;
  readonly event: MatrixEvent;
}

export class Guest {
  readonly peer: RoomPeer;
  readonly server: ServerName;
  readonly userId: UserId;
  readonly roomId: RoomId;
  readonly rules: RoomVersionRules;
  readonly state: Map<StateKey, MatrixEvent>;
  /** Everything made, by id. */
  readonly made = new Map<EventId, MadeEvent>();
  #last: MatrixEvent;
  #transactions = 0;
  #clockMs: number;

  private constructor(
    peer: RoomPeer,
    server: ServerName,
    join: MatrixEvent,
    rules: RoomVersionRules,
    state: readonly MatrixEvent[],
  ) {
    this.peer = peer;
    this.server = server;
    this.userId = join.sender;
    this.roomId = join.roomId;
    this.rules = rules;
    this.state = new Map(
      [...state, join].map((event) => [stateKeyOf(event.type, event.stateKey ?? ''), event]),
    );
    this.#last = join;
    this.#clockMs = join.originServerTs;
  }

  /** In a room of version 3 or later. */
  static async join(
    peer: RoomPeer,
    server: ServerName,
    roomId: RoomId,
    userId: UserId = peer.user('guest'),
  ): Promise<Guest> {
    const room = encodeURIComponent(roomId);
    const versions = ['3', '5', '6', '10', '11', '12'].map((version) => `ver=${version}`).join('&');
    const made = await peer.ask(
      server,
      'GET',
      `/_matrix/federation/v1/make_join/${room}/${encodeURIComponent(userId)}?${versions}`,
    );
    if (made.status !== 200) throw new Error(JSON.stringify(made.body));
    const version = made.body.room_version as string;
    const rules = rulesOf(version) as RoomVersionRules;
    const { origin: _, ...template } = made.body.event as JsonObject;
    const { event, json } = buildEvent(
      {
        type: 'm.room.member',
        stateKey: userId,
        sender: userId,
        content: template['content'] as JsonObject,
        roomId,
        prev: template['prev_events'] as EventId[],
        auth: template['auth_events'] as EventId[],
        depth: template['depth'] as number,
        ts: template['origin_server_ts'] as number,
      },
      rules,
      peer.name,
      peer.peer.key,
    );
    const sent = await peer.ask(
      server,
      'PUT',
      `/_matrix/federation/v2/send_join/${room}/${encodeURIComponent(event.eventId)}`,
      JSON.parse(json) as JsonObject,
    );
    if (sent.status !== 200) throw new Error(JSON.stringify(sent.body));
    const state = (sent.body.state as JsonObject[]).map((pdu) => parsePdu(pdu, rules));
    return new Guest(peer, server, event, rules, state);
  }

  get joinId(): EventId {
    return (this.state.get(stateKeyOf('m.room.member', this.userId)) as MatrixEvent).eventId;
  }

  get lastEventId(): EventId {
    return this.#last.eventId;
  }

  make(wanted: GuestEvent): MadeEvent {
    const { type, content = {}, stateKey, sender = this.userId, prev, depth } = wanted;
    const auth = selectAuthKeys({ type, stateKey, sender, content }, this.rules).flatMap((key) => {
      const event = this.state.get(key);
      return event === undefined ? [] : [event.eventId];
    });
    this.#clockMs += 1;
    const built: BuiltEvent = buildEvent(
      {
        type,
        stateKey,
        sender,
        content,
        roomId: this.roomId,
        prev: prev ?? [this.#last.eventId],
        auth: wanted.auth ?? auth,
        depth: depth ?? this.#last.depth + 1,
        ts: wanted.ts ?? this.#clockMs,
      },
      this.rules,
      this.peer.name,
      this.peer.peer.key,
    );
    this.#last = built.event;
    const pdu = readExactJson(built.json).value as JsonObject;
    const made = { id: built.event.eventId, pdu, event: built.event };
    this.made.set(made.id, made);
    return made;
  }

  message(body: string, place: Pick<GuestEvent, 'prev' | 'depth'> = {}): MadeEvent {
    return this.make({ type: 'm.room.message', content: { msgtype: 'm.text', body }, ...place });
  }

  /** A transaction with these events and EDUs. */
  send(
    events: readonly (MadeEvent | JsonObject)[],
    edus: readonly JsonObject[] = [],
    txnId = `${localpartOf(this.userId)}.${++this.#transactions}`,
  ): Promise<PeerResponse> {
    const pdus = events.map((event) => ('pdu' in event ? (event as MadeEvent).pdu : event));
    return this.peer.ask(this.server, 'PUT', `/_matrix/federation/v1/send/${txnId}`, {
      origin: this.peer.name,
      origin_server_ts: this.#clockMs,
      pdus: pdus as JsonObject[],
      edus: [...edus],
    });
  }

  /** Answers requests for the events made, as if they were all there is. */
  tellMissing(): void {
    this.peer.on(/^POST \/_matrix\/federation\/v1\/get_missing_events\//, ({ text }) => {
      const asked = JSON.parse(text) as { latest_events: EventId[]; earliest_events: EventId[] };
      const known = new Set<EventId>([...asked.latest_events, ...asked.earliest_events]);
      const found: JsonObject[] = [];
      const queue = [...asked.latest_events];
      for (let id = queue.pop(); id !== undefined; id = queue.pop()) {
        for (const prev of this.made.get(id)?.event.prevEventIds ?? []) {
          const made = this.made.get(prev);
          if (made === undefined || known.has(prev)) continue;
          known.add(prev);
          found.push(made.pdu);
          queue.push(prev);
        }
      }
      return { events: found };
    });
  }
}
