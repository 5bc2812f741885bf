/** Joining a large room of another server: how long it takes, and how much memory at its worst. */
import { messageContent } from '../against-ceiling.ts';
import { ms, number } from '../format.ts';
import { summarise } from '../measure.ts';
import type { Person } from '../person.ts';
import { cpuSecondsOf, forgetPeak, memoryOf } from '../processes.ts';
import type { Outcome, Scenario, World } from '../scenario.ts';
import { ScriptedRoom } from '../scripted-room.ts';

const MEMBERS = 5000;
const SERVERS = 50;
const OTHERS_PAUSE_MS = 10;

interface Join {
  readonly version: string;
  readonly tookMs: number;
  readonly cpuMs: number | undefined;
  readonly peakMb: number | undefined;
  readonly beforeMb: number | undefined;
  /** Of the sends that someone else made in a room of their own at the time. */
  readonly othersP50Ms: number;
  readonly othersMaxMs: number;
}

/** Sends one after another until told to stop; resolves with what each of them took. */
const sendMeanwhile = (person: Person, roomId: string): (() => Promise<number[]>) => {
  const latenciesMs: number[] = [];
  let isDone = false;
  const run = async (): Promise<void> => {
    while (!isDone) {
      const startedMs = performance.now();
      await person.send(roomId, messageContent('meanwhile'));
      latenciesMs.push(performance.now() - startedMs);
      await new Promise((resolve) => setTimeout(resolve, OTHERS_PAUSE_MS));
    }
  };
  const running = run();
  return async () => {
    isDone = true;
    await running;
    return latenciesMs;
  };
};

const joinRoom = async (world: World, version: string): Promise<Join> => {
  const peer = await world.newPeer();
  // Others than in the room before, so that their keys have to be fetched as well.
  const servers = await world.newRemoteServers(SERVERS);
  const room = new ScriptedRoom(peer, version, servers, MEMBERS);
  room.servedBy(peer);
  const [person, other] = await world.newPeople(2);
  const otherRoomId = await other!.createRoom({ preset: 'private_chat' });
  const before = world.pid === undefined ? undefined : await memoryOf(world.pid);
  if (world.pid !== undefined) await forgetPeak(world.pid);
  const cpuBefore = world.pid === undefined ? undefined : await cpuSecondsOf(world.pid);
  const stopOthers = sendMeanwhile(other!, otherRoomId);
  const startedMs = performance.now();
  await person!.join(room.id, peer.name);
  const tookMs = performance.now() - startedMs;
  const others = summarise(await stopOthers());
  const cpuAfter = world.pid === undefined ? undefined : await cpuSecondsOf(world.pid);
  const after = world.pid === undefined ? undefined : await memoryOf(world.pid);
  const members = await person!.joinedMembers(room.id);
  if (members.length !== MEMBERS + 2) {
    throw new Error(`${members.length} members after the join, not ${MEMBERS + 2}`);
  }
  return {
    version,
    tookMs,
    cpuMs:
      cpuBefore === undefined || cpuAfter === undefined ? undefined : (cpuAfter - cpuBefore) * 1000,
    peakMb: after?.peakMb,
    beforeMb: before?.residentMb,
    othersP50Ms: others.p50,
    othersMaxMs: others.max,
  };
};

const worst = (values: readonly (number | undefined)[]): number | undefined =>
  values.every((value) => value !== undefined) ? Math.max(...values) : undefined;

const joinBoth = (() => {
  const done = new WeakMap<World, Promise<Join[]>>();
  const run = async (world: World): Promise<Join[]> => [
    await joinRoom(world, '11'),
    await joinRoom(world, '12'),
  ];
  return (world: World): Promise<Join[]> => {
    const joins = done.get(world) ?? run(world);
    done.set(world, joins);
    return joins;
  };
})();

const detailsOf = (joins: readonly Join[]): Record<string, number> =>
  Object.fromEntries(
    joins.flatMap(({ version, ...figures }) =>
      Object.entries(figures).flatMap(([name, value]) =>
        value === undefined ? [] : [[`${name}V${version}`, value] as const],
      ),
    ),
  );

export const remoteJoin: Scenario = {
  name: 'remote-join',
  measures: `join of another server's room with ${MEMBERS} members of ${SERVERS} servers, versions 11 and 12`,
  bars: [{ of: 'slower', detail: 'slowerMs', atMost: 10_000, unit: 'ms' }],
  run: async (world): Promise<Outcome> => {
    const joins = await joinBoth(world);
    const each = joins.map(
      ({ version, tookMs, cpuMs, othersP50Ms, othersMaxMs }) =>
        `version ${version} ${ms(tookMs)}${cpuMs === undefined ? '' : ` (processor ${ms(cpuMs)})`}` +
        `, sends of others meanwhile p50 ${ms(othersP50Ms)}, max ${ms(othersMaxMs)}`,
    );
    return {
      figure: each.join('; '),
      details: { ...detailsOf(joins), slowerMs: Math.max(...joins.map(({ tookMs }) => tookMs)) },
    };
  },
};

export const remoteJoinMemory: Scenario = {
  name: 'remote-join-memory',
  measures: 'the highest resident memory of the server process during those joins',
  bars: [{ of: 'peak', detail: 'peakMb', atMost: 400, unit: 'MB' }],
  run: async (world): Promise<Outcome> => {
    const joins = await joinBoth(world);
    const peak = worst(joins.map(({ peakMb }) => peakMb));
    if (peak === undefined) throw new Error('the system keeps no record of the peak');
    const each = joins.map(
      ({ version, beforeMb = Number.NaN, peakMb = Number.NaN }) =>
        `version ${version} ${number(beforeMb)} → ${number(peakMb)} MB`,
    );
    return { figure: each.join(', '), details: { ...detailsOf(joins), peakMb: peak } };
  },
};
