/**
 * The same load on the ceiling and on the server, in turns: what else the machine does at the time
 * then weighs on both, and the ratio stays steady where the two figures do not.
 */
import { HttpConnection } from './http-connection.ts';
import { closedLoop, type LoopResult, mergeRounds, ratePerSecond } from './measure.ts';
import { expectOk } from './person.ts';
import { cpuSecondsOf } from './processes.ts';
import type { World } from './scenario.ts';

const ROUNDS = 2;

export interface Comparison {
  readonly server: LoopResult;
  readonly ceiling: LoopResult;
  /** Processor time of the server's processes as a share of one core, where known. */
  readonly serverCpuShare: number | undefined;
  /** That of its PostgreSQL. */
  readonly databaseCpuShare: number | undefined;
}

/** A message as people send them; `text` makes it findable. */
export const messageContent = (text: string): string =>
  JSON.stringify({
    msgtype: 'm.text',
    body: `${text} Shall we meet at the bridge at half past six?`,
  });

/** What the ceiling alone acknowledges in a second, with so many sends in flight. */
export const ceilingRate = async (world: World, workers: number): Promise<number> => {
  const { seconds, warmUpSeconds } = world;
  const connections = connectionsTo(world, workers);
  try {
    const work = (worker: number) => sendToCeiling(connections[worker]!, worker);
    return ratePerSecond(
      await closedLoop({ workers, warmUpSeconds, seconds: seconds / ROUNDS, work }),
    );
  } finally {
    for (const connection of connections) connection.close();
  }
};

const connectionsTo = (world: World, count: number): HttpConnection[] =>
  Array.from({ length: count }, () => new HttpConnection(world.ceiling.url));

const sendToCeiling = async (connection: HttpConnection, worker: number): Promise<void> => {
  await expectOk(connection, {
    method: 'PUT',
    path: `/_matrix/client/v3/rooms/!room${worker}:ceiling/send/m.room.message/txn`,
    token: 'a-token-as-long-as-those-of-servers',
    body: messageContent(`${worker}`),
  });
};

/** `send` makes one worker's next send and resolves when it was acknowledged. */
export const compareWithCeiling = async (
  world: World,
  workers: number,
  send: (worker: number) => Promise<void>,
): Promise<Comparison> => {
  const { seconds, warmUpSeconds, pid } = world;
  const connections = connectionsTo(world, workers);
  const toCeiling = (worker: number) => sendToCeiling(connections[worker]!, worker);
  const loop = { workers, warmUpSeconds, seconds: seconds / ROUNDS };
  const ceiling: LoopResult[] = [];
  const server: LoopResult[] = [];
  const cpuShares: number[] = [];
  const databaseShares: number[] = [];
  try {
    for (let round = 0; round < ROUNDS; round++) {
      ceiling.push(await closedLoop({ ...loop, work: toCeiling }));
      const startedMs = performance.now();
      const cpuBefore = pid === undefined ? undefined : await cpuSecondsOf(pid);
      const databaseBefore = await world.databaseCpuSeconds();
      server.push(await closedLoop({ ...loop, work: send }));
      const cpuAfter = pid === undefined ? undefined : await cpuSecondsOf(pid);
      const databaseAfter = await world.databaseCpuSeconds();
      const seconds = (performance.now() - startedMs) / 1000;
      if (cpuBefore !== undefined && cpuAfter !== undefined) {
        cpuShares.push((cpuAfter - cpuBefore) / seconds);
      }
      if (databaseBefore !== undefined && databaseAfter !== undefined) {
        databaseShares.push((databaseAfter - databaseBefore) / seconds);
      }
    }
  } finally {
    for (const connection of connections) connection.close();
  }
  return {
    ceiling: mergeRounds(ceiling),
    server: mergeRounds(server),
    serverCpuShare: meanOfAll(cpuShares),
    databaseCpuShare: meanOfAll(databaseShares),
  };
};

/** Undefined unless there is one of each round. */
const meanOfAll = (shares: readonly number[]): number | undefined =>
  shares.length === ROUNDS ? shares.reduce((sum, share) => sum + share, 0) / ROUNDS : undefined;
