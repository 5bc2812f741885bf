/** Paging back among ten thousand joins: what a page costs must not grow with the room. */
import { ms, number } from '../format.ts';
import { summarise } from '../measure.ts';
import type { Scenario } from '../scenario.ts';
import { ScriptedRoom } from '../scripted-room.ts';

const MEMBERS = 10_000;
const JOINS = 2_000;
const PER_TRANSACTION = 50;
const PAGE = 100;
const PAGES = 15;

export const history: Scenario = {
  name: 'history',
  measures: `/messages of ${PAGE} among joins, in a room with ${MEMBERS} members`,
  bars: [{ of: 'p95', detail: 'p95Ms', atMost: 30, unit: 'ms' }],
  run: async (world) => {
    const peer = await world.newPeer();
    const room = new ScriptedRoom(peer, '11', [peer], MEMBERS - JOINS);
    room.servedBy(peer);
    const [person] = await world.newPeople(1);
    await person!.join(room.id, peer.name);
    const joins = room.joinsAfter(peer, JOINS);
    for (let from = 0; from < joins.length; from += PER_TRANSACTION) {
      const batch = joins.slice(from, from + PER_TRANSACTION);
      const results = Object.values(await peer.sends(world.federation.server, batch));
      const refused = results.find(({ error }) => error !== undefined);
      if (refused !== undefined) throw new Error(`a join was refused: ${refused.error}`);
    }
    const pagesMs: number[] = [];
    let from: string | undefined;
    for (let page = 0; page < PAGES; page++) {
      const startedMs = performance.now();
      const { events, end } = await person!.page(room.id, PAGE, from);
      pagesMs.push(performance.now() - startedMs);
      if (events !== PAGE) throw new Error(`a page of ${events} events`);
      from = end;
    }
    const { p50, p95, max } = summarise(pagesMs);
    return {
      figure: `p50 ${ms(p50)}, p95 ${ms(p95)}, first ${ms(pagesMs[0]!)} of ${number(PAGES)} pages`,
      details: { p50Ms: p50, p95Ms: p95, maxMs: max, firstMs: pagesMs[0]! },
    };
  },
};
