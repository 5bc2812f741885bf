/**
 * A homeserver of the tests' own, with its own name, certificate and signing key.
 * Left alone it is honest: it serves its keys, refuses requests not signed for it,
 * lets others join its rooms and answers for their history. A test makes it hostile
 * by sending what it likes and by overriding single answers (`answers`).
 */

import { once } from 'node:events';
import { Agent, createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Authority } from '../authority.ts';
import type { Body } from '../http.ts';
import type { ServerAddress } from '../server.ts';
import { eventually } from '../wait.ts';
import { honestRoutes } from './honest-routes.ts';
import { Inbound, type PeerHandler } from './inbound.ts';
import { ask, type FederationAnswer, type Outbound } from './outbound.ts';
import { eventIdOf, finish, type Pdu, PEER_ROOM_VERSIONS, rulesOf } from './pdu.ts';
import { type Identity, PeerRoom } from './room.ts';
import { type JsonObject, SigningKey } from './signing.ts';

export interface ReceivedTransaction {
  readonly origin: string;
  readonly pdus: Pdu[];
  readonly edus: JsonObject[];
}

export interface ReceivedInvite {
  readonly room: string;
  readonly version: string;
  /** As the peer has signed it. */
  readonly event: Pdu;
  readonly stripped: JsonObject[];
}

export class Peer implements ServerAddress, Identity {
  readonly name: string;
  /** A peer has no clients. */
  readonly clientUrl = '';
  readonly key: SigningKey;
  readonly rooms = new Map<string, PeerRoom>();
  /** What others have sent, oldest first. */
  readonly received: ReceivedTransaction[] = [];
  readonly invites: ReceivedInvite[] = [];
  readonly #server: Server;
  readonly #agent: Agent;
  readonly #inbound: Inbound;
  #transactions = 0;

  private constructor(server: Server, agent: Agent, keyName: string) {
    this.name = `localhost:${(server.address() as AddressInfo).port}`;
    this.key = new SigningKey(keyName);
    this.#server = server;
    this.#agent = agent;
    this.#inbound = new Inbound(this, honestRoutes(this));
    server.on('request', (request, response) => void this.#inbound.take(request, response));
  }

  static async start(authority: Authority, keyName = 'peer'): Promise<Peer> {
    const { certPem, keyPem } = authority.issue('localhost', '127.0.0.1');
    const server = createServer({ cert: certPem, key: keyPem });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new Peer(server, new Agent({ ca: authority.certPem, keepAlive: true }), keyName);
  }

  async stop(): Promise<void> {
    this.#agent.destroy();
    this.#server.close();
    this.#server.closeAllConnections();
    await once(this.#server, 'close');
  }

  user(localpart: string): string {
    return `@${localpart}:${this.name}`;
  }

  /** Replaces the honest answer to one kind of request; the latest override wins. */
  answers(method: string, path: string, handler: PeerHandler): void {
    this.#inbound.override({ method, path, handler });
  }

  /** Every request that has arrived, as `METHOD path`, oldest first. */
  get requests(): readonly string[] {
    return this.#inbound.requests;
  }

  /** Asks another server, signing the request unless told otherwise; `uri` is escaped already. */
  async asks(
    server: { readonly name: string },
    method: string,
    uri: string,
    body?: Body,
    outbound: Outbound = {},
  ): Promise<FederationAnswer> {
    return ask(this.#agent, this, server.name, method, uri, body, outbound);
  }

  /** Like `asks`, but anything else than success throws. */
  async calls(
    server: { readonly name: string },
    method: string,
    uri: string,
    body?: Body,
  ): Promise<Body> {
    const answer = await this.asks(server, method, uri, body);
    if (answer.status === 200) return answer.body;
    throw new Error(`${method} ${uri} on ${server.name}: ${answer.status} ${answer.text}`);
  }

  /** A public room of its own, ready to be joined. */
  createsRoom(creator: string, version: string): PeerRoom {
    const room = PeerRoom.create(this, creator, version);
    this.rooms.set(room.id, room);
    return room;
  }

  /** Joins one of its users to a room through a server that is in it. */
  async joins(roomId: string, user: string, via: { readonly name: string }): Promise<PeerRoom> {
    const { join, version, accept } = await this.preparesJoin(roomId, user, via);
    const answer = await accept(join);
    const room = PeerRoom.fromJoin(this, roomId, version, answer.event ?? join, answer);
    this.rooms.set(roomId, room);
    return room;
  }

  /** The join event the resident server proposes, signed, and how to send it in. */
  async preparesJoin(roomId: string, user: string, via: { readonly name: string }) {
    const versions = PEER_ROOM_VERSIONS.map((each) => `ver=${each}`).join('&');
    const path = `${encodeURIComponent(roomId)}/${encodeURIComponent(user)}`;
    const make = `/_matrix/federation/v1/make_join/${path}?${versions}`;
    const { event: template, room_version: version } = await this.calls(via, 'GET', make);
    const rules = rulesOf(version);
    const draft = { ...template, origin_server_ts: Date.now() };
    const join = finish(draft, rules, this.name, this.key);
    const accept = (event: Pdu): Promise<Body> => {
      const id = encodeURIComponent(eventIdOf(event, rules));
      const send = `/_matrix/federation/v2/send_join/${encodeURIComponent(roomId)}/${id}`;
      return this.calls(via, 'PUT', send, event);
    };
    return { join, version, accept };
  }

  /** Sends a transaction; gives the result per event id. */
  async sends(
    server: { readonly name: string },
    pdus: readonly JsonObject[],
    edus: readonly JsonObject[] = [],
    transaction?: string,
  ): Promise<Record<string, { error?: string }>> {
    this.#transactions += 1;
    const txnId = transaction ?? `${Date.now()}-${this.#transactions}`;
    const body = { origin: this.name, origin_server_ts: Date.now(), pdus, edus };
    const uri = `/_matrix/federation/v1/send/${encodeURIComponent(txnId)}`;
    return (await this.calls(server, 'PUT', uri, body)).pdus;
  }

  /** Waits until another server has sent an event that matches. */
  async receives(what: string, matches: (pdu: Pdu) => boolean): Promise<Pdu> {
    return eventually(`${this.name} receives ${what}`, () =>
      this.received.flatMap((transaction) => transaction.pdus).find(matches),
    );
  }

  /** Waits until another server has sent an ephemeral message that matches. */
  async receivesEdu(what: string, matches: (edu: JsonObject) => boolean): Promise<JsonObject> {
    return eventually(`${this.name} receives ${what}`, () =>
      this.received.flatMap((transaction) => transaction.edus).find(matches),
    );
  }
}
