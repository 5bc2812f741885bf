/** Bytes on disk, indexes included, for what a server is given most: messages and joins. */
import type pg from 'pg';
import { eventually } from '../../lib/wait.ts';
import { number } from '../format.ts';
import { inParallel } from '../measure.ts';
import type { Scenario, World } from '../scenario.ts';

const MESSAGES = 20_000;
const SENDERS = 20;
const JOINERS = 1_000;
const ROOMS = 5;
const INDEXED_WITHIN_MS = 120_000;
/** Eight words each, of a vocabulary as people have one. */
const WORDS =
  'meet bridge half past six bring bread wine friends garden tomorrow morning train late rain window letter answer question music'.split(
    ' ',
  );

const sizeOf = async (client: pg.Client): Promise<number> => {
  await client.query('VACUUM (ANALYZE)');
  const { rows } = await client.query<{ bytes: string }>(
    `SELECT sum(pg_total_relation_size(oid)) AS bytes FROM pg_class
      WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace`,
  );
  return Number(rows[0]!.bytes);
};

/** When the readers of the log that index events have come to its end. */
const indexed = async (client: pg.Client): Promise<void> => {
  await eventually(
    'everything is indexed',
    async () => {
      const { rows } = await client.query<{ behind: boolean }>(
        `SELECT bool_or(position < (SELECT max(stream_pos) FROM events)) AS behind
          FROM reader_cursors`,
      );
      return rows[0]?.behind === true ? undefined : true;
    },
    { timeoutMs: INDEXED_WITHIN_MS, pauseMs: 250 },
  );
};

const measured = async (world: World, count: number, work: () => Promise<void>) => {
  const client = await world.server.database();
  try {
    await indexed(client);
    const before = await sizeOf(client);
    await work();
    await indexed(client);
    return ((await sizeOf(client)) - before) / count;
  } finally {
    await client.end();
  }
};

const eightWords = (seed: number): string =>
  Array.from(
    { length: 8 },
    (_, at) => WORDS[(seed * 7 + at * 13 + ((seed * at) % 5)) % WORDS.length],
  ).join(' ');

export const stored: Scenario = {
  name: 'stored',
  measures: `bytes of the database for each of ${MESSAGES} messages of 8 words, and of ${JOINERS * ROOMS} joins`,
  bars: [
    { of: 'message', detail: 'messageBytes', atMost: 1100, unit: 'B' },
    { of: 'join', detail: 'joinBytes', atMost: 1500, unit: 'B' },
  ],
  run: async (world) => {
    const people = await world.people(SENDERS);
    const roomIds = await inParallel(people, 8, (person) =>
      person.createRoom({ preset: 'private_chat' }),
    );
    const messageBytes = await measured(world, MESSAGES, async () => {
      await inParallel(people, SENDERS, async (person, worker) => {
        for (let count = 0; count < MESSAGES / SENDERS; count++) {
          const body = eightWords(worker * MESSAGES + count);
          await person.send(roomIds[worker]!, JSON.stringify({ msgtype: 'm.text', body }));
        }
      });
    });
    const joiners = await world.newPeople(JOINERS);
    const doors = await inParallel(Array.from({ length: ROOMS }), 1, () =>
      people[0]!.createRoom({ preset: 'public_chat' }),
    );
    const joinBytes = await measured(world, JOINERS * ROOMS, async () => {
      for (const roomId of doors) await inParallel(joiners, 10, (person) => person.join(roomId));
    });
    return {
      figure: `${number(messageBytes)} bytes a message, ${number(joinBytes)} a join`,
      details: { messageBytes, joinBytes },
    };
  },
};
