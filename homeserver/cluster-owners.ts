/** The owners of a server that is several processes: whom the cluster's membership names. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Answer, Owners } from './owners.ts';
import { isDatabaseFull } from './storage/connection.ts';
import { LogWriteFailed, LogWriteRefused } from './streams/log.ts';

/** What is needed of the cluster. */
export interface OwningCluster {
  readonly id: string;
  /** Undefined while this process has no part in the log. */
  ownerOf(key: string): string | undefined;
  /** @throws what was thrown there; `isUnsent` tells what cannot have run */
  call(member: string, method: string, args: unknown): Promise<unknown>;
  isUnsent(error: unknown): boolean;
  /** Nobody knows whether it has run. */
  isLost(error: unknown): boolean;
  /** How far this process has followed the log. */
  position(): number;
  /** Resolves once it has followed so far; undefined where it has already. */
  reached(position: number): Promise<void> | undefined;
}

/** The process that was asked does not own it, or not any more. */
export class NotOwner extends Error {
  override readonly name = 'NotOwner';
}

/** Positions are those of the log that the caller, and the one who answers, have followed. */
type CallText = readonly [key: string, args: readonly unknown[], position: number];
type AnswerText = readonly [answer: unknown, position: number];

/** Between two attempts: a key that moves has another owner at once, a dead one takes longer. */
const firstPauseMs = 25;
const maxPauseMs = 500;
/** A dead owner is replaced sooner. */
const maxWaitMs = 8_000;

export class ClusterOwners implements Owners {
  readonly #cluster: OwningCluster;
  readonly #answers = new Map<string, Answer>();
  readonly #listeners: (() => void)[] = [];

  constructor(cluster: OwningCluster) {
    this.#cluster = cluster;
  }

  elsewhere(key: string): string | undefined {
    const owner = this.#cluster.ownerOf(key);
    return owner === this.#cluster.id ? undefined : (owner ?? nobody);
  }

  async ask(
    key: string,
    method: string,
    args: readonly unknown[],
    isRepeatable = false,
  ): Promise<unknown> {
    const endMs = performance.now() + maxWaitMs;
    for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(2 * pauseMs, maxPauseMs)) {
      const owner = this.#cluster.ownerOf(key);
      try {
        if (owner === this.#cluster.id) return await this.#run(method, args);
        if (owner !== undefined) {
          return await this.#callOwner(owner, key, method, args);
        }
      } catch (error) {
        const isLost = this.#cluster.isLost(error);
        const isUnknown =
          isLost || (error instanceof LogWriteFailed && !isDatabaseFull(error.cause));
        if (!(isUnknown && isRepeatable) && !this.#mayAskAgain(error, key, owner)) {
          throw isLost ? new LogWriteFailed((error as Error).message) : error;
        }
        if (performance.now() > endMs) throw new LogWriteFailed('The owner is not to be reached');
      }
      if (performance.now() > endMs) throw new LogWriteFailed('There is no owner at present');
      await sleep(pauseMs);
    }
  }

  #mayAskAgain(error: unknown, key: string, owner: string | undefined): boolean {
    if (error instanceof NotOwner || error instanceof LogWriteRefused) return true;
    const hasMoved = error instanceof LogWriteFailed && this.#cluster.ownerOf(key) !== owner;
    return hasMoved || this.#cluster.isUnsent(error);
  }

  answer(method: string, run: Answer): void {
    this.#answers.set(method, run);
  }

  onChange(listener: () => void): void {
    this.#listeners.push(listener);
  }

  /** Another process asks. @throws {NotOwner} */
  async handle(method: string, text: unknown): Promise<unknown> {
    const [key, args, position] = text as CallText;
    await this.#cluster.reached(position);
    if (this.elsewhere(key) !== undefined) throw new NotOwner(`${key} is not owned here`);
    const answer = await this.#run(method, args);
    return [answer, this.#cluster.position()] satisfies AnswerText;
  }

  /** The membership has changed. */
  changed(): void {
    for (const listener of this.#listeners) listener();
  }

  /**
   * What has been written before the call is known to whoever answers it, and what it has written to
   * whoever has asked, although calls and the log take different ways.
   */
  async #callOwner(
    owner: string,
    key: string,
    method: string,
    args: readonly unknown[],
  ): Promise<unknown> {
    const text: CallText = [key, args, this.#cluster.position()];
    const [answer, position] = (await this.#cluster.call(owner, method, text)) as AnswerText;
    await this.#cluster.reached(position);
    return answer ?? undefined;
  }

  #run(method: string, args: readonly unknown[]): Promise<unknown> {
    const run = this.#answers.get(method);
    if (run === undefined) throw new Error(`Nothing answers ${method} here`);
    return run(...(args.map((arg) => arg ?? undefined) as never[]));
  }
}

/** While this process has no part in the log, everything is owned elsewhere. */
const nobody = 'nobody';
