/** State resolution by itself, in a process of its own: a program beside the algorithm times it. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { repositoryRoot } from '../../lib/repository.ts';
import { ms } from '../format.ts';
import type { Scenario } from '../scenario.ts';

const PROGRAM = 'dist/spec/state-resolution/resolve.bench.js';

export const stateResolution: Scenario = {
  name: 'state-resolution',
  measures: 'resolution of two states of 10,000 entries that differ in 100; the first in a process',
  bars: [{ of: 'first', detail: 'firstMs', atMost: 150, unit: 'ms' }],
  run: async () => {
    const program = join(repositoryRoot(), PROGRAM);
    const { stdout } = await promisify(execFile)(process.execPath, [program]);
    const { firstMs, medianMs } = JSON.parse(stdout.trimEnd().split('\n').at(-1) ?? '') as {
      firstMs: number;
      medianMs: number;
    };
    return {
      figure: `first ${ms(firstMs)}, median ${ms(medianMs)}`,
      details: { firstMs, medianMs },
    };
  },
};
