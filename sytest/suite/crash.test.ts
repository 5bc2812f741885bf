/**
 * Violent ends while fifty people send: of the server, of its database, and of one connection's
 * process. Whatever was acknowledged is there afterwards, once; rooms go on as one line of events;
 * readers continue from the tokens they hold.
 *
 * CRASH_ROUNDS (2 unless given) says how often each kind of end is met; CRASH_SEED repeats a run.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { Crowd, insistsOnSending, Reader, type Sent } from '../lib/crowd.ts';
import { backendsOf, postmasterOf } from '../lib/embedded-database.ts';
import { parley } from '../lib/parley.ts';
import { type ClientEvent, type Person, registers } from '../lib/person.ts';
import { type SeededRandom, seededRandom } from '../lib/seeded-random.ts';
import { Server } from '../lib/server.ts';
import { eventually } from '../lib/wait.ts';
import { authority } from '../lib/world.ts';

const ROUNDS = Number(process.env['CRASH_ROUNDS'] ?? 2);
const SEED = Number(process.env['CRASH_SEED'] ?? Date.now() % 1_000_000);
const ROOMS = 5;
const PEOPLE = 50;
const LONGEST_LIFE_MS = 1_500;
const SENT_AFTERWARDS = 100;
const RECOVERY_MS = 40_000;
const TIMEOUT_MS = 60_000 + ROUNDS * 30_000;

let server: Server;
let random: SeededRandom;
const senders: { person: Person; room: string }[] = [];
const sent: Sent[] = [];
const readers: Reader[] = [];

const newRoom = async (name: string): Promise<string> => {
  const host = await registers(server, `${name}-0`);
  const room = await host.createsRoom({ preset: 'public_chat' });
  senders.push({ person: host, room });
  for (let i = 1; i < PEOPLE / ROOMS; i += 1) {
    const person = await registers(server, `${name}-${i}`);
    await person.joins(room);
    senders.push({ person, room });
  }
  return room;
};

const isReady = async (): Promise<true | undefined> => {
  const response = await fetch(`${server.clientUrl}/health/ready`);
  await response.body?.cancel();
  return response.ok ? true : undefined;
};

/** Lets everybody send, strikes at a random moment, and lets them go on once the server is back. */
const strikeWhilePeopleSend = async (what: string, strike: () => Promise<void>) => {
  const crowd = new Crowd(what, senders, random);
  await crowd.waitsForMore(PEOPLE);
  await sleep(random.below(LONGEST_LIFE_MS));
  const before = crowd.sent.length;
  const struckMs = Date.now();
  await strike();
  await eventually('ready again', isReady, { timeoutMs: RECOVERY_MS });
  const readyMs = Date.now() - struckMs;
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
  sent.push(...crowd.sent);
};

beforeAll(async () => {
  process.stderr.write(`crash test: CRASH_SEED=${SEED} CRASH_ROUNDS=${ROUNDS}\n`);
  random = seededRandom(SEED);
  server = await Server.create(parley({ log: { level: 'warn' } }), authority);
  await server.start();
  const rooms = await Promise.all(Array.from({ length: ROOMS }, (_, i) => newRoom(`room${i}`)));
  for (const [i, room] of rooms.entries()) {
    const person = await registers(server, `reader-${i}`);
    await person.joins(room);
    const reader = new Reader(person, room);
    readers.push(reader);
    await reader.start();
  }
}, TIMEOUT_MS);

afterAll(async () => {
  await server.destroy();
});

describe('with fifty people sending', () => {
  for (let round = 1; round <= ROUNDS; round += 1) {
    it(
      `the server is killed (round ${round})`,
      async () => {
        await strikeWhilePeopleSend(`server killed, round ${round}`, async () => {
          await server.kill();
          await server.start();
        });
      },
      TIMEOUT_MS,
    );

    it(
      `the database is killed (round ${round})`,
      async () => {
        await strikeWhilePeopleSend(`database killed, round ${round}`, async () => {
          const before = postmasterOf(server);
          process.kill(before, 'SIGKILL');
          await eventually('another database', () =>
            postmasterOf(server) === before ? undefined : true,
          );
        });
      },
      TIMEOUT_MS,
    );

    it(
      `one process of the database is killed (round ${round})`,
      async () => {
        await strikeWhilePeopleSend(`database process killed, round ${round}`, async () => {
          process.kill(random.pick(backendsOf(server)), 'SIGKILL');
          await sleep(100);
        });
      },
      TIMEOUT_MS,
    );

    it(
      `server and database are killed together (round ${round})`,
      async () => {
        await strikeWhilePeopleSend(`server and database killed, round ${round}`, async () => {
          process.kill(postmasterOf(server), 'SIGKILL');
          await server.kill();
          await server.start();
        });
      },
      TIMEOUT_MS,
    );
  }

  describe('and afterwards', () => {
    const histories = new Map<string, ClientEvent[]>();

    beforeAll(async () => {
      for (const { room, person } of readers) {
        histories.set(room, await person.history(room, 100));
      }
    }, TIMEOUT_MS);

    const messagesIn = (room: string): ClientEvent[] =>
      (histories.get(room) ?? []).filter(({ type }) => type === 'm.room.message');

    it('every acknowledged message is there, none twice, and nothing else', () => {
      expect(sent.length).toBeGreaterThanOrEqual(ROUNDS * 4 * (PEOPLE + SENT_AFTERWARDS));
      for (const { room } of readers) {
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
      for (const { person, room } of senders) {
        const shown = messagesIn(room).filter(({ sender }) => sender === person.id);
        const theirs = sent.filter(({ sender }) => sender === person);
        expect(shown.map(({ event_id }) => event_id)).toEqual(theirs.map(({ eventId }) => eventId));
      }
    });

    it('readers saw the same as history shows, once and in its order', async () => {
      for (const reader of readers) {
        await reader.finish();
        expect(reader.read.map(({ text }) => text)).toEqual(
          messagesIn(reader.room).map(({ content }) => content.body),
        );
      }
    });

    it('each room is one line of events', () => {
      for (const { room, read } of readers) {
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
        for (const { room, person } of readers) {
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
      for (const { room, person } of readers) {
        await person.syncs();
        const sender = senders.find((each) => each.room === room)!.person;
        const eventId = await sender.says(room, 'still here');
        expect((await person.sees(room, eventId)).content['body']).toBe('still here');
      }
    });
  });
});
