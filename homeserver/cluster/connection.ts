/**
 * A connection between two processes that have proved to belong together: messages in order, calls
 * and their answers. Both sides show every tick that they live; who has been silent for
 * `maxSilentTicks` of them is given up. Ticks are counted, not time: a process that stood still itself
 * hears what has come meanwhile before it judges.
 */

import { frameKind } from './frame-kinds.ts';
import { encodeFrame, type FrameLimits, type FrameSocket } from './frames.ts';
import type { Member } from './members.ts';
import type { ErrorTranslator, TravellingError } from './travelling-errors.ts';

export interface ConnectionOptions extends FrameLimits {
  readonly tickMs: number;
  readonly maxSilentTicks: number;
  /** Calls waiting for their answer; further ones fail at once. */
  readonly maxCalls: number;
  readonly errors: ErrorTranslator;
}

export interface ConnectionHandlers {
  /** Answers a call; what it throws travels back. */
  call(method: string, args: unknown): unknown;
  /** A message of a kind that is not the connection's own. The payload must not be kept. */
  post(kind: number, payload: Buffer): void;
  /** The connection is gone; every waiting call has failed by then. */
  closed(reason: Error | undefined): void;
}

/** A call has no answer. One that `mayHaveRun` may be repeated only where that does no harm. */
export class CallLost extends Error {
  override readonly name = 'CallLost';
  readonly mayHaveRun: boolean;

  constructor(message: string, mayHaveRun: boolean, options?: ErrorOptions) {
    super(message, options);
    this.mayHaveRun = mayHaveRun;
  }
}

/** Nothing was heard for too long: frozen, or cut off. */
export class PeerSilent extends Error {
  override readonly name = 'PeerSilent';
}

interface Waiting {
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: Error) => void;
  readonly method: string;
  ticksLeft: number;
}

export interface CallOptions {
  readonly timeoutMs?: number;
}

const defaultTimeoutMs = 60_000;
/** How long `close` lets calls under way finish, unless told otherwise. */
const defaultCloseMs = 5_000;

export class Connection {
  readonly peer: Member;
  readonly #frames: FrameSocket;
  readonly #options: ConnectionOptions;
  readonly #handlers: ConnectionHandlers;
  readonly #waiting = new Map<number, Waiting>();
  readonly #clock: NodeJS.Timeout;
  #lastId = 0;
  /** Calls of the other side that are being answered. */
  #answering = 0;
  #silentTicks = 0;
  /** At the last tick. A frame under way is a sign of life, too. */
  #bytesRead = 0;
  #hasSpoken = false;
  #closingTicksLeft: number | undefined;
  #isOpen = true;

  /** Takes the frames over. */
  constructor(
    frames: FrameSocket,
    peer: Member,
    options: ConnectionOptions,
    handlers: ConnectionHandlers,
  ) {
    this.peer = peer;
    this.#frames = frames;
    this.#options = options;
    this.#handlers = handlers;
    frames.handOver(options, {
      onFrame: (kind, payload) => this.#receive(kind, payload),
      onEnd: (reason) => this.#end(reason),
    });
    this.#clock = setInterval(() => this.#tick(), options.tickMs);
    this.#clock.unref();
  }

  get isOpen(): boolean {
    return this.#isOpen && this.#closingTicksLeft === undefined;
  }

  /** Arguments and result are plain JSON. @throws {CallLost} or what the other side has thrown */
  call(method: string, args: unknown, { timeoutMs = defaultTimeoutMs }: CallOptions = {}) {
    return new Promise<unknown>((resolve, reject) => {
      if (!this.isOpen || this.#waiting.size >= this.#options.maxCalls) {
        const why = this.isOpen ? 'is asked too much at once' : 'is gone';
        reject(new CallLost(`${method}: member ${this.peer.id} ${why}`, false));
        return;
      }
      const id = ++this.#lastId;
      const text = `[${id},${JSON.stringify(method)},${JSON.stringify(args ?? null)}]`;
      const frame = encodeFrame(frameKind.call, text);
      if (this.#isTooLarge(frame)) {
        reject(new CallLost(`${method}: ${frame.length} bytes are too much for a call`, false));
        return;
      }
      // The tick under way is not a whole one.
      const ticksLeft = Math.ceil(timeoutMs / this.#options.tickMs) + 1;
      this.#waiting.set(id, { resolve, reject, method, ticksLeft });
      this.post(frame);
    });
  }

  /** Sends an encoded frame, in order with everything else on this connection. */
  post(frame: Buffer): void {
    this.#hasSpoken = true;
    this.#frames.send(frame);
  }

  /** Makes no further calls, and ends the connection when those under way are answered. */
  close(maxMs = defaultCloseMs): void {
    this.#closingTicksLeft ??= Math.ceil(maxMs / this.#options.tickMs);
    this.#endWhenIdle();
  }

  /** Ends it at once. */
  destroy(reason: Error): void {
    this.#frames.destroy(reason);
    this.#end(reason);
  }

  #receive(kind: number, payload: Buffer): void {
    switch (kind) {
      case frameKind.ping:
        return;
      case frameKind.call: {
        const [id, method, args] = parse<[number, string, unknown]>(payload);
        this.#answer(id, method, args);
        return;
      }
      case frameKind.answer: {
        const [id, result] = parse<[number, unknown]>(payload);
        this.#take(id)?.resolve(result);
        return;
      }
      case frameKind.failure: {
        const [id, error] = parse<[number, TravellingError]>(payload);
        this.#take(id)?.reject(this.#options.errors.decode(error));
        return;
      }
      default:
        this.#handlers.post(kind, payload);
    }
  }

  #take(id: number): Waiting | undefined {
    // None when it has waited too long already.
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (this.#closingTicksLeft !== undefined) this.#endWhenIdle();
    return waiting;
  }

  #answer(id: number, method: string, args: unknown): void {
    this.#answering += 1;
    try {
      const result = this.#handlers.call(method, args);
      if (result instanceof Promise) {
        result.then(
          (value) => this.#succeed(id, value),
          (error) => this.#fail(id, error),
        );
        return;
      }
      this.#succeed(id, result);
    } catch (error) {
      this.#fail(id, error);
    }
  }

  #succeed(id: number, result: unknown): void {
    let frame: Buffer;
    try {
      const text = result === undefined ? `[${id}]` : `[${id},${JSON.stringify(result)}]`;
      frame = encodeFrame(frameKind.answer, text);
      if (this.#isTooLarge(frame)) throw new Error(`An answer of ${frame.length} bytes`);
    } catch (error) {
      this.#fail(id, error);
      return;
    }
    this.#finish(frame);
  }

  #fail(id: number, error: unknown): void {
    const text = JSON.stringify([id, this.#options.errors.encode(error)]);
    this.#finish(encodeFrame(frameKind.failure, text));
  }

  #finish(frame: Buffer): void {
    this.post(frame);
    this.#answering -= 1;
    if (this.#closingTicksLeft !== undefined) this.#endWhenIdle();
  }

  #isTooLarge(frame: Buffer): boolean {
    return frame.length > this.#options.maxFrameBytes;
  }

  #tick(): void {
    if (!this.#hasSpoken) this.#frames.send(pingFrame);
    this.#hasSpoken = false;
    if (this.#closingTicksLeft !== undefined && this.#closingTicksLeft-- <= 0) this.#frames.end();
    for (const [id, waiting] of this.#waiting) {
      if (--waiting.ticksLeft > 0) continue;
      this.#take(id);
      const { method } = waiting;
      waiting.reject(new CallLost(`${method}: member ${this.peer.id} took too long`, true));
    }
    const { bytesRead } = this.#frames;
    if (bytesRead !== this.#bytesRead) this.#silentTicks = 0;
    this.#bytesRead = bytesRead;
    if (++this.#silentTicks < this.#options.maxSilentTicks) return;
    this.destroy(new PeerSilent(`Member ${this.peer.id} has fallen silent`));
  }

  #endWhenIdle(): void {
    if (this.#waiting.size === 0 && this.#answering === 0) this.#frames.end();
  }

  #end(reason: Error | undefined): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    clearInterval(this.#clock);
    const lost = new CallLost(`Member ${this.peer.id} is gone`, true, { cause: reason });
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const { reject } of waiting) reject(lost);
    this.#handlers.closed(reason);
  }
}

export const parse = <T>(payload: Buffer): T => JSON.parse(payload.toString('utf8')) as T;

const pingFrame = encodeFrame(frameKind.ping, '');
