/** What a server that has just started owes those who were there before: the memory is empty. */

import { messageContent } from '../against-ceiling.ts';
import { ms, number } from '../format.ts';
import { closedLoop, inParallel, summarise } from '../measure.ts';
import type { Person } from '../person.ts';
import { NumberedMessages, Reader } from '../reader.ts';
import type { Scenario, World } from '../scenario.ts';
import { metricsOf, parseValue } from '../server-metrics.ts';

const OWNERS = 10;
const SENDERS = 5;

/** Rooms of ten owners, the first of them the first owner's, and so on; all joined by each of a few people who have never synced. */
export const makeRooms = async (
  world: World,
  count: number,
  peopleCount: number,
): Promise<{ people: Person[]; roomIds: string[]; owners: Person[] }> => {
  const owners = await world.people(OWNERS);
  const each = Math.ceil(count / OWNERS);
  const made = await inParallel(owners, OWNERS, async (owner, index) => {
    const own: string[] = [];
    for (let room = 0; room < each; room++) {
      own.push(await owner.createRoom({ preset: 'public_chat', name: `Room ${index}.${room}` }));
    }
    return own;
  });
  const roomIds = made.flat();
  const people = await world.newPeople(peopleCount);
  for (const person of people) {
    const free = Array.from({ length: 8 }, () => person.newConnection());
    const doors = [...free];
    await inParallel(roomIds, doors.length, async (roomId) => {
      const door = free.pop()!;
      await person.joinOn(door, roomId);
      free.push(door);
    });
    for (const door of doors) door.close();
  }
  return { people, roomIds, owners };
};

/** As many messages of its owner in each of these rooms, as `makeRooms` made them. */
export const fillRooms = async (
  owners: readonly Person[],
  roomIds: readonly string[],
  messages: number,
): Promise<void> => {
  const each = roomIds.length / owners.length;
  let sent = 0;
  await inParallel(roomIds, owners.length * SENDERS, async (roomId, index) => {
    const owner = owners[Math.floor(index / each)]!;
    const http = owner.newConnection();
    for (let message = 0; message < messages; message++) {
      await owner.sendOn(http, roomId, messageContent(`${++sent}`));
    }
    http.close();
  });
};

/** @throws unless every room in a first sync's answer counts so many messages */
export const expectCounts = (answer: Buffer, rooms: number, unread: number): void => {
  const counts = [...answer.toString().matchAll(/"notification_count":(\d+)/g)].map(
    ([, count]) => count,
  );
  const wrong = counts.filter((count) => count !== `${unread}`);
  if (wrong.length > 0) throw new Error(`${wrong.length} rooms count ${wrong[0]} unread`);
  if (counts.length < rooms) throw new Error(`${counts.length} of ${rooms} rooms have counts`);
};

const statementsOf = async (world: World): Promise<number | undefined> =>
  parseValue(await metricsOf(world.url), 'parley_database_statements_total');

/** The first sync after a restart, its statements where the server counts them. */
const coldSync = async (world: World, person: Person, rooms: number) => {
  await world.server.restart();
  const before = await statementsOf(world);
  const startedMs = performance.now();
  const body = await person.sync({});
  const tookMs = performance.now() - startedMs;
  const after = await statementsOf(world);
  const { rooms: found } = JSON.parse(body.toString()) as { rooms?: { join?: object } };
  const joined = Object.keys(found?.join ?? {}).length;
  if (joined !== rooms) throw new Error(`a first sync with ${joined} of ${rooms} rooms`);
  const statements = before === undefined || after === undefined ? undefined : after - before;
  return { tookMs, statements, megabytes: body.length / 1e6 };
};

const ROOMS = 3000;

export const coldFirstSync: Scenario = {
  name: 'cold-sync',
  measures: `first sync of an account in ${ROOMS} rooms, right after a restart`,
  bars: [
    { of: 'sync', detail: 'tookMs', atMost: 1500, unit: 'ms' },
    { of: 'statements', detail: 'statements', atMost: 500, unit: '' },
  ],
  run: async (world) => {
    const { people, roomIds } = await makeRooms(world, ROOMS, 1);
    const [person] = people;
    const { tookMs, statements, megabytes } = await coldSync(world, person!, roomIds.length);
    const startedMs = performance.now();
    await person!.sync({});
    const againMs = performance.now() - startedMs;
    const counted = statements === undefined ? '' : `, ${number(statements)} statements`;
    return {
      figure: `${ms(tookMs)}${counted}, ${number(megabytes)} MB; again ${ms(againMs)}`,
      details: {
        tookMs,
        againMs,
        ...(statements === undefined ? {} : { statements }),
      },
    };
  },
};

const UNREAD_ROOMS = 200;
const UNREAD_EACH = 1000;

export const unread: Scenario = {
  name: 'unread',
  measures: `first sync after a restart in ${UNREAD_ROOMS} rooms with ${UNREAD_EACH} unread messages each`,
  bars: [{ of: 'sync', detail: 'tookMs', atMost: 1000, unit: 'ms' }],
  run: async (world) => {
    const { people, roomIds, owners } = await makeRooms(world, UNREAD_ROOMS, 1);
    await fillRooms(owners, roomIds, UNREAD_EACH);
    const [person] = people;
    const { tookMs, statements } = await coldSync(world, person!, roomIds.length);
    const counted = statements === undefined ? '' : `, ${number(statements)} statements`;
    expectCounts(await person!.sync({}), roomIds.length, UNREAD_EACH);
    return {
      figure: `${ms(tookMs)}${counted}`,
      details: { tookMs, ...(statements === undefined ? {} : { statements }) },
    };
  },
};

const WAITING = 1000;
const GRACE_MS = 30_000;

export const restart: Scenario = {
  name: 'restart',
  measures: `a restart with ${WAITING} people in long polls, who come back at once; then one message to all`,
  bars: [{ of: 'last answered', detail: 'lastMs', atMost: 3000, unit: 'ms' }],
  run: async (world) => {
    const [author, ...people] = await world.people(WAITING + 1);
    const roomId = await author!.createRoom({ preset: 'public_chat' });
    await inParallel(people, 8, (person) => person.join(roomId));
    const messages = new NumberedMessages();
    const before = people.map((person) => new Reader(person, messages, () => undefined));
    await inParallel(before, 20, (reader) => reader.start());
    for (const reader of before) reader.stop();
    await world.server.restart();
    const statementsBefore = await statementsOf(world);
    const cpuBefore = await world.server.cpuSeconds();

    const arrivedMs: number[] = [];
    const after = people.map(
      (person) => new Reader(person, messages, (_, atMs) => void arrivedMs.push(atMs)),
    );
    let failure: { error: unknown } | undefined;
    const startedMs = performance.now();
    try {
      for (const [index, reader] of after.entries()) {
        reader.goOn(before[index]!.since!).ended.catch((error: unknown) => {
          failure ??= { error };
        });
      }
      await author!.send(roomId, messages.content(1));
      const sentMs = performance.now() - startedMs;
      while (arrivedMs.length < WAITING && performance.now() - startedMs < GRACE_MS) {
        // A 503 is one of the failures.
        if (failure !== undefined) throw failure.error;
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
      if (arrivedMs.length < WAITING) throw new Error(`${arrivedMs.length} of ${WAITING} answered`);
      const lastMs = Math.max(...arrivedMs) - startedMs;
      const cpuMs = ((await world.server.cpuSeconds()) - cpuBefore) * 1000;
      const statementsAfter = await statementsOf(world);
      const statements =
        statementsBefore === undefined || statementsAfter === undefined
          ? undefined
          : statementsAfter - statementsBefore;
      const counted = statements === undefined ? '' : `, ${number(statements)} statements`;
      return {
        figure: `last answered after ${ms(lastMs)}, the send after ${ms(sentMs)}; ${ms(cpuMs)} of processor time${counted}`,
        details: { lastMs, sentMs, cpuMs, ...(statements === undefined ? {} : { statements }) },
      };
    } finally {
      for (const reader of after) reader.stop();
    }
  },
};

const WORKERS = 20;
const FIRST = 1000;
const WARM_UP_SECONDS = 3;

export const warmUp: Scenario = {
  name: 'warm-up',
  measures: `processor time of the first ${FIRST} sends and syncs after a restart, beside that of warm ones`,
  bars: [{ of: 'first to warm', detail: 'ratio', atMost: 1.5, unit: '' }],
  run: async (world) => {
    const people = await world.people(WORKERS);
    const roomIds = await inParallel(people, 8, (person) =>
      person.createRoom({ preset: 'private_chat' }),
    );
    await world.server.restart();
    let count = 0;
    const request = async (worker: number): Promise<void> => {
      count += 1;
      if (count % 4 === 0) await people[worker]!.sync({});
      else await people[worker]!.send(roomIds[worker]!, messageContent(`${count}`));
    };
    /** Seconds of the server's processor time for so many requests. */
    const costOf = async (requests: number): Promise<number> => {
      const before = await world.server.cpuSeconds();
      let left = requests;
      await Promise.all(
        people.map(async (_, worker) => {
          while (left-- > 0) await request(worker);
        }),
      );
      return (await world.server.cpuSeconds()) - before;
    };
    const first = await costOf(FIRST);
    await closedLoop({
      workers: WORKERS,
      warmUpSeconds: 0,
      seconds: WARM_UP_SECONDS,
      work: request,
    });
    const rounds: number[] = [];
    for (let round = 0; round < 5; round++) rounds.push(await costOf(FIRST));
    const warm = summarise(rounds).p50;
    const microseconds = (seconds: number): number => (seconds * 1e6) / FIRST;
    return {
      figure: `${number(microseconds(first))} µs a request at first, ${number(microseconds(warm))} µs warm: ${number(first / warm)}`,
      details: {
        ratio: first / warm,
        firstMicroseconds: microseconds(first),
        warmMicroseconds: microseconds(warm),
      },
    };
  },
};
