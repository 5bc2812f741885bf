/**
 * A server of another make, played by a test: it has rooms built event by event, signs requests to
 * ours, and answers what ours asks as the test says.
 */
import { request } from 'node:https';
import type { TestAuthority } from '../../homeserver/outbound/testing/test-authority.ts';
import { lenientCanonicalJson } from '../../spec/canonical-json.ts';
import type { JsonObject, MatrixEvent, Pdu } from '../../spec/event.ts';
import type { EventId, ServerName, UserId } from '../../spec/identifiers.ts';
import { type RoomVersionRules, rulesOf } from '../../spec/room-versions.ts';
import { signEvent } from '../../spec/signing.ts';
import { buildRoom, type RoomBuilder, testSigningKey } from '../../spec/testing/room-builder.ts';
import { type PeerAnswer, type ReceivedRequest, TestPeer } from './test-peer.ts';

export interface PeerResponse {
  readonly status: number;
  readonly text: string;
  // biome-ignore lint/suspicious/noExplicitAny: an answer's shape is what the test is about.
  readonly body: any;
}

export type PeerRoute = (
  request: ReceivedRequest,
  match: RegExpExecArray,
) => PeerAnswer | Promise<PeerAnswer>;

const UNRECOGNIZED = { status: 404, body: '{"errcode":"M_UNRECOGNIZED"}' };

export class RoomPeer {
  readonly peer: TestPeer;
  readonly #authority: TestAuthority;
  readonly #routes: [RegExp, PeerRoute][] = [];

  private constructor(peer: TestPeer, authority: TestAuthority) {
    this.peer = peer;
    this.#authority = authority;
    // Events of the room builder are signed with this key.
    peer.key = testSigningKey(peer.name);
    peer.handler = (received) => this.#answer(received);
    this.on(/^PUT \/_matrix\/federation\/v1\/send\//, () => ({ pdus: {} }));
  }

  static async start(authority: TestAuthority, nowMs: () => number): Promise<RoomPeer> {
    return new RoomPeer(await TestPeer.start(authority, nowMs), authority);
  }

  get name(): ServerName {
    return this.peer.name;
  }

  user(name: string): UserId {
    return `@${name}:${this.name}` as UserId;
  }

  /** A room whose creator is of this server. */
  buildRoom(options: Parameters<typeof buildRoom>[0] = {}): RoomBuilder {
    return buildRoom({ creator: this.user('creator'), ...options });
  }

  /** What is answered to requests whose method and path (decoded) match; the last one added wins. */
  on(pattern: RegExp, route: PeerRoute): void {
    this.#routes.unshift([pattern, route]);
  }

  /** Answers questions about a room's events and states truthfully. */
  serve(room: RoomBuilder): void {
    const pdusOf = (ids: Iterable<EventId>): JsonObject[] =>
      [...ids].map((id) => JSON.parse(room.json.get(id) as string) as JsonObject);
    const stateBefore = (event: MatrixEvent): EventId[] => {
      const [prev] = event.prevEventIds;
      return prev === undefined ? [] : [...room.stateAfter(room.events.get(prev)).values()];
    };
    const chainOf = (ids: readonly EventId[]): Set<EventId> => {
      const chain = new Set<EventId>();
      const queue = [...ids];
      for (let id = queue.pop(); id !== undefined; id = queue.pop()) {
        for (const auth of room.events.get(id)?.authEventIds ?? []) {
          if (!chain.has(auth)) queue.push(auth);
          chain.add(auth);
        }
      }
      return chain;
    };
    const before = (starts: readonly EventId[], limit: number): EventId[] => {
      const found = new Set<EventId>(starts.filter((id) => room.events.has(id)));
      for (const id of found) {
        for (const prev of room.events.get(id)?.prevEventIds ?? []) {
          if (found.size < limit) found.add(prev);
        }
      }
      return [...found];
    };
    this.on(/^GET \/_matrix\/federation\/v1\/event\/(.+)$/, (_, [, id = '']) =>
      room.events.has(id as EventId) ? { pdus: pdusOf([id as EventId]) } : UNRECOGNIZED,
    );
    this.on(
      /^GET \/_matrix\/federation\/v1\/state_ids\/[^?]+\?event_id=(.+)$/,
      (_, [, id = '']) => {
        const state = stateBefore(room.events.get(id as EventId) as MatrixEvent);
        return { pdu_ids: state, auth_chain_ids: [...chainOf(state)] };
      },
    );
    this.on(/^GET \/_matrix\/federation\/v1\/state\/[^?]+\?event_id=(.+)$/, (_, [, id = '']) => {
      const state = stateBefore(room.events.get(id as EventId) as MatrixEvent);
      return { pdus: pdusOf(state), auth_chain: pdusOf(chainOf(state)) };
    });
    this.on(/^GET \/_matrix\/federation\/v1\/event_auth\/[^/]+\/(.+)$/, (_, [, id = '']) => ({
      auth_chain: pdusOf(chainOf([id as EventId])),
    }));
    this.on(/^GET \/_matrix\/federation\/v1\/backfill\/[^?]+\?(.+)$/, (_, [, query = '']) => {
      const parameters = new URLSearchParams(query.replaceAll('+', '%2B'));
      const limit = Number(parameters.get('limit'));
      return { pdus: pdusOf(before(parameters.getAll('v') as EventId[], limit)) };
    });
    this.on(/^POST \/_matrix\/federation\/v1\/get_missing_events\//, ({ text }) => {
      const {
        latest_events: latest,
        earliest_events: earliest,
        limit,
      } = JSON.parse(text) as {
        latest_events: EventId[];
        earliest_events: EventId[];
        limit: number;
      };
      const known = new Set([...latest, ...earliest]);
      const found = before(latest, limit + latest.length).filter((id) => !known.has(id));
      const end = new Set(before(earliest, 1000));
      return { events: pdusOf(found.filter((id) => !end.has(id))) };
    });
  }

  /** Lets somebody join the room as it is, and answers truthfully about it. */
  letJoin(room: RoomBuilder, userId: UserId): void {
    const tip = room.extremities.at(-1);
    const state = [...room.stateAfter().values()].map((id) =>
      pduOf(room, room.events.get(id) as MatrixEvent),
    );
    const auth = ['m.room.create', 'm.room.power_levels', 'm.room.join_rules'].map(
      (type) => room.lookup()(type, '')?.eventId as string,
    );
    this.serve(room);
    this.on(/^GET \/_matrix\/federation\/v1\/make_join\//, () => ({
      room_version: '11',
      event: {
        type: 'm.room.member',
        room_id: room.roomId,
        sender: userId,
        state_key: userId,
        content: { membership: 'join' },
        depth: (tip?.depth ?? 0) + 1,
        auth_events: auth,
        prev_events: [tip?.eventId as string],
      },
    }));
    this.on(/^PUT \/_matrix\/federation\/v2\/send_join\//, ({ text }) => ({
      state,
      auth_chain: state,
      event: JSON.parse(text) as JsonObject,
    }));
  }

  #answer(received: ReceivedRequest): PeerAnswer | Promise<PeerAnswer> {
    const line = `${received.method} ${decodeURIComponent(received.url)}`;
    for (const [pattern, route] of this.#routes) {
      const match = pattern.exec(line);
      if (match !== null) return route(received, match);
    }
    return UNRECOGNIZED;
  }

  /** A signed request to one of our servers. */
  async ask(
    server: ServerName,
    method: string,
    uri: string,
    body?: JsonObject,
  ): Promise<PeerResponse> {
    const text = body === undefined ? undefined : lenientCanonicalJson(body);
    const [host, port] = server.split(':');
    return new Promise((resolve, reject) => {
      const outgoing = request(
        {
          host,
          port,
          method,
          path: uri,
          ca: this.#authority.caPem,
          agent: false,
          headers: {
            authorization: this.peer.authorization(server, method, uri, text),
            ...(text !== undefined && { 'content-type': 'application/json' }),
          },
        },
        (incoming) => {
          const chunks: Buffer[] = [];
          incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
          incoming.on('end', () => {
            const answer = Buffer.concat(chunks).toString('utf8');
            resolve({
              status: incoming.statusCode ?? 0,
              text: answer,
              body: JSON.parse(answer),
            });
          });
        },
      );
      outgoing.on('error', reject);
      outgoing.end(text);
    });
  }

  /** An event with this server's signature added. */
  sign(pdu: JsonObject, version: string): JsonObject {
    const rules = rulesOf(version) as RoomVersionRules;
    return signEvent(pdu as unknown as Pdu, rules, this.name, this.peer.key) as never;
  }

  /** Requests our servers made, but for keys. */
  get received(): readonly ReceivedRequest[] {
    return this.peer.received;
  }

  stop(): Promise<void> {
    return this.peer.stop();
  }
}

/** The PDU as it travels. */
export const pduOf = (room: RoomBuilder, event: MatrixEvent): JsonObject =>
  JSON.parse(room.json.get(event.eventId) as string) as JsonObject;
