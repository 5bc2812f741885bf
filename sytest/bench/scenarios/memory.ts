/** What the server's process holds after all that came before it in the run. */
import { number } from '../format.ts';
import { memoryOf } from '../processes.ts';
import { NotApplicable, type Scenario } from '../scenario.ts';
import { metricsOf, parseValue } from '../server-metrics.ts';

/** What the process says it is made of; empty for a server that does not tell. */
const partsOf = async (server: URL): Promise<Record<string, number>> => {
  const text = await metricsOf(server).catch(() => '');
  const parts = {
    heapUsed: 'nodejs_heap_size_used_bytes',
    heap: 'nodejs_heap_size_total_bytes',
    external: 'nodejs_external_memory_bytes',
  };
  return Object.fromEntries(
    Object.entries(parts).flatMap(([part, metric]) => {
      const bytes = parseValue(text, metric);
      return bytes === undefined ? [] : [[part, bytes / 1e6] as const];
    }),
  );
};

export const memory: Scenario = {
  name: 'memory',
  measures: 'resident memory of the server process at the end of the run',
  bars: [{ of: 'resident', detail: 'residentMb', atMost: 300, unit: 'MB' }],
  run: async ({ pid, url }) => {
    if (pid === undefined) throw new NotApplicable('--pid names the process of a --target');
    const { residentMb, peakMb } = await memoryOf(pid);
    const peak = peakMb === undefined ? '' : `, peak ${number(peakMb)} MB`;
    const parts = await partsOf(url);
    const each = Object.entries(parts).map(([name, mb]) => `${name} ${number(mb)} MB`);
    return {
      figure: [`${number(residentMb)} MB${peak}`, ...each].join(', '),
      details: {
        residentMb,
        ...(peakMb === undefined ? {} : { peakMb }),
        ...Object.fromEntries(Object.entries(parts).map(([name, mb]) => [`${name}Mb`, mb])),
      },
    };
  },
};
