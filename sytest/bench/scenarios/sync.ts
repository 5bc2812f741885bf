/** Syncs of people who are in 200 rooms with some history: their first, and one with nothing new. */
import { messageContent } from '../against-ceiling.ts';
import { ms, number } from '../format.ts';
import { closedLoop, inParallel, summarise } from '../measure.ts';
import { nextBatchOf, type Person } from '../person.ts';
import type { Scenario, World } from '../scenario.ts';

const ROOMS = 200;
const OWNERS = 10;
const MESSAGES_PER_ROOM = 12;
const ACCOUNTS = 3;
const REPEATS = 5;
/** The timeline of a room in an answer without a filter, at least. */
const MIN_TIMELINE = 1;

interface SyncAnswer {
  readonly next_batch: string;
  readonly rooms?: {
    readonly join?: Readonly<
      Record<string, { readonly timeline?: { readonly events?: readonly unknown[] } }>
    >;
  };
}

/** Three people who share 200 rooms of others and have never synced. Made once for a world. */
const roomyPeople = (() => {
  const made = new WeakMap<World, Promise<Person[]>>();
  return (world: World): Promise<Person[]> => {
    const people = made.get(world) ?? makeRoomyPeople(world);
    made.set(world, people);
    return people;
  };
})();

const makeRoomyPeople = async (world: World): Promise<Person[]> => {
  const owners = await world.people(OWNERS);
  const roomIds = await inParallel(owners, OWNERS, async (owner, index) => {
    const own: string[] = [];
    for (let room = 0; room < ROOMS / OWNERS; room++) {
      const name = `Room ${index}.${room}`;
      const roomId = await owner.createRoom({ preset: 'public_chat', name });
      for (let message = 0; message < MESSAGES_PER_ROOM; message++) {
        await owner.send(roomId, messageContent(`${message}`));
      }
      own.push(roomId);
    }
    return own;
  });
  const people = await world.newPeople(ACCOUNTS);
  await inParallel(people, ACCOUNTS, async (person) => {
    for (const roomId of roomIds.flat()) await person.join(roomId);
  });
  return people;
};

/** Times one sync without `since`, and checks afterwards that all rooms are in it. */
const timeFirstSync = async (person: Person): Promise<{ tookMs: number; bytes: number }> => {
  const startedMs = performance.now();
  const body = await person.sync({});
  const tookMs = performance.now() - startedMs;
  const { rooms } = JSON.parse(body.toString()) as SyncAnswer;
  const joined = Object.values(rooms?.join ?? {});
  const complete = joined.filter(({ timeline }) => (timeline?.events?.length ?? 0) >= MIN_TIMELINE);
  if (complete.length !== ROOMS) {
    throw new Error(`a first sync with ${complete.length} of ${ROOMS} rooms`);
  }
  return { tookMs, bytes: body.length };
};

export const firstSync: Scenario = {
  name: 'first-sync',
  measures: 'first sync of accounts in 200 rooms that never synced before; the slowest of three',
  bars: [{ of: 'slowest', detail: 'slowestMs', atMost: 300, unit: 'ms' }],
  run: async (world) => {
    const people = await roomyPeople(world);
    const first: number[] = [];
    let bytes = 0;
    for (const person of people) {
      const sync = await timeFirstSync(person);
      first.push(sync.tookMs);
      bytes = sync.bytes;
    }
    const again: number[] = [];
    for (let repeat = 0; repeat < REPEATS; repeat++) {
      again.push((await timeFirstSync(people[0]!)).tookMs);
    }
    const slowest = Math.max(...first);
    const repeated = summarise(again).p50;
    return {
      figure:
        `slowest ${ms(slowest)} of ${first.map(ms).join(', ')}; repeated p50 ${ms(repeated)}; ` +
        `${number(bytes / 1e6)} MB`,
      details: { slowestMs: slowest, repeatedP50Ms: repeated, bytes },
    };
  },
};

export const emptySync: Scenario = {
  name: 'empty-sync',
  measures: 'incremental sync with nothing new and no timeout, account in 200 rooms, sequential',
  bars: [
    { of: 'p50', detail: 'p50Ms', atMost: 2, unit: 'ms' },
    { of: 'share of answers with rooms', detail: 'shareWithRooms', atMost: 0.01, unit: '' },
  ],
  run: async (world) => {
    const [person] = await roomyPeople(world);
    let since = nextBatchOf(await person!.sync({}));
    let syncs = 0;
    let withRooms = 0;
    const result = await closedLoop({
      workers: 1,
      warmUpSeconds: world.warmUpSeconds / 2,
      seconds: world.seconds / 2,
      work: async () => {
        const answer = await person!.sync({ since });
        since = nextBatchOf(answer);
        syncs += 1;
        if (answer.includes('"timeline"')) withRooms += 1;
      },
    });
    const { p50, p95, p99 } = summarise(result.latenciesMs);
    return {
      figure: `p50 ${ms(p50)}, p95 ${ms(p95)}, p99 ${ms(p99)}; ${withRooms} of ${syncs} answers held rooms`,
      details: { p50Ms: p50, p95Ms: p95, p99Ms: p99, shareWithRooms: withRooms / syncs },
    };
  },
};
