/**
 * What all processes of the server are told and no table holds: who types, who is online. Everything
 * told gets a serial and reaches every process in the order of the serials. They never go back, not
 * from one leader or one start to the next either, whatever the clocks say.
 *
 * Whoever keeps something of what it is told says how a process that comes later learns of it. It is
 * lost when all processes end.
 */

import type { Db } from '../storage/database.ts';
import { serialBlockSize, takeSerialBlock } from '../storage/ephemeral-serials.ts';

export type Handler = (payload: never, serial: number) => void;

/** What one memory has of what was told; plain JSON. */
export interface Keeper {
  state(): unknown;
  /** Replaces what is kept by what another process had kept when `serial` was the newest. */
  restore(state: never, serial: number): void;
}

export interface Broadcast {
  /** The newest that was told in this process. */
  readonly serial: number;
  /**
   * Tells all processes; the payload is plain JSON. Resolves once this process has been told;
   * undefined where it has been at once.
   * @throws {LogWriteFailed} where nobody may have been told
   */
  tell(kind: string, payload: unknown): Promise<void> | undefined;
  onTold(kind: string, handler: Handler): void;
  keep(name: string, keeper: Keeper): void;
}

/** Who is told of what, in this process. */
export class Hearers {
  readonly #handlers = new Map<string, Handler>();

  set(kind: string, handler: Handler): void {
    this.#handlers.set(kind, handler);
  }

  tell(kind: string, payload: unknown, serial: number): void {
    this.#handlers.get(kind)?.(payload as never, serial);
  }
}

/** Hands out serials, from blocks that are the process's alone. */
export class Serials {
  readonly #db: Db;
  #last: number;
  #blockEnd: number;
  #next: Promise<void> | undefined;

  private constructor(db: Db, first: number) {
    this.#db = db;
    this.#last = first;
    this.#blockEnd = first + serialBlockSize;
  }

  static async open(db: Db): Promise<Serials> {
    return new Serials(db, await takeSerialBlock(db));
  }

  /** The newest handed out. */
  get last(): number {
    return this.#last;
  }

  next(): number {
    this.#last += 1;
    if (this.#blockEnd - this.#last < serialBlockSize / 2) this.#next ??= this.#takeBlock();
    return this.#last;
  }

  async #takeBlock(): Promise<void> {
    try {
      this.#last = await takeSerialBlock(this.#db);
      this.#blockEnd = this.#last + serialBlockSize;
    } catch {
      // Half a block is left for asking again.
    } finally {
      this.#next = undefined;
    }
  }
}

/** Of a server that is one process: told at once. */
export class SoleBroadcast implements Broadcast {
  readonly #serials: Serials;
  readonly #hearers = new Hearers();

  constructor(serials: Serials) {
    this.#serials = serials;
  }

  get serial(): number {
    return this.#serials.last;
  }

  tell(kind: string, payload: unknown): undefined {
    this.#hearers.tell(kind, payload, this.#serials.next());
  }

  onTold(kind: string, handler: Handler): void {
    this.#hearers.set(kind, handler);
  }

  keep(): void {}
}
