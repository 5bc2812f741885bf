/** What the server's process holds after all that came before it in the run. */
import { number } from '../format.ts';
import { memoryOf } from '../processes.ts';
import { NotApplicable, type Scenario } from '../scenario.ts';

export const memory: Scenario = {
  name: 'memory',
  measures: 'resident memory of the server process at the end of the run',
  bar: { of: 'resident', atMost: 300, unit: 'MB' },
  run: async ({ pid }) => {
    if (pid === undefined) throw new NotApplicable('--pid names the process of a --target');
    const { residentMb, peakMb } = await memoryOf(pid);
    const peak = peakMb === undefined ? '' : `, peak ${number(peakMb)} MB`;
    return {
      figure: `${number(residentMb)} MB${peak}`,
      judged: residentMb,
      details: { residentMb, ...(peakMb === undefined ? {} : { peakMb }) },
    };
  },
};
