/** What a member hears from its leader: who is there and what was written, in one order, with no gap. */
import { parse } from './connection.ts';
import { frameKind } from './frame-kinds.ts';
import { type Member, Membership } from './members.ts';

/** In the order of the stream. */
export interface StreamHandlers {
  /** The first message of all: where the log is. Whatever is remembered of it may be old. */
  onReset(position: number): void;
  onMembership(membership: Membership): void;
  onStream(position: number, writes: readonly unknown[]): void;
}

/** Reads the leader's messages; `position` is how far this process has followed. */
export class StreamReader {
  readonly #handlers: StreamHandlers;
  #position = -1;

  constructor(handlers: StreamHandlers) {
    this.#handlers = handlers;
  }

  get position(): number {
    return this.#position;
  }

  read(kind: number, payload: Buffer): void {
    switch (kind) {
      case frameKind.welcome: {
        const [position, epoch, members] = parse<[number, number, Member[]]>(payload);
        this.#reset(position);
        this.#handlers.onMembership(new Membership(epoch, members));
        return;
      }
      case frameKind.membership: {
        const [epoch, members] = parse<[number, Member[]]>(payload);
        this.#handlers.onMembership(new Membership(epoch, members));
        return;
      }
      case frameKind.stream: {
        const [after, position, writes] = parse<[number, number, unknown[]]>(payload);
        if (after !== this.#position) {
          this.#reset(position);
          return;
        }
        this.#position = position;
        this.#handlers.onStream(position, writes);
        return;
      }
      case frameKind.reset: {
        const [position] = parse<[number]>(payload);
        this.#reset(position);
        return;
      }
      default:
        // Of a later release; whoever must be understood raises the protocol.
        return;
    }
  }

  #reset(position: number): void {
    this.#position = position;
    this.#handlers.onReset(position);
  }
}
