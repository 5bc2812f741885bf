/** Servers that lose each other and find each other again. https://spec.matrix.org/v1.19/rooms/#complete-list-of-room-versions */

import { Authority } from '../../lib/authority.ts';
import { Network } from '../../lib/network.ts';
import { parley } from '../../lib/parley.ts';
import { type Person, registers } from '../../lib/person.ts';
import type { Server } from '../../lib/server.ts';
import { synapse, synapsePython } from '../../lib/synapse.ts';
import { eventually } from '../../lib/wait.ts';

const authority = new Authority();
const network = new Network(authority);
let north: Server;
let south: Server;
let east: Server;

beforeAll(async () => {
  const recipe =
    process.env['PARLEY_SUITE_TARGET'] === 'synapse'
      ? synapse(synapsePython()!)
      : parley({ federation: { max_retry_delay_ms: 1_000 } });
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
  await givesPower(alice, room, { [bob.id]: 50 });
  const ready = await alice.says(room, 'everybody here?');
  await Promise.all([bob.sees(room, ready), carol.sees(room, ready)]);
  return { alice, bob, carol, room, people: [alice, bob, carol] };
}

async function givesPower(person: Person, room: string, users: object): Promise<void> {
  const levels = await person.reads(room, 'm.room.power_levels');
  const content = { ...levels, users: { ...levels.users, ...users } };
  await person.sets(room, 'm.room.power_levels', content);
}

const stateIds = async (person: Person, room: string) =>
  (await person.state(room)).map((event) => event.event_id).sort();

/** Everybody speaks, everybody hears it, and all servers hold the same state. */
async function reunite(people: readonly Person[], room: string): Promise<void> {
  network.heals();
  await eventually(
    'all servers hold the same state',
    async () => {
      for (const person of people) await person.says(room, `${person.id} is back`);
      const [first, ...others] = await Promise.all(people.map((each) => stateIds(each, room)));
      return others.every((ids) => ids.join() === first!.join()) ? true : undefined;
    },
    { timeoutMs: 40_000, pauseMs: 500 },
  );
}

describe.each(['10', '11', '12'])('in room version %s', (version) => {
  it('what was said on either side arrives everywhere in the end', async () => {
    const { alice, bob, carol, room, people } = await threeInARoom(version);
    network.splits([north], [south, east]);
    const cutOff = await alice.says(room, 'can anybody hear me?');
    const together = await bob.says(room, 'alice is gone');
    await carol.sees(room, together);
    expect(carol.seen(room).map((event) => event.event_id)).not.toContain(cutOff);
    await reunite(people, room);
    await Promise.all([
      bob.sees(room, cutOff),
      carol.sees(room, cutOff),
      alice.sees(room, together),
    ]);
  });

  it('of conflicting changes, the more powerful wins on every server', async () => {
    const { alice, bob, carol, room, people } = await threeInARoom(version);
    network.splits([north], [south, east]);
    await givesPower(alice, room, { [bob.id]: 0 });
    await alice.sets(room, 'm.room.topic', { topic: 'north' });
    await bob.sets(room, 'm.room.topic', { topic: 'south' });
    await bob.sets(room, 'm.room.name', { name: 'southern name' });
    await reunite(people, room);
    for (const person of people) {
      expect((await person.reads(room, 'm.room.topic')).topic).toBe('north');
      expect((await person.reads(room, 'm.room.power_levels')).users[bob.id]).toBe(0);
    }
    expect((await carol.memberships(room))[bob.id]).toBe('join');
  });

  it('a ban on one side holds against what the banned did on the other', async () => {
    const { alice, bob, carol, room } = await threeInARoom(version);
    network.splits([north], [south, east]);
    await alice.bans(bob, room);
    await bob.sets(room, 'm.room.topic', { topic: 'I was never banned' });
    network.heals();
    await eventually(
      'the ban is everywhere',
      async () => {
        await alice.says(room, 'hello again');
        const ids = await Promise.all([alice, carol].map((person) => stateIds(person, room)));
        const banned = (await carol.memberships(room))[bob.id] === 'ban';
        return banned && ids[0]!.join() === ids[1]!.join() ? true : undefined;
      },
      { timeoutMs: 40_000, pauseMs: 500 },
    );
    const { state } = await carol
      .state(room)
      .then((events) => ({ state: events.filter((event) => event.type === 'm.room.topic') }));
    expect(state.map((event) => event.content.topic)).not.toContain('I was never banned');
  });
});

const everyVersion = Array.from({ length: 12 }, (_, index) => String(index + 1));

describe.each(everyVersion)('in room version %s', (version) => {
  it('power levels and memberships changed on both sides end as one state', async () => {
    const { alice, bob, room, people } = await threeInARoom(version);
    network.splits([north], [south, east]);
    await givesPower(alice, room, { [bob.id]: 0 });
    await alice.sets(room, 'm.room.join_rules', { join_rule: 'invite' });
    const dave = await registers(south, `dave${count}`);
    await dave.joins(room, south);
    await bob.sets(room, 'm.room.topic', { topic: 'south' });
    // Compares the whole state on all three servers.
    await reunite(people, room);
  });
});
