/** A server that stops, or is killed, and starts again: nothing that was acknowledged is lost. */

import { Authority } from '../lib/authority.ts';
import { parley } from '../lib/parley.ts';
import { type ClientEvent, type Person, registers } from '../lib/person.ts';
import { Server } from '../lib/server.ts';
import { synapse, synapsePython } from '../lib/synapse.ts';

let server: Server;
let alice: Person;
let bob: Person;
let room: string;

beforeAll(async () => {
  const recipe =
    process.env['PARLEY_SUITE_TARGET'] === 'synapse' ? synapse(synapsePython()!) : parley();
  server = await (await Server.create(recipe, new Authority())).start();
  [alice, bob] = await Promise.all([registers(server, 'alice'), registers(server, 'bob')]);
  room = await alice.createsRoom({ preset: 'public_chat', name: 'Before and after' });
  await bob.joins(room);
});
afterAll(() => server.destroy());

const ids = (events: readonly ClientEvent[]) => events.map((event) => event.event_id);

/** What never changes about events, in an order that never changes. */
const lasting = (events: readonly ClientEvent[]) =>
  events
    .map(({ event_id, type, sender, content, state_key }) => ({
      ...{ event_id, type, sender, content, state_key },
    }))
    .sort((a, b) => (a.event_id < b.event_id ? -1 : 1));

describe.each([
  ['stopped', () => server.stop()],
  ['killed', () => server.kill()],
])('after being %s', (how, end) => {
  const content = { msgtype: 'm.text', body: 'retried' };
  const txnId = `retried after being ${how}`;
  const accountData = { colour: how };
  let dataPath: string;
  let history: ClientEvent[];
  let state: ClientEvent[];
  let retried: string;
  let unseen: string;

  beforeAll(async () => {
    for (let i = 0; i < 10; i++) await alice.says(room, `message ${i}`);
    dataPath = `/user/${encodeURIComponent(alice.id)}/account_data/org.example.test`;
    await alice.calls('PUT', dataPath, { body: accountData });
    retried = await alice.sends(room, 'm.room.message', content, txnId);
    await bob.sees(room, retried);
    unseen = await alice.says(room, 'just before');
    history = await bob.history(room);
    state = await alice.state(room);
    await end();
    await server.start();
  });

  it('a client goes on from its old sync token, missing and repeating nothing', async () => {
    const seenBefore = bob.seen(room).length;
    const after = await alice.says(room, 'just after');
    await bob.sees(room, after);
    expect(ids(bob.seen(room).slice(seenBefore))).toEqual([unseen, after]);
  });

  it('history, state and account data are as they were', async () => {
    const now = (await bob.history(room)).slice(0, history.length);
    expect(ids(now)).toEqual(ids(history));
    expect(lasting(now)).toEqual(lasting(history));
    expect(lasting(await alice.state(room))).toEqual(lasting(state));
    expect(await alice.calls('GET', dataPath)).toEqual(accountData);
  });

  it('a retried send is still the same message', async () => {
    expect(await alice.sends(room, 'm.room.message', content, txnId)).toBe(retried);
  });
});

it('stops while clients wait, and answers them first', async () => {
  await bob.syncs();
  const outcome = bob.syncs({ timeout: 30_000 }).then(
    () => 'answered',
    () => 'cut off',
  );
  // The poll has been taken in once a later request has been answered.
  await bob.calls('GET', '/account/whoami');
  const began = Date.now();
  await server.stop();
  expect(Date.now() - began).toBeLessThan(10_000);
  expect(await outcome).toBe('answered');
});
