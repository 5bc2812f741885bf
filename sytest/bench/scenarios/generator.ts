/** What the load program can do by itself: the proof that it is not what is measured. */
import { ms, percent, perSecond } from '../format.ts';
import { HttpConnection } from '../http-connection.ts';
import { closedLoop, ratePerSecond, summarise } from '../measure.ts';
import { expectOk } from '../person.ts';
import type { Scenario } from '../scenario.ts';

const CONNECTIONS = 50;

export const generator: Scenario = {
  name: 'generator',
  measures: 'requests of the load program to a server that answers at once, 50 connections',
  run: async ({ ceiling, seconds, warmUpSeconds }) => {
    const connections = Array.from({ length: CONNECTIONS }, () => new HttpConnection(ceiling.url));
    const result = await closedLoop({
      workers: CONNECTIONS,
      warmUpSeconds,
      seconds: seconds / 2,
      work: async (worker) => {
        await expectOk(connections[worker]!, { method: 'GET', path: '/nothing' });
      },
    });
    for (const connection of connections) connection.close();
    const { p50 } = summarise(result.latenciesMs);
    const rate = ratePerSecond(result);
    const microseconds = (result.loadCpuShare * 1e6) / rate;
    return {
      figure: `${perSecond(rate)}, p50 ${ms(p50)}, load ${percent(result.loadCpuShare)} of a core`,
      details: { perSecond: rate, p50Ms: p50, loadMicrosecondsPerRequest: microseconds },
    };
  },
};
