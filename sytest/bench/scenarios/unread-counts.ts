/** What the counts themselves cost of a first sync in thousands of rooms. */
import { ms, number } from '../format.ts';
import type { Scenario } from '../scenario.ts';
import { histogramOf } from '../server-metrics.ts';
import { expectCounts, fillRooms, makeRooms } from './cold.ts';

const METRIC = 'parley_unread_counting_seconds';
const ROOMS = 3000;
/** In each room: the log between two of one room is that of all the others. */
const MESSAGES = 5;
const PEOPLE = 3;

export const unreadCounts: Scenario = {
  name: 'unread-counts',
  measures: `counting ${MESSAGES} unread messages in each of ${ROOMS} rooms after a restart, by the server's own clock; the slowest of ${PEOPLE} people`,
  bars: [{ of: 'counting', detail: 'maxMs', atMost: 100, unit: 'ms' }],
  run: async (world) => {
    const { people, roomIds, owners } = await makeRooms(world, ROOMS, PEOPLE);
    await fillRooms(owners, roomIds, MESSAGES);
    await world.server.restart();
    const countingMs: number[] = [];
    for (const person of people) {
      const before = await histogramOf(world.url, METRIC);
      const answer = await person.sync({});
      const counted = (await histogramOf(world.url, METRIC)).since(before);
      if (counted.count !== 1) throw new Error(`counted ${counted.count} times for one sync`);
      expectCounts(answer, roomIds.length, MESSAGES);
      countingMs.push(counted.sum * 1000);
    }
    const maxMs = Math.max(...countingMs);
    return {
      figure: `${ms(maxMs)}, the others ${countingMs
        .filter((each) => each !== maxMs)
        .map(ms)
        .join(' and ')}, in ${number(ROOMS)} rooms`,
      details: { maxMs, firstMs: countingMs[0]! },
    };
  },
};
