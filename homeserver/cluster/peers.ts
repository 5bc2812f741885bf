/** Connections between members, made when one first calls the other. */
import {
  CallLost,
  type CallOptions,
  type Connection,
  type ConnectionHandlers,
} from './connection.ts';
import type { Member, MemberId, Membership } from './members.ts';

type Handle = (method: string, args: unknown, from: MemberId) => unknown;
type Dial = (member: Member, handlers: ConnectionHandlers) => Promise<Connection>;

export class Peers {
  readonly #handle: Handle;
  readonly #dial: Dial;
  readonly #open = new Map<MemberId, Connection>();
  readonly #dialing = new Map<MemberId, Promise<Connection>>();
  #isClosed = false;

  constructor(handle: Handle, dial: Dial) {
    this.#handle = handle;
    this.#dial = dial;
  }

  /** The other side has dialled: calls go over its connection in both directions. */
  accept(peer: Member, open: (handlers: ConnectionHandlers) => Connection): void {
    this.#add(open(this.#handlers(peer.id)));
  }

  /** @throws {CallLost} or what the other side has thrown */
  async call(
    member: Member,
    method: string,
    args: unknown,
    options?: CallOptions,
  ): Promise<unknown> {
    const connection = this.#open.get(member.id) ?? (await this.#connect(member, method));
    return connection.call(method, args, options);
  }

  /** Lets go of those who are there no more. */
  keep(membership: Membership): void {
    for (const [id, connection] of this.#open) {
      if (membership.get(id) !== undefined) continue;
      // Forgotten at once: should it come back, there is another connection.
      this.#open.delete(id);
      connection.close();
    }
  }

  close(): void {
    this.#isClosed = true;
    for (const connection of this.#open.values()) connection.close();
  }

  async #connect(member: Member, method: string): Promise<Connection> {
    let dialing = this.#dialing.get(member.id);
    if (dialing === undefined) {
      dialing = this.#dial(member, this.#handlers(member.id))
        .then((connection) => this.#add(connection))
        .finally(() => this.#dialing.delete(member.id));
      this.#dialing.set(member.id, dialing);
    }
    try {
      return await dialing;
    } catch (error) {
      throw new CallLost(`${method}: member ${member.id} is not reached`, false, { cause: error });
    }
  }

  #add(connection: Connection): Connection {
    if (this.#isClosed) connection.close();
    else if (connection.isOpen) this.#open.set(connection.peer.id, connection);
    return connection;
  }

  #handlers(peer: MemberId): ConnectionHandlers {
    return {
      call: (method, args) => this.#handle(method, args, peer),
      post: () => undefined,
      closed: () => {
        // Where both sides have dialled at once, the other connection may be the one that is left.
        if (this.#open.get(peer)?.isOpen === false) this.#open.delete(peer);
      },
    };
  }
}
