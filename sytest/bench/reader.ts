/** Somebody in a long poll, who notes when each message of one room's author arrives. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { messageContent } from './against-ceiling.ts';
import { ConnectionClosed, type HttpConnection } from './http-connection.ts';
import { nextBatchOf, type Person } from './person.ts';

const LONG_POLL_MS = 30_000;

/** Numbered messages of one scenario's run, told apart from those of any other. */
export class NumberedMessages {
  static #runs = 0;
  readonly #name = `run${++NumberedMessages.#runs}of${process.pid}`;
  readonly #mark = new RegExp(`${this.#name}-(\\d+)-`, 'g');

  content(number: number): string {
    return messageContent(`${this.#name}-${number}-`);
  }

  /** The numbers of this run's messages in the text of an answer. */
  in(answer: string): number[] {
    return Array.from(answer.matchAll(this.#mark), ([, number]) => Number(number));
  }
}

/** Polls for ever, as a client does, and reports every message at the moment its answer is here. */
export class Reader {
  readonly #person: Person;
  readonly #messages: NumberedMessages;
  readonly #http: HttpConnection;
  readonly #arrived: (message: number, atMs: number) => void;
  #stopped = false;
  #since: string | undefined;

  constructor(
    person: Person,
    messages: NumberedMessages,
    arrived: (message: number, atMs: number) => void,
  ) {
    this.#person = person;
    this.#messages = messages;
    this.#http = person.newConnection();
    this.#arrived = arrived;
  }

  /** Where its next poll begins; set once it has started. */
  get since(): string | undefined {
    return this.#since;
  }

  /** Resolves after the first sync; `ended` settles when the reader stops or fails. */
  async start(): Promise<{ ended: Promise<void> }> {
    const first = await this.#person.syncOn(this.#http, {});
    return this.goOn(nextBatchOf(first));
  }

  /** Polls on from where a client stopped, without a first sync. */
  goOn(since: string): { ended: Promise<void> } {
    this.#since = since;
    return { ended: this.#follow() };
  }

  async #follow(): Promise<void> {
    try {
      for (;;) {
        const request = { since: this.#since, timeoutMs: LONG_POLL_MS };
        const answer = await this.#person.syncOn(this.#http, request);
        const atMs = performance.now();
        // Answers that are here already are taken note of first: what this program does with one is
        // no part of the way of the next.
        await nextTurn();
        this.#since = nextBatchOf(answer);
        for (const message of this.#messages.in(answer.toString())) this.#arrived(message, atMs);
      }
    } catch (error) {
      if (!(this.#stopped && error instanceof ConnectionClosed)) throw error;
    }
  }

  stop(): void {
    this.#stopped = true;
    this.#http.close();
  }
}
