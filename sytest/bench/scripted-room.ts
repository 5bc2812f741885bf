/**
 * A room of a peer with thousands of members of many servers, every event hashed and signed by its
 * sender's server, ready to be joined. It is written down whole instead of being lived through: the
 * peer's own rooms remember the state at every event, which for thousands is a lot.
 * https://spec.matrix.org/v1.19/server-server-api/#joining-rooms
 */
import { eventIdOf, finish, type Pdu, type PeerRules, rulesOf } from '../lib/peer/pdu.ts';
import type { Peer } from '../lib/peer/peer.ts';
import type { Identity } from '../lib/peer/room.ts';
import type { JsonObject } from '../lib/peer/signing.ts';

/** Every so many members changed their name once, so that an older event is in the auth chain. */
const RENAMED_EVERY = 5;

interface NewState {
  readonly server: Identity;
  readonly sender: string;
  readonly type: string;
  readonly stateKey?: string;
  readonly content: JsonObject;
  readonly authIds: readonly string[];
}

export class ScriptedRoom {
  readonly id: string;
  readonly version: string;
  readonly state: Pdu[] = [];
  /** Auth events of the state that are not a part of it. */
  readonly older: Pdu[] = [];
  readonly #rules: PeerRules;
  /** What every join rests on. */
  readonly #joinAuthIds: string[] = [];
  #lastId: string | undefined;
  /** The event of whoever has joined through the peer that serves this room. */
  #joinId: string | undefined;
  #depth = 0;
  #clockMs = Date.now() - 3600 * 1000;

  /** A public room of `owner` with `memberCount` members beside it, spread over `servers`. */
  constructor(owner: Identity, version: string, servers: readonly Identity[], memberCount: number) {
    this.version = version;
    this.#rules = rulesOf(version);
    const { roomIdIsCreateEvent, creatorInContent } = this.#rules;
    const sender = `@owner:${owner.name}`;
    const givenId = `!${Math.random().toString(36).slice(2)}:${owner.name}`;
    const create = finish(
      {
        ...this.#place(),
        ...{ type: 'm.room.create', sender, state_key: '', auth_events: [] },
        ...(roomIdIsCreateEvent ? {} : { room_id: givenId }),
        content: { room_version: version, ...(creatorInContent ? { creator: sender } : {}) },
      },
      this.#rules,
      owner.name,
      owner.key,
    );
    const createId = eventIdOf(create, this.#rules);
    this.id = roomIdIsCreateEvent ? `!${createId.slice(1)}` : givenId;
    this.#lastId = createId;
    this.state.push(create);

    const base = roomIdIsCreateEvent ? [] : [createId];
    const ofOwner = { server: owner, sender };
    const member = { type: 'm.room.member', stateKey: sender };
    const joined = { content: { membership: 'join' }, authIds: base };
    const joinId = this.#add({ ...ofOwner, ...member, ...joined });
    const levels = { users: roomIdIsCreateEvent ? {} : { [sender]: 100 } };
    const levelsId = this.#add({
      ...{ ...ofOwner, type: 'm.room.power_levels', content: levels },
      authIds: [...base, joinId],
    });
    const authIds = [...base, joinId, levelsId];
    const rule = { type: 'm.room.join_rules', content: { join_rule: 'public' } };
    const rulesId = this.#add({ ...ofOwner, ...rule, authIds });
    const shared = { history_visibility: 'shared' };
    this.#add({ ...ofOwner, type: 'm.room.history_visibility', content: shared, authIds });
    this.#joinAuthIds.push(...base, levelsId, rulesId);
    for (let index = 0; index < memberCount; index++) {
      this.#addMember(servers[index % servers.length]!, index);
    }
  }

  /** Serves this room at a peer to whoever joins. The answer is serialised once, here. */
  servedBy(peer: Peer): void {
    const createRefs = this.#rules.roomIdIsCreateEvent ? [] : this.state.slice(0, 1);
    const rests = [...createRefs, ...this.state.slice(1, 4), ...this.older];
    const rest =
      `"origin":${JSON.stringify(peer.name)},"members_omitted":false,` +
      `"state":${JSON.stringify(this.state)},"auth_chain":${JSON.stringify(rests)}`;
    peer.answers('GET', '/_matrix/federation/v1/make_join/{roomId}/{userId}', ({ params }) => {
      const [roomId, user] = params;
      const event = {
        ...{ ...this.#place(), type: 'm.room.member', room_id: roomId },
        ...{ sender: user, state_key: user, content: { membership: 'join' } },
        auth_events: this.#joinAuthIds,
      };
      return { room_version: this.version, event };
    });
    peer.answers('PUT', '/_matrix/federation/v2/send_join/{roomId}/{eventId}', (request) => {
      const { response } = request.raw;
      this.#joinId = request.params[1];
      response.writeHead(200, { 'Content-Type': 'application/json' });
      response.end(`{"event":${JSON.stringify(request.body)},${rest}}`);
      return undefined;
    });
  }

  /** Joins of more members of `server`, one after another, after that of whoever joined through it. */
  joinsAfter(server: Identity, count: number): Pdu[] {
    this.#lastId = this.#joined;
    return Array.from({ length: count }, (_, index) => {
      const user = `@later${index}:${server.name}`;
      this.#add({
        ...{ server, sender: user, type: 'm.room.member', stateKey: user },
        content: { membership: 'join', displayname: `Later ${index}` },
        authIds: this.#joinAuthIds,
      });
      return this.state.at(-1)!;
    });
  }

  /** Departures of the first `count` members, each of which knows of none of the others. */
  forkedLeaves(server: Identity, count: number): Pdu[] {
    const members = this.state.filter(({ type, sender, state_key }) => {
      return type === 'm.room.member' && sender === state_key && !sender.startsWith('@owner:');
    });
    return members.slice(0, count).map((joined) => {
      this.#lastId = this.#joined;
      const { sender } = joined;
      this.#add({
        ...{ server, sender, type: 'm.room.member', stateKey: sender },
        content: { membership: 'leave' },
        authIds: [...this.#joinAuthIds.slice(0, -1), eventIdOf(joined, this.#rules)],
      });
      return this.state.pop()!;
    });
  }

  get #joined(): string {
    if (this.#joinId === undefined) throw new Error('nobody has joined through the peer yet');
    return this.#joinId;
  }

  #addMember(server: Identity, index: number): void {
    const user = `@member${index}:${server.name}`;
    const content = {
      membership: 'join',
      displayname: `Member number ${index}`,
      avatar_url: `mxc://${server.name}/avatar${index}`,
    };
    const event = { server, sender: user, type: 'm.room.member', stateKey: user };
    const authIds = this.#joinAuthIds;
    const first = this.#add({ ...event, content, authIds });
    if (index % RENAMED_EVERY !== 0) return;
    this.older.push(this.state.pop()!);
    const renamed = { ...content, displayname: `Renamed member ${index}` };
    this.#add({ ...event, content: renamed, authIds: [...authIds, first] });
  }

  #add({ server, sender, type, stateKey = '', content, authIds }: NewState): string {
    const draft = {
      ...{ ...this.#place(), type, sender, room_id: this.id, state_key: stateKey, content },
      auth_events: [...authIds],
    };
    const pdu = finish(draft, this.#rules, server.name, server.key);
    this.state.push(pdu);
    this.#lastId = eventIdOf(pdu, this.#rules);
    return this.#lastId;
  }

  /** Where the next event stands. */
  #place() {
    this.#depth += 1;
    this.#clockMs += 1;
    return {
      prev_events: this.#lastId === undefined ? [] : [this.#lastId],
      depth: this.#depth,
      origin_server_ts: this.#clockMs,
    };
  }
}
