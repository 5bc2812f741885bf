/** Fifty state events of another server that all begin at the same place of a large room. */
import { ms } from '../format.ts';
import { Probe } from '../probe.ts';
import { cpuSecondsOf } from '../processes.ts';
import type { Scenario } from '../scenario.ts';
import { ScriptedRoom } from '../scripted-room.ts';

const MEMBERS = 20_000;
const FORKS = 50;
const OTHERS_PAUSE_MS = 3;
/** After the transaction, for what it left to do. */
const SETTLE_MS = 2_000;

export const forks: Scenario = {
  name: 'forks',
  measures: `${FORKS} forked state events of another server in a room of ${MEMBERS} members`,
  bars: [
    { of: "others' longest wait", detail: 'othersMaxMs', atMost: 50, unit: 'ms' },
    { of: 'processor', detail: 'cpuMs', atMost: 3000, unit: 'ms' },
  ],
  run: async (world) => {
    const peer = await world.newPeer();
    const room = new ScriptedRoom(peer, '11', [peer], MEMBERS);
    room.servedBy(peer);
    const [person, other] = await world.newPeople(2);
    await person!.join(room.id, peer.name);
    const leaves = room.forkedLeaves(peer, FORKS);
    const probe = await Probe.start({
      url: world.url.href,
      request: { method: 'GET', path: '/_matrix/client/v3/joined_rooms', token: other!.token },
      pauseMs: OTHERS_PAUSE_MS,
    });
    try {
      await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
      await probe.take();
      const cpuBefore = world.pid === undefined ? undefined : await cpuSecondsOf(world.pid);
      const startedMs = performance.now();
      const results = Object.values(await peer.sends(world.federation.server, leaves));
      const tookMs = performance.now() - startedMs;
      await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
      const cpuAfter = world.pid === undefined ? undefined : await cpuSecondsOf(world.pid);
      const refused = results.find(({ error }) => error !== undefined);
      if (refused !== undefined) throw new Error(`a fork was refused: ${refused.error}`);
      const othersMaxMs = Math.max(...(await probe.take()));
      const members = await person!.joinedMembers(room.id);
      if (members.length !== MEMBERS + 2 - FORKS) {
        throw new Error(`${members.length} members after ${FORKS} have left`);
      }
      const cpuMs =
        cpuBefore === undefined || cpuAfter === undefined
          ? undefined
          : (cpuAfter - cpuBefore) * 1000;
      return {
        figure:
          `answered after ${ms(tookMs)}, others waited ${ms(othersMaxMs)} at most` +
          `${cpuMs === undefined ? '' : `, processor ${ms(cpuMs)}`}`,
        details: { tookMs, othersMaxMs, ...(cpuMs === undefined ? {} : { cpuMs }) },
      };
    } finally {
      await probe.stop();
    }
  },
};
