/** Rooms made and joined per second. */
import { ms, perSecond } from '../format.ts';
import { closedLoop, ratePerSecond, summarise } from '../measure.ts';
import type { Scenario } from '../scenario.ts';

const CREATORS = 10;
const JOINERS = 200;
const ROOMS_TO_JOIN = 5;
const JOINS_AT_A_TIME = 10;

export const createRooms: Scenario = {
  name: 'create-room',
  measures: '10 people make rooms, each with one request in flight',
  compared: [{ detail: 'perSecond', better: 'higher' }],
  run: async (world) => {
    const people = await world.people(CREATORS);
    let rooms = 0;
    const result = await closedLoop({
      workers: CREATORS,
      warmUpSeconds: world.warmUpSeconds / 2,
      seconds: world.seconds / 2,
      work: async (worker) => {
        const name = `Room ${++rooms}`;
        await people[worker]!.createRoom({
          preset: 'private_chat',
          name,
          topic: 'Of this and that',
        });
      },
    });
    const { p50, p95 } = summarise(result.latenciesMs);
    const rate = ratePerSecond(result);
    return {
      figure: `${perSecond(rate)}, p50 ${ms(p50)}, p95 ${ms(p95)}`,
      details: { perSecond: rate, p50Ms: p50, p95Ms: p95 },
    };
  },
};

export const joins: Scenario = {
  name: 'joins',
  measures: '200 people join public rooms, 10 joins in flight in one room at a time',
  compared: [{ detail: 'perSecond', better: 'higher' }],
  run: async (world) => {
    const [owner, ...people] = await world.people(JOINERS + 1);
    const latenciesMs: number[] = [];
    const startedMs = performance.now();
    let spentMs = 0;
    for (let room = 0; room < ROOMS_TO_JOIN && spentMs < world.seconds * 1000; room++) {
      const roomId = await owner!.createRoom({ preset: 'public_chat' });
      const joinsFromMs = performance.now();
      // A worker has its own share of the people: each of them has one connection.
      const worker = async (first: number): Promise<void> => {
        for (let index = first; index < people.length; index += JOINS_AT_A_TIME) {
          const joinFromMs = performance.now();
          await people[index]!.join(roomId);
          latenciesMs.push(performance.now() - joinFromMs);
        }
      };
      await Promise.all(Array.from({ length: JOINS_AT_A_TIME }, (_, first) => worker(first)));
      spentMs += performance.now() - joinsFromMs;
    }
    const rate = (latenciesMs.length * 1000) / spentMs;
    const { p50, p95 } = summarise(latenciesMs);
    return {
      figure: `${perSecond(rate)}, p50 ${ms(p50)}, p95 ${ms(p95)} over ${latenciesMs.length} joins`,
      details: { perSecond: rate, p50Ms: p50, p95Ms: p95, wallMs: performance.now() - startedMs },
    };
  },
};
