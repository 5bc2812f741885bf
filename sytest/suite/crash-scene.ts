/**
 * Fifty people who send while something violent happens to their server, readers who follow, and what
 * must be true afterwards: whatever was acknowledged is there, once; rooms go on as one line of
 * events; readers have seen what history shows.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { Crowd, insistsOnSending, Reader, type Sent } from '../lib/crowd.ts';
import { type ClientEvent, type Person, registers } from '../lib/person.ts';
import { type SeededRandom, seededRandom } from '../lib/seeded-random.ts';
import type { ServerAddress } from '../lib/server.ts';
import { eventually } from '../lib/wait.ts';

const ROOMS = 5;
const PEOPLE = 50;
const LONGEST_LIFE_MS = 1_500;
const SENT_AFTERWARDS = 100;
const RECOVERY_MS = 60_000;

/** How often each kind of end is met. */
export const ROUNDS = Number(process.env['CRASH_ROUNDS'] ?? 2);
export const TIMEOUT_MS = 60_000 + ROUNDS * 30_000;
const SEED = Number(process.env['CRASH_SEED'] ?? Date.now() % 1_000_000);

export interface SceneOptions {
  /** What chooses moments and victims. */
  readonly seed?: number;
  readonly rooms?: number;
  /** Whether all of the server is back; its readiness unless given. */
  readonly isReady?: () => Promise<true | undefined>;
}

/** What everybody sent around one strike. */
export interface Struck {
  /** In the order of the acknowledgements. */
  readonly sent: readonly Sent[];
  /** By the clock of `performance.now`. */
  readonly struckMs: number;
}

export class CrashScene {
  readonly server: ServerAddress;
  readonly random: SeededRandom;
  readonly senders: { person: Person; room: string }[] = [];
  readonly sent: Sent[] = [];
  readonly readers: Reader[] = [];

  readonly #isReady: () => Promise<true | undefined>;

  private constructor(server: ServerAddress, seed: number, isReady: SceneOptions['isReady']) {
    this.server = server;
    this.random = seededRandom(seed);
    this.#isReady = isReady ?? (() => saysItIsReady(server.clientUrl));
  }

  /** On a server that runs. */
  static async prepare(
    server: ServerAddress,
    { seed, rooms: roomCount = ROOMS, isReady }: SceneOptions = {},
  ): Promise<CrashScene> {
    if (seed === undefined) {
      process.stderr.write(`crash test: CRASH_SEED=${SEED} CRASH_ROUNDS=${ROUNDS}\n`);
    }
    const scene = new CrashScene(server, seed ?? SEED, isReady);
    const names = Array.from({ length: roomCount }, (_, i) => `room${i}`);
    const people = Math.floor(PEOPLE / roomCount);
    const rooms = await Promise.all(names.map((name) => scene.#newRoom(name, people)));
    for (const [i, room] of rooms.entries()) {
      const person = await registers(server, `reader-${i}`);
      await person.joins(room);
      const reader = new Reader(person, room);
      scene.readers.push(reader);
      await reader.start();
    }
    return scene;
  }

  /** Lets everybody send, strikes at a random moment, and lets them go on once the server is back. */
  async strikeWhilePeopleSend(what: string, strike: () => Promise<void>): Promise<Struck> {
    const crowd = new Crowd(what, this.senders, this.random);
    await crowd.waitsForMore(PEOPLE);
    await sleep(this.random.below(LONGEST_LIFE_MS));
    const before = crowd.sent.length;
    const struckMs = performance.now();
    await strike();
    await eventually('ready again', () => this.#isReady(), { timeoutMs: RECOVERY_MS });
    const readyMs = Math.round(performance.now() - struckMs);
    await crowd.waitsForMore(SENT_AFTERWARDS);
    await crowd.finish();
    const repeated = crowd.sent.filter(({ attempts }) => attempts > 1);
    process.stderr.write(
      `${what}: after ${before} messages; ready ${readyMs} ms later; ${repeated.length} repeated\n`,
    );
    // What was in flight, and what was answered last, asked for once more: the same events.
    for (const each of [...repeated, ...crowd.sent.slice(-PEOPLE)]) {
      const again = await insistsOnSending(each.sender, each.room, each.txnId, each.text);
      expect(again.eventId).toBe(each.eventId);
    }
    this.sent.push(...crowd.sent);
    return { sent: crowd.sent, struckMs };
  }

  async #newRoom(name: string, people: number): Promise<string> {
    const host = await registers(this.server, `${name}-0`);
    const room = await host.createsRoom({ preset: 'public_chat' });
    this.senders.push({ person: host, room });
    for (let i = 1; i < people; i += 1) {
      const person = await registers(this.server, `${name}-${i}`);
      await person.joins(room);
      this.senders.push({ person, room });
    }
    return room;
  }
}

export const saysItIsReady = async (clientUrl: string): Promise<true | undefined> => {
  const response = await fetch(`${clientUrl}/health/ready`);
  await response.body?.cancel();
  return response.ok ? true : undefined;
};

/**
 * To be called within a `describe`, after the tests that strike.
 *
 * @param strikes how many there were, at least
 */
export const itLostNothing = (scene: () => CrashScene, strikes: number): void => {
  describe('and afterwards', () => {
    const histories = new Map<string, ClientEvent[]>();

    beforeAll(async () => {
      for (const { room, person } of scene().readers) {
        histories.set(room, await person.history(room, 100));
      }
    }, TIMEOUT_MS);

    const messagesIn = (room: string): ClientEvent[] =>
      (histories.get(room) ?? []).filter(({ type }) => type === 'm.room.message');

    it('every acknowledged message is there, none twice, and nothing else', () => {
      const { sent } = scene();
      expect(sent.length).toBeGreaterThanOrEqual(strikes * (PEOPLE + SENT_AFTERWARDS));
      for (const { room } of scene().readers) {
        const acknowledged = sent.filter((each) => each.room === room);
        const byId = new Map(messagesIn(room).map((event) => [event.event_id, event]));
        expect(byId.size).toBe(messagesIn(room).length);
        const lost = acknowledged.filter(
          ({ eventId, text }) => byId.get(eventId)?.content.body !== text,
        );
        expect(lost.map(({ text }) => text)).toEqual([]);
        expect(messagesIn(room)).toHaveLength(acknowledged.length);
      }
    });

    it('everybody’s messages are in the order in which they sent them', () => {
      for (const { person, room } of scene().senders) {
        const shown = messagesIn(room).filter(({ sender }) => sender === person.id);
        const theirs = scene().sent.filter(({ sender }) => sender === person);
        expect(shown.map(({ event_id }) => event_id)).toEqual(theirs.map(({ eventId }) => eventId));
      }
    });

    it('readers saw the same as history shows, once and in its order', async () => {
      for (const reader of scene().readers) {
        await reader.finish();
        expect(reader.read.map(({ text }) => text)).toEqual(
          messagesIn(reader.room).map(({ content }) => content.body),
        );
      }
    });

    it('each room is one line of events', () => {
      for (const { room, read } of scene().readers) {
        const history = histories.get(room) ?? [];
        const place = new Map(history.map(({ content }, i) => [content.body, i]));
        const built = read.filter(({ prevEvents }) => prevEvents !== undefined);
        expect(built.length).toBeGreaterThan(0);
        for (const { text, prevEvents } of built) {
          const before = history[(place.get(text) ?? 0) - 1];
          expect({ text, prevEvents }).toEqual({ text, prevEvents: [before?.event_id] });
        }
      }
    });

    it(
      'forwards, history is the same as backwards',
      async () => {
        for (const { room, person } of scene().readers) {
          const ids: string[] = [];
          let from: string | undefined;
          do {
            const page = await person.messages(room, {
              dir: 'f',
              limit: 100,
              ...(from === undefined ? {} : { from }),
            });
            ids.push(...page.chunk.map(({ event_id }) => event_id));
            from = page.chunk.length === 0 ? undefined : page.end;
          } while (from !== undefined);
          expect(ids).toEqual((histories.get(room) ?? []).map(({ event_id }) => event_id));
        }
      },
      TIMEOUT_MS,
    );

    it('the next message arrives', async () => {
      for (const { room, person } of scene().readers) {
        await person.syncs();
        const sender = scene().senders.find((each) => each.room === room)!.person;
        const eventId = await sender.says(room, 'still here');
        expect((await person.sees(room, eventId)).content['body']).toBe('still here');
      }
    });
  });
};
