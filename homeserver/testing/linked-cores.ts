/**
 * Several cores on one database, as so many processes of one server have them: the first writes the
 * log for all. What passes between them passes as text, in order, and in turns of the event loop of
 * its own.
 */
import type { ServerName } from '../../spec/identifiers.ts';
import { testSigningKey } from '../../spec/testing/room-builder.ts';
import { type Core, type CoreOptions, createCore } from '../core.ts';
import { silentLogger } from '../ops/logger.ts';
import type { Database } from '../storage/database.ts';
import { logSections } from '../storage/log-sections.ts';
import { Serials } from '../streams/broadcast.ts';
import { Log } from '../streams/log.ts';
import { LogRelay } from '../streams/log-relay.ts';
import { RemoteWriter } from '../streams/remote-writer.ts';
import { SharedBroadcast } from '../streams/shared-broadcast.ts';
import { FakeClock } from './fake-clock.ts';
import { LinkedOwners } from './linked-owners.ts';
import { seededRandom } from './seeded-random.ts';
import { testServerName } from './test-core.ts';
import { testDatabase } from './test-database.ts';
import { Wire } from './wire.ts';

export interface LinkedCores {
  /** The leader first. */
  readonly cores: readonly Core[];
  readonly clock: FakeClock;
  readonly ownership: LinkedOwners;
  /**
   * Gives everything to some of the cores, or what is named to those named. Resolves when the leader
   * goes by it: the others hear of it in their turn.
   */
  move(to: { members?: readonly number[]; pins?: Readonly<Record<string, number>> }): Promise<void>;
  /** Once everyone has heard of everything. */
  settled(): Promise<void>;
  close(): Promise<void>;
}

/** Other than a test's own database, which is closed with them. */
export interface LinkedOptions extends Partial<CoreOptions> {
  readonly clock?: FakeClock;
}

export const linkedCores = async (
  count: number,
  overrides: LinkedOptions = {},
): Promise<LinkedCores> => {
  const ours = overrides.database === undefined ? await testDatabase() : undefined;
  const database = (overrides.database ?? ours?.database) as Database;
  const { clock = new FakeClock() } = overrides;
  const ownership = new LinkedOwners(count);
  const options = (name: string, nth: number): CoreOptions => ({
    logger: silentLogger,
    serverName: testServerName as ServerName,
    signingKey: () => testSigningKey(testServerName),
    random: seededRandom(name),
    ...overrides,
    owners: ownership.owners[nth],
    database,
    clock,
  });
  const broadcast = new SharedBroadcast({
    askLeader: () => Promise.reject(new Error('It leads')),
    isUnsent: () => false,
  });
  const leader = await createCore({
    ...options('leader', 0),
    broadcast,
    log: { ...overrides.log, owns: (roomId) => ownership.ownerOf(0, roomId) === '0' },
  });
  const wires: Wire[] = [];
  const members: {
    readonly id: string;
    readonly down: Wire;
    readonly tell: (position: number, told: readonly unknown[]) => void;
  }[] = [];
  const relay = new LogRelay({
    log: leader.log,
    sections: logSections,
    mayWrite: (member, roomId, epoch) => ownership.hasOwned(member, roomId, epoch),
    leads: () => true,
    publish: (_after, position, writes) => {
      for (const { id, tell } of members) {
        tell(
          position,
          writes.map(({ origin, receipt, body }) => (origin === id ? receipt : body)),
        );
      }
    },
  });
  broadcast.lead({
    serials: await Serials.open(database),
    publish: (news) => {
      for (const { tell } of members) tell(leader.log.position, [news]);
    },
  });
  // Between two batches: what is being written now is the old owner's, and told before the change.
  leader.log.onBatch(() => {
    const { newest } = ownership;
    ownership.tell(0, newest);
    for (const { id, down } of members) down.send('', () => ownership.tell(Number(id), newest));
  });
  const cores = [leader];
  for (let nth = 1; nth < count; nth += 1) {
    const id = `${nth}`;
    const [up, down] = [new Wire(), new Wire()];
    wires.push(up, down);
    /** Resolves with what the leader answers, after all it had told by then. */
    const ask = <Asked, Answer>(
      asked: Asked,
      run: (asked: Asked) => Promise<Answer>,
    ): Promise<Answer> =>
      new Promise((resolve, reject) => {
        up.send(JSON.stringify(asked), (text) => {
          run(JSON.parse(text)).then(
            (answer) =>
              down.send(JSON.stringify(answer ?? null), (got) => resolve(JSON.parse(got))),
            (error) => down.send('', () => reject(error)),
          );
        });
      });
    const heard = new SharedBroadcast({
      askLeader: (news) => ask(news, async (text) => broadcast.relay(text)),
      isUnsent: () => false,
    });
    const openLog = async (): Promise<Log> =>
      Log.following(
        leader.log.position,
        (memory) => {
          const writer = new RemoteWriter({
            memory,
            sections: logSections,
            epoch: () => ownership.epochOf(nth),
            askLeader: (write) => ask(write, (text) => relay.write(id, text)),
          });
          const tell = (position: number, told: readonly unknown[]): void =>
            down.send(JSON.stringify(told), (text) => {
              const parsed = JSON.parse(text);
              if (!heard.heard(parsed)) writer.follow(position, parsed);
            });
          members.push({ id, down, tell });
          return writer;
        },
        () => ask(null, async () => leader.log.position),
      );
    const member = await createCore({ ...options(id, nth), openLog, broadcast: heard });
    heard.restore(await ask(null, async () => broadcast.kept()));
    cores.push(member);
  }
  ownership.logs.push(...cores.map(({ log }) => log));
  return {
    cores,
    clock,
    ownership,
    async move({ members: nths, pins = {} }) {
      ownership.change(nths, new Map(Object.entries(pins)));
      await leader.log.append({ parts: [] });
    },
    async settled() {
      await leader.log.settled();
      for (let round = 0; round < 2; round += 1) {
        await Promise.all(wires.map(({ idle }) => idle));
        await ownership.idle;
      }
    },
    async close() {
      for (const core of cores.toReversed()) await core.close();
      await ours?.close();
    },
  };
};
