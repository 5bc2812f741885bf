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

/** Bytes of each table and of each index, by name. */
const sizesOf = async (client: pg.Client): Promise<ReadonlyMap<string, number>> => {
  await client.query('VACUUM (ANALYZE)');
  const { rows } = await client.query<{ name: string; bytes: string }>(
    `SELECT relname AS name, pg_table_size(oid) AS bytes FROM pg_class
      WHERE relkind IN ('r', 'i') AND relnamespace = 'public'::regnamespace`,
  );
  return new Map(rows.map(({ name, bytes }) => [name, Number(bytes)]));
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

/** What each of `count` things done by `work` adds to tables and indexes, largest first, and in all. */
const growthOf = async (world: World, count: number, work: () => Promise<void>) => {
  const client = await world.server.database();
  try {
    await indexed(client);
    const before = await sizesOf(client);
    await work();
    await indexed(client);
    const parts = [...(await sizesOf(client))]
      .map(([name, bytes]) => [name, (bytes - (before.get(name) ?? 0)) / count] as const)
      .filter(([, bytes]) => bytes !== 0)
      .sort(([, a], [, b]) => b - a);
    return { bytes: parts.reduce((sum, [, bytes]) => sum + bytes, 0), parts };
  } finally {
    await client.end();
  }
};

type Growth = Awaited<ReturnType<typeof growthOf>>;

const partsOf = (what: string, { parts }: Growth): Record<string, number> =>
  Object.fromEntries(parts.map(([name, bytes]) => [`${what}Bytes.${name}`, bytes]));

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
    const message = await growthOf(world, MESSAGES, async () => {
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
    const join = await growthOf(world, JOINERS * ROOMS, async () => {
      for (const roomId of doors) await inParallel(joiners, 10, (person) => person.join(roomId));
    });
    return {
      figure: `${number(message.bytes)} bytes a message, ${number(join.bytes)} a join`,
      details: {
        messageBytes: message.bytes,
        joinBytes: join.bytes,
        ...partsOf('message', message),
        ...partsOf('join', join),
      },
    };
  },
};
