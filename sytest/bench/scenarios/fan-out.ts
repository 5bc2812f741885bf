/** One event for 200 other servers: how long it takes until each of them has it in its queue. */

import { eventually } from '../../lib/wait.ts';
import { messageContent } from '../against-ceiling.ts';
import { ms } from '../format.ts';
import { summarise } from '../measure.ts';
import type { Person } from '../person.ts';
import { cpuSecondsOf } from '../processes.ts';
import type { RemoteServer } from '../remote-servers.ts';
import type { Scenario, World } from '../scenario.ts';
import { ScriptedRoom } from '../scripted-room.ts';
import { type Histogram, histogramOf } from '../server-metrics.ts';

const DESTINATIONS = 200;
const WARM_UP_SENDS = 10;
const PAUSE_MS = 20;
const SENDS_PER_SECOND = 5;
const METRIC = 'parley_federation_enqueue_seconds';
const DELIVERY_TIMEOUT_MS = 60_000;

const pause = (durationMs: number) => new Promise((resolve) => setTimeout(resolve, durationMs));

interface Sends {
  readonly latenciesMs: number[];
  /** From the start of a send until every server has the message. */
  readonly deliveriesMs: number[];
}

/** Sends one after another, each when the one before it has reached all of `servers`. */
const timeSends = async (
  person: Person,
  roomId: string,
  servers: readonly RemoteServer[],
  texts: readonly string[],
): Promise<Sends> => {
  const sends: Sends = { latenciesMs: [], deliveriesMs: [] };
  for (const text of texts) {
    const content = messageContent(text);
    const startedMs = performance.now();
    await person.send(roomId, content);
    sends.latenciesMs.push(performance.now() - startedMs);
    await reachesAll(servers, (JSON.parse(content) as { body: string }).body);
    sends.deliveriesMs.push(performance.now() - startedMs);
    await pause(PAUSE_MS);
  }
  return sends;
};

const reachesAll = (servers: readonly RemoteServer[], body: string): Promise<true> =>
  eventually(
    'a message reaches all servers',
    () => (servers.every(({ received }) => received.has(body)) ? true : undefined),
    { timeoutMs: DELIVERY_TIMEOUT_MS, pauseMs: 5 },
  );

const textsOf = (label: string, count: number): string[] =>
  Array.from({ length: count }, (_, index) => `${label} ${index}`);

const enqueued = (world: World): Promise<Histogram> => histogramOf(world.url, METRIC);

export const fanOut: Scenario = {
  name: 'fan-out',
  measures: `messages in a room with members of ${DESTINATIONS} other servers; handing one to all their queues`,
  bars: [{ of: 'p95 (upper bound)', detail: 'enqueueP95UpperBoundMs', atMost: 5, unit: 'ms' }],
  compared: [
    { detail: 'deliveredP50Ms', better: 'lower' },
    { detail: 'cpuMsPerDestination', better: 'lower' },
  ],
  run: async (world) => {
    const servers = await world.newRemoteServers(DESTINATIONS);
    const peer = await world.newPeer();
    const room = new ScriptedRoom(peer, '12', servers, DESTINATIONS);
    room.servedBy(peer);
    const [person] = await world.newPeople(1);
    const aloneId = await person!.createRoom({ preset: 'private_chat' });
    await person!.join(room.id, peer.name);
    const send = (roomId: string, to: readonly RemoteServer[], label: string, count: number) =>
      timeSends(person!, roomId, to, textsOf(label, count));
    const count = Math.ceil(SENDS_PER_SECOND * world.seconds);
    await send(aloneId, [], 'warm-up', WARM_UP_SENDS);
    const alone = summarise((await send(aloneId, [], 'alone', count)).latenciesMs);

    await send(room.id, servers, 'warm-up', WARM_UP_SENDS);
    const before = await enqueued(world);
    const cpuBefore = world.pid === undefined ? undefined : await cpuSecondsOf(world.pid);
    const sends = await send(room.id, servers, 'to all', count);
    const cpuAfter = world.pid === undefined ? undefined : await cpuSecondsOf(world.pid);
    const together = summarise(sends.latenciesMs);
    const delivered = summarise(sends.deliveriesMs);
    const handed = (await enqueued(world)).since(before);
    if (handed.count !== count) {
      throw new Error(`${handed.count} of ${count} messages were handed to other servers`);
    }
    const p95Ms = handed.upperBound(95) * 1000;
    const meanMs = (handed.sum / handed.count) * 1000;
    const cpuMs =
      cpuBefore === undefined || cpuAfter === undefined
        ? undefined
        : ((cpuAfter - cpuBefore) * 1000) / (count * DESTINATIONS);
    const cpu = cpuMs === undefined ? '' : `, processor ${ms(cpuMs)} for each`;
    return {
      figure:
        `mean ${ms(meanMs)}, p95 ≤ ${ms(p95Ms)}; at all of them p50 ${ms(delivered.p50)}${cpu}; ` +
        `send p50 ${ms(together.p50)}, p95 ${ms(together.p95)}, ` +
        `to no other server ${ms(alone.p50)}, ${ms(alone.p95)}`,
      details: {
        enqueueMeanMs: meanMs,
        enqueueP95UpperBoundMs: p95Ms,
        deliveredP50Ms: delivered.p50,
        deliveredP95Ms: delivered.p95,
        sendP50Ms: together.p50,
        sendP95Ms: together.p95,
        aloneP50Ms: alone.p50,
        aloneP95Ms: alone.p95,
        ...(cpuMs === undefined ? {} : { cpuMsPerDestination: cpuMs }),
      },
    };
  },
};
