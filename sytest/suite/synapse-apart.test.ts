/**
 * Rooms shared with a live Synapse while one of the two is away, or both are and neither knows. Runs
 * where Synapse is installed; see `findSynapse`.
 * https://spec.matrix.org/v1.19/server-server-api/#transactions
 */

import { refused } from '../lib/http.ts';
import type { Person } from '../lib/person.ts';
import { eventually } from '../lib/wait.ts';
import {
  agree,
  besideSynapse,
  CREATORS,
  inOrder,
  newcomers,
  talks,
  texts,
  VERSIONS,
} from './beside-synapse.ts';

const CASES = VERSIONS.flatMap((version) => CREATORS.map((creator) => [version, creator] as const));

/** Waits until the whole history of a room, as somebody pages through it, has these texts in any order. */
const hasRead = (person: Person, room: string, said: readonly string[]) =>
  eventually(
    `${person.id} has everything that was said in ${room}`,
    async () => {
      const read = texts(await person.history(room));
      expect([...read].sort()).toEqual([...said].sort());
      return read;
    },
    { timeoutMs: 20_000, pauseMs: 200 },
  );

besideSynapse((pair) => {
  /** A room of each version and creator, with someone of each server in it. */
  const rooms: { host: Person; guest: Person; room: string; version: string; creator: string }[] =
    [];

  beforeAll(async () => {
    for (const [version, creator] of CASES) {
      const [home, away] = inOrder(pair(), creator);
      const [[host], [guest]] = await Promise.all([
        newcomers(home, 'host'),
        newcomers(away, 'guest'),
      ]);
      const users = { [guest.id]: 50, ...(version === '12' ? {} : { [host.id]: 100 }) };
      const events = { 'm.room.power_levels': 50 };
      const and = { power_level_content_override: { users, events } };
      const room = await host.createsRoom({ preset: 'public_chat', version, and });
      await guest.joins(room, home);
      rooms.push({ host, guest, room, version, creator });
    }
  });

  describe.each(CREATORS)('while %s is stopped', (stopped) => {
    it('what is said on the other one arrives later, in order and once', async () => {
      const [away, here] = inOrder(pair(), stopped);
      const speakers = rooms.map(({ host, guest, room }) => {
        const [speaker, listener] = host.server === here ? [host, guest] : [guest, host];
        return { speaker, listener, room };
      });
      await Promise.all(
        speakers.flatMap(({ speaker, listener }) => [speaker.syncs(), listener.syncs()]),
      );
      await away.stop();
      const said = new Map<string, string[]>();
      for (const { speaker, room } of speakers) {
        said.set(room, await talks(speaker, room, `while ${stopped} was away`, 12));
        // Both have the power to, in every room.
        await speaker.sets(room, 'm.room.topic', { topic: `${stopped} was away` });
      }
      await away.start();
      // A sign of life, without which a server may wait long before it tries again.
      for (const { listener, room } of speakers) await listener.says(room, 'back again');
      for (const { speaker, listener, room } of speakers) {
        await speaker.seesMessage(room, 'back again');
        await listener.seesMessage(room, said.get(room)!.at(-1)!);
        const read = texts(await listener.history(room));
        expect(read.filter((text) => said.get(room)!.includes(text))).toEqual(said.get(room));
        await agree(speaker, listener, room);
      }
    });
  });

  it.each(CREATORS)('%s is killed while the other’s people go on talking', async (killed) => {
    const [away, here] = inOrder(pair(), killed);
    const [[speaker], [listener]] = await Promise.all([
      newcomers(here, 'speaker'),
      newcomers(away, 'listener'),
    ]);
    const room = await speaker.createsRoom({ preset: 'public_chat' });
    await listener.joins(room, here);
    const talking = talks(speaker, room, `on and on past ${killed}`, 60);
    await listener.seesMessage(room, `on and on past ${killed} 5`);
    await away.kill();
    await away.start();
    const said = await talking;
    await listener.says(room, 'back again');
    await eventually('all of it is here', async () => {
      const read = texts(await listener.history(room)).filter((text) => said.includes(text));
      return read.at(-1) === said.at(-1) ? true : undefined;
    });
    const read = texts(await listener.history(room));
    expect(read.filter((text) => said.includes(text))).toEqual(said);
    await agree(speaker, listener, room);
  });

  it('what both did while the network was cut becomes one state on both', async () => {
    const { network, parley, synapse } = pair();
    network.splits([parley], [synapse]);
    const said = new Map<string, string[]>();
    const bystanders = new Map<string, Person>();
    for (const { host, guest, room } of rooms) {
      const before = texts(await host.history(room));
      const levels = await host.reads(room, 'm.room.power_levels');
      // The host takes the guest's power away while the guest uses it.
      await host.sets(room, 'm.room.topic', { topic: 'the host’s' });
      await host.sets(room, 'm.room.power_levels', {
        ...levels,
        users: { ...levels.users, [guest.id]: 10 },
      });
      await guest.sets(room, 'm.room.topic', { topic: 'the guest’s' });
      await guest.sets(room, 'm.room.name', { name: 'the guest’s' });
      await guest.sets(room, 'm.room.power_levels', { ...levels, events_default: 10 });
      const [bystander] = await newcomers(guest.server === parley ? parley : synapse, 'bystander');
      await bystander.joins(room);
      bystanders.set(room, bystander);
      await guest.bans(bystander, room);
      said.set(room, [
        ...before,
        ...(await talks(host, room, 'the host, apart', 4)),
        ...(await talks(guest, room, 'the guest, apart', 4)),
      ]);
    }
    network.heals();
    for (const { host, guest, room } of rooms) {
      const last = [
        await host.says(room, 'the host, again'),
        await guest.says(room, 'the guest, again'),
      ];
      await eventually(
        'both are heard',
        async () => {
          await Promise.all([host.event(room, last[1]!), guest.event(room, last[0]!)]);
          return true;
        },
        { timeoutMs: 20_000 },
      );
      await agree(host, guest, room);
      const everything = [...said.get(room)!, 'the host, again', 'the guest, again'];
      await hasRead(host, room, everything);
      await hasRead(guest, room, everything);
      // The host’s word counted for more, so what the guest did with the power taken away is undone.
      expect(await guest.reads(room, 'm.room.topic')).toMatchObject({ topic: 'the host’s' });
      await refused(guest.reads(room, 'm.room.name'), 404, 'M_NOT_FOUND');
      expect((await host.memberships(room))[bystanders.get(room)!.id]).toBe('join');
    }
  });

  it.each(CREATORS)('what %s tells after a long pause is read back whole', async (told) => {
    const [here, away] = inOrder(pair(), told);
    const [[speaker], [listener]] = await Promise.all([
      newcomers(here, 'speaker'),
      newcomers(away, 'listener'),
    ]);
    const room = await speaker.createsRoom({ preset: 'public_chat' });
    await listener.joins(room, here);
    await Promise.all([speaker.syncs(), listener.syncs()]);
    await away.kill();
    const said = await talks(speaker, room, 'at length', 60);
    await speaker.sets(room, 'm.room.topic', { topic: 'something else' });
    said.push(...(await talks(speaker, room, 'in short', 3)));
    // A Synapse keeps what it could not send in memory, and after a restart sends the last event.
    await here.restart();
    await away.start();
    await listener.says(room, 'back again');
    await speaker.seesMessage(room, 'back again');
    await speaker.says(room, 'at last');
    await listener.seesMessage(room, 'at last');
    await agree(speaker, listener, room);
    const read = texts(await listener.history(room));
    expect(read.filter((text) => said.includes(text))).toEqual(said);
    expect(texts(await listener.history(room, 7))).toEqual(read);
  });
});
