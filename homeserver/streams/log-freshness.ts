/**
 * Reading what was written through any process: whoever is about to read memory waits until this
 * process has followed the log as far as its writer is now.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Log } from './log.ts';
import { LogWriteFailed } from './log-writer.ts';

/** Resolves with where the log is for whoever writes it; undefined while that is this process. */
export type AskPosition = () => Promise<number> | undefined;

const pauseMs = 25;
/** A leader that is lost is replaced sooner. */
const maxWaitMs = 8_000;

export class LogFreshness {
  readonly #log: Log;
  readonly #askPosition: AskPosition;
  /** Those who wait for a position, lowest first. */
  readonly #waiting: { readonly position: number; readonly resolve: () => void }[] = [];

  constructor(log: Log, askPosition: AskPosition) {
    this.#log = log;
    this.#askPosition = askPosition;
    log.onAdvance((position) => {
      while (this.#waiting[0] !== undefined && this.#waiting[0].position <= position) {
        this.#waiting.shift()?.resolve();
      }
    });
  }

  /** See `Log.caughtUp`. */
  caughtUp(): Promise<void> | undefined {
    const asked = this.#askPosition();
    return asked && this.#follow(asked);
  }

  async #follow(asked: Promise<number>): Promise<void> {
    const endMs = performance.now() + maxWaitMs;
    for (let answer: Promise<number> | undefined = asked; answer !== undefined; ) {
      try {
        await this.reached(await answer);
        return;
      } catch (error) {
        if (performance.now() > endMs) {
          throw new LogWriteFailed('Nobody knows at present where the log is', { cause: error });
        }
        await sleep(pauseMs);
        answer = this.#askPosition();
      }
    }
  }

  /** Resolves once memory has followed so far; undefined where it has already. */
  reached(position: number): Promise<void> | undefined {
    if (position <= this.#log.position) return undefined;
    return new Promise((resolve) => {
      const at = this.#waiting.findLastIndex((other) => other.position <= position);
      this.#waiting.splice(at + 1, 0, { position, resolve });
    });
  }
}
