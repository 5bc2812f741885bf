/** Events of another server into one room of ours, as fast as they are accepted. */
import { ceilingRate, messageContent } from '../against-ceiling.ts';
import { ms, number, percent, perSecond } from '../format.ts';
import { summarise } from '../measure.ts';
import type { Person } from '../person.ts';
import { cpuSecondsOf } from '../processes.ts';
import type { Scenario } from '../scenario.ts';

/** As many as one transaction may hold. */
const PER_TRANSACTION = 50;
const WARM_UP_TRANSACTIONS = 10;
/** Of the measured second, at the rate of the bar, with room for being faster. */
const TRANSACTIONS_PER_SECOND = 20;
const ROOM_VERSION = '12';

/** Every event has arrived, and none twice. */
const checkArrived = async (reader: Person, roomId: string, sent: number): Promise<void> => {
  const seen = new Map<unknown, number>();
  for await (const { content } of reader.history(roomId)) {
    const { n } = content;
    if (n !== undefined) seen.set(n, (seen.get(n) ?? 0) + 1);
  }
  const twice = [...seen.values()].filter((times) => times !== 1).length;
  if (seen.size !== sent || twice > 0) {
    throw new Error(`of ${sent} events ${seen.size} arrived, ${twice} of them more than once`);
  }
};

export const inboundPdus: Scenario = {
  name: 'inbound-pdus',
  measures: `events of another server into one room, all checks, transactions of ${PER_TRANSACTION}`,
  bars: [{ of: 'rate', detail: 'perSecond', atLeast: 500, unit: '/s' }],
  compared: [{ detail: 'cpuMsPerEvent', better: 'lower' }],
  run: async (world) => {
    const { server } = world.federation;
    const [reader] = await world.people(1);
    const roomId = await reader!.createRoom({
      preset: 'public_chat',
      room_version: ROOM_VERSION,
    });
    const peer = await world.newPeer();
    const user = peer.user('bench');
    const room = await peer.joins(roomId, user, server);
    const transactions = WARM_UP_TRANSACTIONS + Math.ceil(TRANSACTIONS_PER_SECOND * world.seconds);
    const batches = Array.from({ length: transactions }, (_, batch) =>
      Array.from({ length: PER_TRANSACTION }, (_, index) => {
        const n = batch * PER_TRANSACTION + index;
        const content = { ...JSON.parse(messageContent(`${n}`)), n };
        return room.appends({ type: 'm.room.message', sender: user, content });
      }),
    );
    const send = async (batch: (typeof batches)[number]): Promise<void> => {
      const results = Object.values(await peer.sends(server, batch));
      const error = results.find((result) => result.error !== undefined)?.error;
      if (error !== undefined) throw new Error(`an event was refused: ${error}`);
    };
    for (const batch of batches.splice(0, WARM_UP_TRANSACTIONS)) await send(batch);

    const cpuBefore = world.pid === undefined ? undefined : await cpuSecondsOf(world.pid);
    const loadBefore = process.cpuUsage();
    const latenciesMs: number[] = [];
    const startedMs = performance.now();
    for (const batch of batches) {
      const sentMs = performance.now();
      await send(batch);
      latenciesMs.push(performance.now() - sentMs);
    }
    const seconds = (performance.now() - startedMs) / 1000;
    const { user: loadUser, system: loadSystem } = process.cpuUsage(loadBefore);
    const cpuAfter = world.pid === undefined ? undefined : await cpuSecondsOf(world.pid);
    await checkArrived(reader!, roomId, transactions * PER_TRANSACTION);

    const events = batches.length * PER_TRANSACTION;
    const rate = events / seconds;
    const ceiling = await ceilingRate(world, PER_TRANSACTION);
    const { p50, p95 } = summarise(latenciesMs);
    const cpuMs =
      cpuBefore === undefined || cpuAfter === undefined
        ? undefined
        : ((cpuAfter - cpuBefore) * 1000) / events;
    const loadCpuShare = (loadUser + loadSystem) / (seconds * 1e6);
    const cpu = cpuMs === undefined ? '' : `, processor ${ms(cpuMs)} for an event`;
    return {
      figure:
        `${perSecond(rate)}, transactions p50 ${ms(p50)}, p95 ${ms(p95)}; ` +
        `ceiling ${perSecond(ceiling)}, ratio ${number(rate / ceiling)}` +
        `${cpu}, load ${percent(loadCpuShare)}`,
      details: {
        perSecond: rate,
        p50Ms: p50,
        p95Ms: p95,
        ceilingPerSecond: ceiling,
        ratio: rate / ceiling,
        loadCpuShare,
        ...(cpuMs === undefined ? {} : { cpuMsPerEvent: cpuMs }),
      },
    };
  },
};
