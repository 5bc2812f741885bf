/** Acknowledged sends per second, beside the ceiling under the same load. */
import { eventually } from '../../lib/wait.ts';
import { compareWithCeiling, messageContent } from '../against-ceiling.ts';
import { ms, number, percent, perSecond } from '../format.ts';
import { ratePerSecond, summarise } from '../measure.ts';
import type { Person } from '../person.ts';
import type { Outcome, Scenario, World } from '../scenario.ts';

const SHOWN_WITHIN_MS = 5_000;

/** One worker: who sends, and where. */
interface Seat {
  readonly person: Person;
  readonly roomId: string;
}

const COMPARED: Scenario['compared'] = [
  { detail: 'perSecond', better: 'higher' },
  { detail: 'cpuMicrosecondsPerSend', better: 'lower' },
  { detail: 'databaseCpuMicrosecondsPerSend', better: 'lower' },
  { detail: 'allCpuMicrosecondsPerSend', better: 'lower' },
];

const compareSends = async (world: World, seats: readonly Seat[]): Promise<Outcome> => {
  const lastTexts = new Map<Seat, string>();
  let sends = 0;
  const { server, ceiling, serverCpuShare, databaseCpuShare } = await compareWithCeiling(
    world,
    seats.length,
    async (worker) => {
      const seat = seats[worker]!;
      const content = messageContent(`${++sends}`);
      await seat.person.send(seat.roomId, content);
      lastTexts.set(seat, content);
    },
  );
  await checkStored(lastTexts);

  const rate = ratePerSecond(server);
  const ceilingRate = ratePerSecond(ceiling);
  const ratio = rate / ceilingRate;
  const summary = summarise(server.latenciesMs);
  const ceilingSummary = summarise(ceiling.latenciesMs);
  const cpu = serverCpuShare === undefined ? '' : `, server ${percent(serverCpuShare)} of a core`;
  const databaseCpu =
    databaseCpuShare === undefined ? '' : `, its database ${percent(databaseCpuShare)}`;
  const perSend = (share: number): number => (share * 1e6) / rate;
  return {
    figure:
      `${perSecond(rate)}, p50 ${ms(summary.p50)}, p95 ${ms(summary.p95)}; ` +
      `ceiling ${perSecond(ceilingRate)}, p50 ${ms(ceilingSummary.p50)}; ratio ${number(ratio)}` +
      `${cpu}${databaseCpu}, load ${percent(server.loadCpuShare)}`,
    details: {
      perSecond: rate,
      p50Ms: summary.p50,
      p95Ms: summary.p95,
      p99Ms: summary.p99,
      ceilingPerSecond: ceilingRate,
      ceilingP50Ms: ceilingSummary.p50,
      ceilingP95Ms: ceilingSummary.p95,
      ratio,
      loadCpuShare: server.loadCpuShare,
      ceilingLoadCpuShare: ceiling.loadCpuShare,
      ...(serverCpuShare === undefined
        ? {}
        : { serverCpuShare, cpuMicrosecondsPerSend: perSend(serverCpuShare) }),
      ...(databaseCpuShare === undefined
        ? {}
        : { databaseCpuShare, databaseCpuMicrosecondsPerSend: perSend(databaseCpuShare) }),
      ...(serverCpuShare === undefined || databaseCpuShare === undefined
        ? {}
        : { allCpuMicrosecondsPerSend: perSend(serverCpuShare + databaseCpuShare) }),
    },
  };
};

/** The newest message of every room is the last that someone there had acknowledged. */
const checkStored = async (lastTexts: ReadonlyMap<Seat, string>): Promise<void> => {
  const readers = new Map([...lastTexts.keys()].map(({ roomId, person }) => [roomId, person]));
  const expected = new Set([...lastTexts.values()]);
  for (const [roomId, person] of readers) {
    // Some servers show a message a moment after they have acknowledged it.
    await eventually(
      `the newest message of ${roomId} is one acknowledged last`,
      async () => {
        const [newest] = await person.newestMessages(roomId, 1);
        return expected.has(JSON.stringify({ msgtype: 'm.text', body: newest })) || undefined;
      },
      { timeoutMs: SHOWN_WITHIN_MS },
    );
  }
};

export const sends: Scenario = {
  name: 'sends',
  measures: '50 people in 50 rooms, each with one send in flight',
  bars: [{ of: 'ratio to the ceiling', detail: 'ratio', atLeast: 0.6, unit: '' }],
  compared: COMPARED,
  run: async (world) => {
    const people = await world.people(50);
    const seats: Seat[] = [];
    for (const person of people) {
      seats.push({ person, roomId: await person.createRoom({ preset: 'private_chat' }) });
    }
    return compareSends(world, seats);
  },
};

export const oneRoom: Scenario = {
  name: 'one-room',
  measures: '10 people in one room, each with one send in flight',
  compared: COMPARED,
  run: async (world) => {
    const people = await world.people(10);
    const roomId = await people[0]!.createRoom({ preset: 'public_chat' });
    for (const person of people.slice(1)) await person.join(roomId);
    return compareSends(
      world,
      people.map((person) => ({ person, roomId })),
    );
  },
};
