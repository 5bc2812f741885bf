/**
 * Processes that are killed, frozen and stopped at any moment while all of them write. Nothing
 * acknowledged is lost or doubled, and nobody follows with a gap. `CLUSTER_ROUNDS=100` makes it long;
 * it prints its seed, and `CLUSTER_SEED=N` repeats a run.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { seededRandom } from '../testing/seeded-random.ts';
import { type MemberProcess, TestCluster } from './testing/member-process.ts';

const rounds = Number(process.env['CLUSTER_ROUNDS'] ?? 8);
const seed = process.env['CLUSTER_SEED'] ?? String(Date.now());

interface State {
  readonly position: number;
  readonly followed: readonly number[];
}

it(
  `${rounds} rounds of trouble, CLUSTER_SEED=${seed}`,
  async () => {
    const random = seededRandom(seed);
    const below = (end: number): number => random.bytes(4).readUInt32BE() % end;
    const cluster = await TestCluster.make();
    const acknowledged: number[] = [];
    let isOver = false;
    let live: MemberProcess[] = [];

    const write = async (process: MemberProcess): Promise<void> => {
      while (!isOver && live.includes(process)) {
        const position = await process.order({ do: 'append' }).catch(() => undefined);
        if (position === undefined) await sleep(20);
        else acknowledged.push(position as number);
      }
    };
    const add = async (): Promise<void> => {
      const process = await cluster.add();
      live.push(process);
      void write(process);
    };
    const replace = async (process: MemberProcess): Promise<void> => {
      live = live.filter((other) => other !== process);
      await process.kill();
      await add();
    };
    const trouble: ((process: MemberProcess) => Promise<unknown>)[] = [
      replace,
      async (process) => {
        process.child.kill('SIGSTOP');
        await sleep(below(6_000));
        process.child.kill('SIGCONT');
      },
      async (process) => {
        // It may have no leader to leave at this moment.
        await process.order({ do: 'leave' });
        await process.order({ do: 'stop' });
        await replace(process);
      },
    ];
    const followsWithoutGap = async (process: MemberProcess): Promise<void> => {
      const { position, followed } = (await process.order({ do: 'state' })) as State;
      const first = position - followed.length + 1;
      expect(followed).toEqual(Array.from(followed, (_, at) => first + at));
    };

    try {
      await Promise.all([add(), add(), add()]);
      for (let round = 0; round < rounds; round++) {
        await sleep(below(1_000));
        const process = live[below(live.length)] as MemberProcess;
        await trouble[below(trouble.length)]?.(process);
        await Promise.all(live.filter(({ role }) => role === 'member').map(followsWithoutGap));
      }
      const before = acknowledged.length;
      await sleep(4_000);
      await cluster.agreed(live);
      await sleep(100);
      expect(acknowledged.length).toBeGreaterThan(before);
      isOver = true;
      expect(new Set(acknowledged).size).toBe(acknowledged.length);
      const written = new Set(await cluster.positions());
      expect(acknowledged.filter((position) => !written.has(position))).toEqual([]);
    } finally {
      isOver = true;
      await cluster.close();
    }
  },
  60_000 + rounds * 15_000,
);
