/**
 * A person with a client: what they do reads as a sentence, `alice.invites(bob, room)`,
 * and what they see comes from their own `/sync`.
 */

import { type Answer, type Body, call, type RequestOptions, request } from './http.ts';
import type { ServerAddress } from './server.ts';

export interface ClientEvent {
  readonly event_id: string;
  readonly type: string;
  readonly sender: string;
  readonly origin_server_ts: number;
  readonly state_key?: string;
  readonly content: Body;
  readonly unsigned?: Body;
}

/** An event id, or what to recognise an event by. */
export type Sought = string | ((event: ClientEvent) => boolean);

export interface RoomOptions {
  readonly preset?: 'private_chat' | 'public_chat' | 'trusted_private_chat';
  readonly version?: string;
  readonly name?: string;
  /** Further members of the `createRoom` body, as the specification names them. */
  readonly and?: object;
}

const V3 = '/_matrix/client/v3';
const SEE_TIMEOUT_MS = 15_000;

/** Creates an account with the dummy stage of User-Interactive Authentication and logs it in. */
export async function registers(
  server: ServerAddress,
  username: string,
  password = 'correct horse battery staple',
): Promise<Person> {
  const body = { username, password, auth: { type: 'm.login.dummy' } };
  const account = await call(server.clientUrl, 'POST', `${V3}/register`, { body });
  return new Person(server, account.user_id, account.access_token, account.device_id);
}

/** Opens a further session of an existing account. */
export async function logsIn(
  server: ServerAddress,
  user: string,
  password = 'correct horse battery staple',
): Promise<Person> {
  const body = { type: 'm.login.password', identifier: { type: 'm.id.user', user }, password };
  const session = await call(server.clientUrl, 'POST', `${V3}/login`, { body });
  return new Person(server, session.user_id, session.access_token, session.device_id);
}

/** Escapes one path segment. */
export function segment(text: string): string {
  return encodeURIComponent(text);
}

export class Person {
  readonly server: ServerAddress;
  readonly id: string;
  readonly token: string;
  readonly deviceId: string;
  /** Where the next `syncs` continues. */
  since: string | undefined;
  readonly #seen = new Map<string, ClientEvent[]>();
  #transactions = 0;

  constructor(server: ServerAddress, id: string, token: string, deviceId: string) {
    this.server = server;
    this.id = id;
    this.token = token;
    this.deviceId = deviceId;
  }

  /** Sends a request as this person; `path` begins after `/_matrix/client/v3` unless it is absolute. */
  async calls(method: string, path: string, options: RequestOptions = {}): Promise<Body> {
    return call(this.server.clientUrl, method, absolute(path), { token: this.token, ...options });
  }

  /** Like `calls`, but gives the whole answer, refused or not. */
  async asks(method: string, path: string, options: RequestOptions = {}): Promise<Answer> {
    const withToken = { token: this.token, ...options };
    return request(this.server.clientUrl, method, absolute(path), withToken);
  }

  async logsOut(): Promise<void> {
    await this.calls('POST', '/logout');
  }

  // Rooms and membership

  async createsRoom({ preset, version, name, and }: RoomOptions = {}): Promise<string> {
    const body = {
      ...(preset === undefined ? {} : { preset }),
      ...(version === undefined ? {} : { room_version: version }),
      ...(name === undefined ? {} : { name }),
      ...and,
    };
    return (await this.calls('POST', '/createRoom', { body })).room_id;
  }

  async invites(person: { readonly id: string }, room: string): Promise<void> {
    await this.calls('POST', `/rooms/${segment(room)}/invite`, { body: { user_id: person.id } });
  }

  /** `via` names servers that know the room, where ours does not. */
  async joins(room: string, ...via: readonly ServerAddress[]): Promise<string> {
    const query = via.map(({ name }) => `via=${segment(name)}`).join('&');
    const path = `/join/${segment(room)}${query === '' ? '' : `?${query}`}`;
    return (await this.calls('POST', path, { body: {} })).room_id;
  }

  async knocksOn(room: string, ...via: readonly ServerAddress[]): Promise<string> {
    const query = via.map(({ name }) => `via=${segment(name)}`).join('&');
    const path = `/knock/${segment(room)}${query === '' ? '' : `?${query}`}`;
    return (await this.calls('POST', path, { body: {} })).room_id;
  }

  async leaves(room: string): Promise<void> {
    await this.calls('POST', `/rooms/${segment(room)}/leave`, { body: {} });
  }

  async forgets(room: string): Promise<void> {
    await this.calls('POST', `/rooms/${segment(room)}/forget`, { body: {} });
  }

  async kicks(person: Person, room: string, reason?: string): Promise<void> {
    const body = { user_id: person.id, ...(reason === undefined ? {} : { reason }) };
    await this.calls('POST', `/rooms/${segment(room)}/kick`, { body });
  }

  async bans(person: Person, room: string): Promise<void> {
    await this.calls('POST', `/rooms/${segment(room)}/ban`, { body: { user_id: person.id } });
  }

  async unbans(person: Person, room: string): Promise<void> {
    await this.calls('POST', `/rooms/${segment(room)}/unban`, { body: { user_id: person.id } });
  }

  // Events

  /** Sends a text message and gives its event id. */
  async says(room: string, text: string): Promise<string> {
    return this.sends(room, 'm.room.message', { msgtype: 'm.text', body: text });
  }

  async sends(room: string, type: string, content: object, transaction?: string): Promise<string> {
    this.#transactions += 1;
    const txnId = transaction ?? `${Date.now()}-${this.#transactions}`;
    const path = `/rooms/${segment(room)}/send/${segment(type)}/${segment(txnId)}`;
    return (await this.calls('PUT', path, { body: content })).event_id;
  }

  async sets(room: string, type: string, content: object, stateKey = ''): Promise<string> {
    const path = `/rooms/${segment(room)}/state/${segment(type)}/${segment(stateKey)}`;
    return (await this.calls('PUT', path, { body: content })).event_id;
  }

  /** The content of a piece of current state. */
  async reads(room: string, type: string, stateKey = ''): Promise<Body> {
    return this.calls('GET', `/rooms/${segment(room)}/state/${segment(type)}/${segment(stateKey)}`);
  }

  /** The whole current state of a room. */
  async state(room: string): Promise<ClientEvent[]> {
    return this.calls('GET', `/rooms/${segment(room)}/state`);
  }

  async redacts(room: string, eventId: string, reason?: string): Promise<string> {
    this.#transactions += 1;
    const txnId = `${Date.now()}-${this.#transactions}`;
    const path = `/rooms/${segment(room)}/redact/${segment(eventId)}/${txnId}`;
    const body = reason === undefined ? {} : { reason };
    return (await this.calls('PUT', path, { body })).event_id;
  }

  async event(room: string, eventId: string): Promise<ClientEvent> {
    return this.calls('GET', `/rooms/${segment(room)}/event/${segment(eventId)}`);
  }

  /** One page of history, newest first unless `dir` is `f`. */
  async messages(
    room: string,
    query: { from?: string; to?: string; dir?: 'b' | 'f'; limit?: number; filter?: string } = {},
  ): Promise<{ chunk: ClientEvent[]; start: string; end?: string; state?: ClientEvent[] }> {
    return this.calls('GET', `/rooms/${segment(room)}/messages`, { query: { dir: 'b', ...query } });
  }

  /** The room's whole visible history, oldest first, page by page. */
  async history(room: string, pageSize = 20): Promise<ClientEvent[]> {
    const events: ClientEvent[] = [];
    let from: string | undefined;
    do {
      const page = await this.messages(room, {
        limit: pageSize,
        ...(from === undefined ? {} : { from }),
      });
      events.push(...page.chunk);
      if (from !== undefined && page.end === from) {
        throw new Error(`history does not move on from ${from}`);
      }
      from = page.end;
    } while (from !== undefined);
    return events.reverse();
  }

  /** Membership of everyone ever in the room, by user id. */
  async memberships(room: string): Promise<Record<string, string>> {
    const { chunk } = await this.calls('GET', `/rooms/${segment(room)}/members`);
    const events = chunk as ClientEvent[];
    return Object.fromEntries(events.map((each) => [each.state_key, each.content.membership]));
  }

  // Syncing

  /** One `/sync` from where the last one ended; timeline events are remembered for `sees`. */
  async syncs(
    query: { timeout?: number; filter?: string; full_state?: boolean; set_presence?: string } = {},
  ): Promise<Body> {
    const body = await this.calls('GET', '/sync', {
      query: { timeout: 0, ...query, since: this.since },
    });
    this.since = body.next_batch;
    for (const membership of ['join', 'leave']) {
      for (const [room, update] of Object.entries<Body>(body.rooms?.[membership] ?? {})) {
        const seen = this.#seen.get(room) ?? [];
        this.#seen.set(room, [...seen, ...(update.timeline?.events ?? [])]);
      }
    }
    return body;
  }

  /** Syncs, waiting as a client does, until a response satisfies `what`; gives what it made of it. */
  async waitsFor<T>(what: string, find: (response: Body) => T | undefined): Promise<T> {
    const deadlineMs = Date.now() + SEE_TIMEOUT_MS;
    for (;;) {
      const remainingMs = Math.max(0, deadlineMs - Date.now());
      const found = find(await this.syncs({ timeout: Math.min(remainingMs, 5_000) }));
      if (found !== undefined) return found;
      if (Date.now() >= deadlineMs) throw new Error(`${this.id} does not see ${what}`);
    }
  }

  /** Waits until an event has come down this person's timeline of a room. */
  async sees(room: string, sought: Sought): Promise<ClientEvent> {
    const matches =
      typeof sought === 'string' ? (event: ClientEvent) => event.event_id === sought : sought;
    const find = () => this.seen(room).find(matches);
    return find() ?? this.waitsFor(`${sought} in ${room}`, find);
  }

  async seesMessage(room: string, text: string): Promise<ClientEvent> {
    return this.sees(room, (e) => e.type === 'm.room.message' && e.content.body === text);
  }

  /** Waits until the room appears among this person's invites; gives the stripped state. */
  async seesInvite(room: string): Promise<ClientEvent[]> {
    return this.waitsFor(
      `an invite to ${room}`,
      (response) => response.rooms?.invite?.[room]?.invite_state?.events,
    );
  }

  /** Waits until somebody's membership event, as given, has come down the timeline. */
  async seesMembership(
    room: string,
    person: { id: string },
    membership: string,
  ): Promise<ClientEvent> {
    return this.sees(
      room,
      (event) =>
        event.type === 'm.room.member' &&
        event.state_key === person.id &&
        event.content.membership === membership,
    );
  }

  /** Timeline events of a room this person's syncs have brought, oldest first. */
  seen(room: string): readonly ClientEvent[] {
    return this.#seen.get(room) ?? [];
  }
}

function absolute(path: string): string {
  return path.startsWith('/_') || path.startsWith('/.') ? path : `${V3}${path}`;
}
