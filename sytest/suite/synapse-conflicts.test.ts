/**
 * People of a Parley and of a Synapse undo each other's work while the servers cannot talk: whatever
 * it was, both come to the same state of the room. Runs where Synapse is installed; see `findSynapse`.
 * https://spec.matrix.org/v1.19/rooms/v12/#state-resolution
 */

import { Refusal } from '../lib/http.ts';
import { type Person, segment } from '../lib/person.ts';
import { type SeededRandom, seededRandom } from '../lib/seeded-random.ts';
import { eventually } from '../lib/wait.ts';
import { agree, besideSynapse, CREATORS, inOrder, newcomers, VERSIONS } from './beside-synapse.ts';

const CASES = VERSIONS.flatMap((version, index) =>
  CREATORS.map((creator, place) => [version, creator, 7919 * (2 * index + place + 1)] as const),
);

const ROUNDS = 2;
const ACTS = 8;

interface Scene {
  readonly room: string;
  readonly all: readonly Person[];
  readonly random: SeededRandom;
}

/** Something that changes the room, whether it is allowed or not. */
async function acts(who: Person, { room, all, random }: Scene, what: string): Promise<unknown> {
  const whom = random.pick(all);
  switch (random.below(9)) {
    case 0:
      return who.sets(room, 'm.room.topic', { topic: what });
    case 1:
      return who.kicks(whom, room);
    case 2:
      return who.bans(whom, room);
    case 3:
      return who.unbans(whom, room);
    case 4: {
      const levels = await who.reads(room, 'm.room.power_levels');
      const users = { ...levels.users, [whom.id]: random.pick([0, 30, 50, 60, 75]) };
      return who.sets(room, 'm.room.power_levels', { ...levels, users });
    }
    case 5: {
      const content = { join_rule: random.pick(['public', 'invite', 'knock']) };
      return who.sets(room, 'm.room.join_rules', content);
    }
    case 6:
      return who.leaves(room);
    case 7:
      return who.joins(room);
    default:
      return who.says(room, what);
  }
}

async function undoEachOther(people: readonly Person[], scene: Scene): Promise<void> {
  for (let act = 0; act < ACTS; act += 1) {
    const who = scene.random.pick(people);
    await acts(who, scene, `${who.id} ${act}`).catch((error: unknown) => {
      // It was not theirs to do, or only the other server could have let them in.
      if (!(error instanceof Refusal)) throw error;
    });
  }
}

/** Whoever of these people is in the room. */
async function memberAmong(people: readonly Person[], room: string): Promise<Person | undefined> {
  for (const person of people) {
    const { joined_rooms: joined } = await person.calls('GET', '/joined_rooms');
    if (joined.includes(room)) return person;
  }
  return undefined;
}

besideSynapse((pair) => {
  it.each(CASES)('in version %s, on a room made on %s (%i)', async (version, creator, seed) => {
    const [home, away] = inOrder(pair(), creator);
    const [hosts, guests] = await Promise.all([
      newcomers(home, 'host', 'second-host', 'third-host'),
      newcomers(away, 'guest', 'second-guest', 'third-guest'),
    ]);
    const [host, second] = hosts;
    const all = [...hosts, ...guests];
    const users = {
      ...(version === '12' ? {} : { [host.id]: 100 }),
      [second.id]: 75,
      [guests[0].id]: 100,
      [guests[1].id]: 60,
    };
    const events = { 'm.room.power_levels': 60, 'm.room.join_rules': 50 };
    const and = { power_level_content_override: { users, events } };
    const room = await host.createsRoom({ preset: 'public_chat', version, and });
    for (const person of all.slice(1)) await person.joins(room, home);
    await agree(host, guests[0], room);
    const scene = { room, all, random: seededRandom(seed) };
    for (let round = 0; round < ROUNDS; round += 1) {
      pair().network.splits([home], [away]);
      try {
        await undoEachOther(hosts, scene);
        await undoEachOther(guests, scene);
      } finally {
        pair().network.heals();
      }
      await speakUp(hosts, guests, room);
      const [one, other] = [await memberAmong(hosts, room), await memberAmong(guests, room)];
      // Where nobody is left on one side, the servers have nothing more to agree on.
      if (one === undefined || other === undefined) return;
      await agree(one, other, room);
    }
  });
});

/** Those still there say something, by which each server hears of what the other has. */
async function speakUp(
  hosts: readonly Person[],
  guests: readonly Person[],
  room: string,
): Promise<void> {
  const heard = async (speakers: readonly Person[], listeners: readonly Person[]) => {
    const speaker = await memberAmong(speakers, room);
    if (speaker === undefined) return;
    const said = await speaker.says(room, 'together again').catch(() => undefined);
    if (said === undefined) return;
    await eventually('it is heard, or nobody is there to hear it', async () => {
      const listener = await memberAmong(listeners, room);
      if (listener === undefined || (await memberAmong([speaker], room)) === undefined) return true;
      const path = `/rooms/${segment(room)}/event/${segment(said)}`;
      return (await listener.asks('GET', path)).status === 200 ? true : undefined;
    });
  };
  await heard(hosts, guests);
  await heard(guests, hosts);
}
