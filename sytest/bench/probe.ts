/**
 * What somebody else meets meanwhile: a thread of its own that asks one thing after another and
 * takes the time, so that what the load program is busy with is in none of its figures.
 */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { HttpRequest } from './http-connection.ts';

export interface ProbeOptions {
  readonly url: string;
  /** What is asked, again and again. */
  readonly request: HttpRequest;
  /** Between an answer and the next request. */
  readonly pauseMs: number;
}

/** From this program to the thread: take the time of one request, or tell what was measured. */
export type ToProbe = { readonly once: HttpRequest } | { readonly take: true };
/** And back. */
export type FromProbe =
  | { readonly latencyMs: number }
  | { readonly latenciesMs: readonly number[] }
  | { readonly error: string };

export class Probe {
  readonly #worker: Worker;

  private constructor(worker: Worker) {
    this.#worker = worker;
  }

  static async start(options: ProbeOptions): Promise<Probe> {
    const program = new URL('./probe-thread.js', import.meta.url);
    const worker = new Worker(program, { workerData: options });
    await once(worker, 'online');
    return new Probe(worker);
  }

  /** Makes one request beside the others; resolves with what it took. @throws when it failed */
  async once(request: HttpRequest): Promise<number> {
    const answer = await this.#ask({ once: request });
    return 'latencyMs' in answer ? answer.latencyMs : Number.NaN;
  }

  /** What the requests took since the last time this was asked, in their order. */
  async take(): Promise<readonly number[]> {
    const answer = await this.#ask({ take: true });
    return 'latenciesMs' in answer ? answer.latenciesMs : [];
  }

  async stop(): Promise<void> {
    await this.#worker.terminate();
  }

  async #ask(message: ToProbe): Promise<FromProbe> {
    this.#worker.postMessage(message);
    const [answer] = (await once(this.#worker, 'message')) as [FromProbe];
    if ('error' in answer) throw new Error(`someone else's request failed: ${answer.error}`);
    return answer;
  }
}
