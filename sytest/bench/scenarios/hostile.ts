/**
 * A hundred hostile requests at a time, and a hundred hostile answers to what people here ask, one
 * kind after another: what the server's memory grows by, and what somebody else waits for meanwhile.
 */
import { ms } from '../format.ts';
import { HostileLoad } from '../hostile/load.ts';
import { questions } from '../hostile/questions.ts';
import { HttpConnection } from '../http-connection.ts';
import type { Person } from '../person.ts';
import { Probe } from '../probe.ts';
import { forgetPeak, memoryOf } from '../processes.ts';
import { NotApplicable, type Scenario, type World } from '../scenario.ts';

const AT_A_TIME = 100;
const OTHERS_PAUSE_MS = 3;
/** After each kind, for what is left of it. */
const SETTLE_MS = 500;
/** The questions whose answers may be largest are asked by all at once, the others by turns. */
const LARGEST = ['keys', 'send_join'];
/** Kinds are many, and each is at its worst soon. */
const MAX_SECONDS = 2;
/** Requests that any server may refuse at sight; the others are to cost what they are made to. */
const REFUSED_AT_SIGHT = /^(unsigned|of unknown servers|wrongly signed.*|slow|compressed)$/;
/** Answers to a request that was wrong in another way than it is meant to be. */
const UNMEANT = ['401', '404', '413'];
/** Answers that take all the time there is: one question stands for all. */
const TIMELESS = new Set(['silent', 'silent after its headers', 'dribbling']);

interface Cost {
  readonly kind: string;
  readonly aboveIdleMb: number;
  readonly othersMaxMs: number;
}

const pause = (durationMs: number) => new Promise((resolve) => setTimeout(resolve, durationMs));

type Questions = readonly (typeof questions)[number][];

const questionGroups: readonly Questions[] = [
  questions.filter(({ what }) => !LARGEST.includes(what)),
  ...LARGEST.map((name) => questions.filter(({ what }) => what === name)),
];

/** Everybody asks about a server of their own; resolves when all are answered, or after a while. */
const askAll = async (
  world: World,
  people: readonly Person[],
  servers: readonly string[],
  asked: Questions,
  seconds: number,
): Promise<void> => {
  const connections = people.map(() => new HttpConnection(world.url));
  const answered = Promise.all(
    connections.map((http, index) =>
      http
        .request({
          ...asked[index % asked.length]!.ask(servers[index] as string),
          token: people[index]!.token,
        })
        .catch(() => undefined),
    ),
  );
  await Promise.race([answered, pause(seconds * 1000)]);
  for (const http of connections) http.close();
  await answered;
};

export const hostile: Scenario = {
  name: 'hostile',
  measures: `${AT_A_TIME} hostile requests and answers of other servers at a time, of each kind`,
  bars: [
    { of: 'memory above idle, worst kind', detail: 'aboveIdleMb', atMost: 100, unit: 'MB' },
    { of: "others' longest wait, worst kind", detail: 'othersMaxMs', atMost: 200, unit: 'ms' },
  ],
  run: async (world) => {
    const { server, authority } = world.federation;
    const { pid } = world;
    const seconds = Math.min(world.seconds, MAX_SECONDS);
    if (pid === undefined) throw new NotApplicable('whose memory grows is not known');
    const people = await world.people(AT_A_TIME);
    const room = await people[0]!.createRoom({ preset: 'public_chat', room_version: '11' });
    const load = await HostileLoad.start({
      certificate: authority.issue('localhost', '127.0.0.1'),
      ca: authority.certPem,
      scene: { destination: server.name, room, user: people[0]!.userId },
      atATime: AT_A_TIME,
    });
    const probe = await Probe.start({
      url: world.url.href,
      request: { method: 'GET', path: '/_matrix/client/v3/joined_rooms', token: people[0]!.token },
      pauseMs: OTHERS_PAUSE_MS,
    });
    const costs: Cost[] = [];
    try {
      await pause(SETTLE_MS);
      const { residentMb: idleMb } = await memoryOf(pid);
      const measure = async (kind: string, work: () => Promise<unknown>): Promise<void> => {
        await pause(SETTLE_MS);
        await forgetPeak(pid);
        await probe.take();
        await work();
        await pause(SETTLE_MS);
        const { peakMb = Number.NaN } = await memoryOf(pid);
        const othersMaxMs = Math.max(...(await probe.take()));
        costs.push({ kind, aboveIdleMb: peakMb - idleMb, othersMaxMs });
      };
      await measure('nothing', () => pause(seconds * 1000));
      const kinds = await load.kinds();
      for (const kind of kinds.requests) {
        await load.prepare(kind);
        await measure(kind, async () => {
          const outcomes = await load.strike(seconds);
          const unmeant = UNMEANT.filter((status) => outcomes[status] !== undefined);
          if (unmeant.length === 0 || REFUSED_AT_SIGHT.test(kind)) return;
          throw new Error(`${kind} were answered ${unmeant.join(', ')}`);
        });
      }
      for (const kind of kinds.answers) {
        for (const asked of TIMELESS.has(kind) ? questionGroups.slice(0, 1) : questionGroups) {
          const names = await load.answering(
            kind,
            asked.map(({ what }) => what),
          );
          const of = asked.length === 1 ? asked[0]!.what : 'others';
          await measure(`${kind} (${of})`, () => askAll(world, people, names, asked, seconds));
        }
      }
      await load.rest();
    } finally {
      await load.stop();
      await probe.stop();
    }
    return outcomeOf(costs);
  },
};

const outcomeOf = (costs: readonly Cost[]) => {
  const most = (of: (cost: Cost) => number): Cost =>
    costs.reduce((worst, cost) => (of(cost) > of(worst) ? cost : worst));
  const [hungriest, slowest] = [most((one) => one.aboveIdleMb), most((one) => one.othersMaxMs)];
  const details: Record<string, number> = {
    aboveIdleMb: hungriest.aboveIdleMb,
    othersMaxMs: slowest.othersMaxMs,
  };
  for (const { kind, aboveIdleMb, othersMaxMs } of costs) {
    details[`${kind}: aboveIdleMb`] = aboveIdleMb;
    details[`${kind}: othersMaxMs`] = othersMaxMs;
  }
  return {
    figure:
      `${costs.length} kinds; ${hungriest.kind}: ${Math.round(hungriest.aboveIdleMb)} MB above idle; ` +
      `${slowest.kind}: others waited ${ms(slowest.othersMaxMs)}`,
    details,
  };
};
