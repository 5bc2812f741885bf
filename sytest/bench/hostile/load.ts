/**
 * Hostile servers in a thread of their own, at a lower priority than the server they attack: what
 * others wait for is then the server's doing and not that of the load.
 */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { Certificate } from '../../lib/authority.ts';
import type { Scene } from './requests.ts';

export interface LoadOptions {
  readonly certificate: Certificate;
  /** PEM, of the authority that the server trusts and whose certificates it has. */
  readonly ca: string;
  readonly scene: Scene;
  /** Requests and answers under way at a time. */
  readonly atATime: number;
}

/** From this program to the thread. */
export type ToLoad =
  | { readonly kinds: true }
  /** Makes the requests of a kind, so that the time this takes is in no figure. */
  | { readonly prepare: string }
  | { readonly strike: { readonly seconds: number } }
  /** Opens servers that answer so, and closes those that were open. */
  | { readonly answer: { readonly kind: string; readonly questions: readonly string[] } }
  | { readonly rest: true };

export interface Kinds {
  readonly requests: readonly string[];
  readonly answers: readonly string[];
}

/** And back. */
export type FromLoad =
  | { readonly kinds: Kinds }
  /** How many requests ended with each status, or without an answer. */
  | { readonly outcomes: Readonly<Record<string, number>> }
  | { readonly names: readonly string[] }
  | { readonly error: string };

export class HostileLoad {
  readonly #worker: Worker;

  private constructor(worker: Worker) {
    this.#worker = worker;
  }

  static async start(options: LoadOptions): Promise<HostileLoad> {
    const program = new URL('./load-thread.js', import.meta.url);
    const worker = new Worker(program, { workerData: options });
    await once(worker, 'online');
    return new HostileLoad(worker);
  }

  async kinds(): Promise<Kinds> {
    const answer = await this.#ask({ kinds: true });
    return 'kinds' in answer ? answer.kinds : { requests: [], answers: [] };
  }

  async prepare(kind: string): Promise<void> {
    await this.#ask({ prepare: kind });
  }

  /** Has requests of the prepared kind under way for so long; resolves with how they ended. */
  async strike(seconds: number): Promise<Readonly<Record<string, number>>> {
    const answer = await this.#ask({ strike: { seconds } });
    return 'outcomes' in answer ? answer.outcomes : {};
  }

  /** Opens servers that answer so, to one question each, in turns; resolves with their names. */
  async answering(kind: string, questions: readonly string[]): Promise<readonly string[]> {
    const answer = await this.#ask({ answer: { kind, questions } });
    return 'names' in answer ? answer.names : [];
  }

  /** Closes the servers that answer. */
  async rest(): Promise<void> {
    await this.#ask({ rest: true });
  }

  async stop(): Promise<void> {
    await this.#worker.terminate();
  }

  async #ask(message: ToLoad): Promise<FromLoad> {
    this.#worker.postMessage(message);
    const [answer] = (await once(this.#worker, 'message')) as [FromLoad];
    if ('error' in answer) throw new Error(`the hostile load: ${answer.error}`);
    return answer;
  }
}
