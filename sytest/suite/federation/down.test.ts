/** A server that was away catches up. */

import { Authority } from '../../lib/authority.ts';
import { Network } from '../../lib/network.ts';
import { parley } from '../../lib/parley.ts';
import { registers } from '../../lib/person.ts';
import type { Server } from '../../lib/server.ts';
import { eventually } from '../../lib/wait.ts';

const authority = new Authority();
const network = new Network(authority);
let north: Server;
let south: Server;
let east: Server;

beforeAll(async () => {
  const recipe = parley({ federation: { max_retry_delay_ms: 1_000 } });
  [north, south, east] = (await Promise.all([1, 2, 3].map(() => network.adds(recipe)))) as [
    Server,
    Server,
    Server,
  ];
});
afterAll(() => network.close());
afterEach(() => network.heals());

let count = 0;
async function threeInARoom(version: string) {
  count += 1;
  const [alice, bob, carol] = await Promise.all([
    registers(north, `alice${count}`),
    registers(south, `bob${count}`),
    registers(east, `carol${count}`),
  ]);
  const room = await alice.createsRoom({ preset: 'public_chat', version });
  await bob.joins(room, north);
  await carol.joins(room, north);
  const ready = await alice.says(room, 'everybody here?');
  await Promise.all([bob.sees(room, ready), carol.sees(room, ready)]);
  return { alice, bob, carol, room };
}

it('a server that was down hears what it missed', async () => {
  const { alice, bob, carol, room } = await threeInARoom('11');
  await east.stop();
  const missed: string[] = [];
  for (let i = 0; i < 60; i++) missed.push(await (i % 2 ? alice : bob).says(room, `missed ${i}`));
  await east.start();
  const nudge = await alice.says(room, 'are you back?');
  await bob.sees(room, nudge);
  await eventually(
    'carol’s server has caught up',
    async () => {
      const path = `/rooms/${encodeURIComponent(room)}/event/${encodeURIComponent(nudge)}`;
      return (await carol.asks('GET', path)).status === 200 ? true : undefined;
    },
    { timeoutMs: 40_000, pauseMs: 200 },
  );
  const history = (await carol.history(room, 50)).map((event) => event.event_id);
  expect(missed.filter((id) => !history.includes(id))).toEqual([]);
});
