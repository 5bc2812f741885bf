/**
 * People who go on sending whatever happens to the server, and readers who go on syncing: as clients
 * do, everybody repeats a request that got no answer, with the same transaction id or token, until it
 * gets one. A refusal is never expected: real clients would log out, or drop the message.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { type Person, segment } from './person.ts';
import type { SeededRandom } from './seeded-random.ts';

/** A message that was acknowledged. */
export interface Sent {
  readonly sender: Person;
  readonly room: string;
  readonly txnId: string;
  readonly text: string;
  readonly eventId: string;
  /** Requests that were made for it. */
  readonly attempts: number;
  /** Why those before the last were not answered, with how long each took. */
  readonly failures: readonly string[];
  /** By the clock of `performance.now`. */
  readonly acknowledgedMs: number;
}

const RETRY_PAUSE_MS = 50;
const REQUEST_TIMEOUT_MS = 10_000;
const MAX_PAUSE_MS = 40;
const PAGE = 100;
const FILTER = JSON.stringify({
  event_format: 'federation',
  presence: { not_types: ['*'] },
  room: { timeline: { limit: 100 } },
});

/** A message that came down to a reader. */
export interface Read {
  readonly text: string;
  /** The events it was built on; unknown of those that filled a gap. */
  readonly prevEvents: readonly string[] | undefined;
}

interface Message {
  readonly type: string;
  readonly content: { readonly body: string };
  readonly prev_events?: readonly string[];
}

interface Timeline {
  readonly limited?: boolean;
  readonly prev_batch?: string;
  readonly events: readonly Message[];
}

const read = ({ content, prev_events: prevEvents }: Message): Read => ({
  text: content.body,
  prevEvents,
});

/** Repeats a request until the server answers it; throws on a refusal. Gives the body. */
async function insists(
  person: Person,
  method: string,
  path: string,
  body?: object,
): Promise<{ answer: unknown; failures: string[] }> {
  const failures: string[] = [];
  for (;;) {
    const startedMs = performance.now();
    let cause: unknown;
    const response = await fetch(`${person.server.clientUrl}/_matrix/client/v3${path}`, {
      method,
      headers: {
        Authorization: `Bearer ${person.token}`,
        'Content-Type': 'application/json',
        ...(person.server.isSpread === true && { Connection: 'close' }),
      },
      signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    }).catch((error: Error) => {
      cause = (error.cause as { code?: string } | undefined)?.code ?? error.name;
    });
    // An answer that was cut off half way is none.
    const answer: unknown = await response?.json().catch(() => undefined);
    if (response !== undefined && answer !== undefined) {
      if (response.ok) return { answer, failures };
      if (response.status < 500) {
        throw new Error(`${method} ${path}: ${response.status} ${JSON.stringify(answer)}`);
      }
    }
    const told = response === undefined ? cause : `${response.status} ${JSON.stringify(answer)}`;
    failures.push(`${told} after ${Math.round(performance.now() - startedMs)} ms`);
    await sleep(RETRY_PAUSE_MS);
  }
}

/** Sends a message, again and again if need be, under the transaction id given. */
export async function insistsOnSending(
  sender: Person,
  room: string,
  txnId: string,
  text: string,
): Promise<Sent> {
  const path = `/rooms/${segment(room)}/send/m.room.message/${segment(txnId)}`;
  const { answer, failures } = await insists(sender, 'PUT', path, {
    msgtype: 'm.text',
    body: text,
  });
  return {
    sender,
    room,
    txnId,
    text,
    eventId: (answer as { event_id: string }).event_id,
    attempts: failures.length + 1,
    failures,
    acknowledgedMs: performance.now(),
  };
}

export class Crowd {
  /** In the order in which they were acknowledged. */
  readonly sent: Sent[] = [];
  readonly #topic: string;
  readonly #random: SeededRandom;
  readonly #work: Promise<void>[];
  #over = false;

  /**
   * Each person begins to send to their room, one message after the other.
   *
   * @param topic in every message and transaction id; no two crowds of the same people share one
   */
  constructor(
    topic: string,
    people: readonly { person: Person; room: string }[],
    random: SeededRandom,
  ) {
    this.#topic = topic;
    this.#random = random;
    this.#work = people.map(({ person, room }) => this.#sends(person, room));
    // Told by `finish`, which may come later.
    for (const work of this.#work) work.catch(() => undefined);
  }

  /** Waits until this many more messages have been acknowledged. */
  async waitsForMore(count: number): Promise<void> {
    const goal = this.sent.length + count;
    while (this.sent.length < goal && !this.#over) {
      await Promise.race([sleep(5), Promise.all(this.#work)]);
    }
  }

  /** Everybody finishes the message they are at. Throws if anybody was refused. */
  async finish(): Promise<void> {
    this.#over = true;
    await Promise.all(this.#work);
  }

  async #sends(person: Person, room: string): Promise<void> {
    for (let count = 1; !this.#over; count += 1) {
      const txnId = `${this.#topic} ${count}`;
      const text = `${person.id}: ${txnId}`;
      this.sent.push(await insistsOnSending(person, room, txnId, text));
      await sleep(this.#random.below(MAX_PAUSE_MS));
    }
  }
}

/**
 * Follows the messages of a room by long poll from one token to the next, filling gaps by paging
 * back. Events come as other servers get them, so that what each is built on can be seen.
 */
export class Reader {
  readonly person: Person;
  readonly room: string;
  /** What came after the first sync, in the order in which it came. */
  readonly read: Read[] = [];
  readonly #known = new Set<string>();
  #since: string | undefined;
  #over = false;
  #work: Promise<void> = Promise.resolve();

  constructor(person: Person, room: string) {
    this.person = person;
    this.room = room;
  }

  /** Takes the first sync, then follows until `finish`. */
  async start(): Promise<void> {
    await this.#sync(0);
    this.#work = this.#follow();
    this.#work.catch(() => undefined);
  }

  /** Everything acknowledged before this call has come when it resolves. */
  async finish(): Promise<void> {
    this.#over = true;
    await this.#work;
    await this.#sync(0);
  }

  async #follow(): Promise<void> {
    while (!this.#over) await this.#sync(500);
  }

  async #sync(timeoutMs: number): Promise<void> {
    const since = this.#since === undefined ? '' : `&since=${segment(this.#since)}`;
    const path = `/sync?filter=${segment(FILTER)}&timeout=${timeoutMs}${since}`;
    const { answer } = await insists(this.person, 'GET', path);
    const { next_batch, rooms } = answer as {
      next_batch: string;
      rooms?: { join?: Record<string, { timeline?: Timeline }> };
    };
    const timeline = rooms?.join?.[this.room]?.timeline;
    if (this.#since === undefined) {
      for (const { type, content } of timeline?.events ?? []) {
        if (type === 'm.room.message') this.#known.add(content.body);
      }
    } else if (timeline !== undefined) {
      if (timeline.limited === true) this.#keep(await this.#gap(timeline.prev_batch));
      this.#keep(timeline.events);
    }
    this.#since = next_batch;
  }

  #keep(messages: readonly Message[]): void {
    for (const message of messages) {
      this.read.push(read(message));
      this.#known.add(message.content.body);
    }
  }

  /** What lies between a gap's end and the newest message known. */
  async #gap(prevBatch: string | undefined): Promise<Message[]> {
    const missed: Message[] = [];
    for (let from = prevBatch; from !== undefined; ) {
      const path = `/rooms/${segment(this.room)}/messages?dir=b&limit=${PAGE}&from=${segment(from)}`;
      const { answer } = await insists(this.person, 'GET', path);
      const { chunk, end } = answer as { chunk: Message[]; end?: string };
      // Whatever is no message was there before the first sync.
      const known = chunk.findIndex(
        ({ type, content }) => type !== 'm.room.message' || this.#known.has(content.body),
      );
      missed.push(...(known < 0 ? chunk : chunk.slice(0, known)));
      from = known < 0 ? end : undefined;
    }
    return missed.reverse();
  }
}
