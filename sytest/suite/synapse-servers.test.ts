/**
 * What a Parley and a live Synapse tell each other besides the plain life of a room: presence,
 * directories, rooms out of the ordinary, a third server. Runs where Synapse is installed; see
 * `findSynapse`. https://spec.matrix.org/v1.19/server-server-api/
 */

import { type Body, refused } from '../lib/http.ts';
import { parley } from '../lib/parley.ts';
import { type Person, registers, segment } from '../lib/person.ts';
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

besideSynapse((pair) => {
  describe.each(CREATORS)('for people of %s and their guests', (creator) => {
    let host: Person;
    let guest: Person;
    const home = () => inOrder(pair(), creator)[0];
    const away = () => inOrder(pair(), creator)[1];

    beforeEach(async () => {
      [[host], [guest]] = await Promise.all([
        newcomers(home(), 'host'),
        newcomers(away(), 'guest'),
      ]);
    });

    const publicRoom = (version: string, and: object = {}) =>
      host.createsRoom({ preset: 'public_chat', version, and });

    it('shows who is there', async () => {
      const room = await publicRoom('12');
      await guest.joins(room, home());
      await guest.syncs();
      const body = { presence: 'online', status_msg: 'hello there' };
      await host.calls('PUT', `/presence/${segment(host.id)}/status`, { body });
      const isHost = ({ sender, content }: Body) =>
        sender === host.id && content.status_msg === 'hello there';
      await guest.waitsFor('the host', (sync) => sync.presence?.events?.find(isHost));
    });

    it('lists and searches the other’s public rooms', async () => {
      const name = `To be found on ${creator}`;
      const room = await publicRoom('12', { visibility: 'public', name });
      const query = { server: home().name };
      const listed = await eventually('the room is listed', async () => {
        const { chunk } = await guest.calls('GET', '/publicRooms', { query });
        return chunk.find((each: Body) => each.room_id === room);
      });
      expect(listed).toMatchObject({ name, num_joined_members: 1, join_rule: 'public' });
      const search = async (term: string) => {
        const body = { limit: 10, filter: { generic_search_term: term } };
        const { chunk } = await guest.calls('POST', '/publicRooms', { query, body });
        return chunk.map((each: Body) => each.room_id);
      };
      expect(await search('TO BE FOUND')).toEqual([room]);
      expect(await search('nowhere to be seen')).toEqual([]);
    });

    it('lets a guest be one of the room’s creators', async () => {
      const room = await publicRoom('12', {
        creation_content: { additional_creators: [guest.id] },
      });
      await guest.joins(room, home());
      await host.syncs();
      const levels = await guest.reads(room, 'm.room.power_levels');
      const changed = { ...levels, events_default: 7 };
      await host.sees(room, await guest.sets(room, 'm.room.power_levels', changed));
      await agree(host, guest, room);
    });

    it('keeps from a newcomer what only members may read', async () => {
      const content = { history_visibility: 'joined' };
      const room = await publicRoom('11', {
        initial_state: [{ type: 'm.room.history_visibility', state_key: '', content }],
      });
      await talks(host, room, 'between us', 25);
      await guest.joins(room, home());
      const open = await talks(host, room, 'for all', 3);
      await guest.seesMessage(room, open.at(-1)!);
      expect(texts(await guest.history(room))).toEqual(open);
      await agree(host, guest, room);
    });

    it.each(VERSIONS)(
      'shows a newcomer what was taken back as it is, in version %s',
      async (version) => {
        const room = await publicRoom(version);
        const rules = (await host.state(room)).find(({ type }) => type === 'm.room.join_rules')!;
        const odd = { nested: { list: [1, 'ü', null] }, large: Number.MAX_SAFE_INTEGER };
        const regretted = [
          await host.sets(room, 'm.room.topic', { topic: 'a regret' }),
          await host.sets(room, 'org.example.odd', odd, 'kéy/x y'),
          await host.says(room, 'a regret'),
          rules.event_id,
        ];
        for (const eventId of regretted) await host.redacts(room, eventId);
        await talks(host, room, 'since then', 25);
        await guest.joins(room, home());
        await agree(host, guest, room);
        expect(await guest.reads(room, 'm.room.topic')).toEqual({});
        expect(await guest.reads(room, 'm.room.join_rules')).toEqual({ join_rule: 'public' });
        const history = await guest.history(room);
        const ids = (events: typeof history) => events.map((event) => event.event_id);
        expect(ids(history)).toEqual(ids(await host.history(room)));
        const message = history.find((event) => event.event_id === regretted[2]);
        expect(message?.content).toEqual({});
      },
    );

    it('carries any JSON, and large messages, both ways', async () => {
      const room = await publicRoom('12');
      await guest.joins(room, home());
      await Promise.all([host.syncs(), guest.syncs()]);
      const odd = {
        body: '🎉 “quotes” \\ \n \u0001 \u2028 \u007f',
        msgtype: 'm.text',
        nested: { empty: {}, list: [1, -5, true, null, 'x'], '💣': 1, ﬀ: 2, é: 3, '': 4 },
        numbers: [Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER],
      };
      const large = { body: 'é'.repeat(30_000), msgtype: 'm.text' };
      for (const [one, other] of [
        [host, guest],
        [guest, host],
      ] as const) {
        for (const content of [odd, large]) {
          const said = await one.sends(room, 'm.room.message', content);
          expect((await other.sees(room, said)).content).toEqual(content);
        }
      }
    });

    it('takes in many at once, again and again', async () => {
      const people = await newcomers(away(), 'a', 'b', 'c', 'd', 'e', 'f');
      const room = await publicRoom('12');
      const everyone = (membership: string) =>
        eventually(`all are at ${membership}`, async () => {
          const now = await host.memberships(room);
          return people.every(({ id }) => now[id] === membership) ? true : undefined;
        });
      await Promise.all(people.map((person) => person.joins(room, home())));
      await Promise.all(people.map((person) => person.says(room, `I am ${person.id}`)));
      for (const { id } of people) await host.seesMessage(room, `I am ${id}`);
      await agree(host, people[0], room);
      await Promise.all(people.map((person) => person.leaves(room)));
      await everyone('leave');
      await host.says(room, 'alone');
      await Promise.all(people.map((person) => person.joins(room, home())));
      await everyone('join');
      await agree(host, people[0], room);
    });

    it('keeps a server out of a room whose access list denies it, and of no other', async () => {
      const [room, other] = [await publicRoom('12'), await publicRoom('11')];
      await guest.joins(room, home());
      await Promise.all([host.syncs(), guest.syncs()]);
      const denied = away().name.replace(/.:\d+$/, '?');
      const acl = { allow: ['*'], deny: [denied], allow_ip_literals: true };
      await guest.sees(room, await host.sets(room, 'm.room.server_acl', acl));
      const closed = await publicRoom('12', {
        initial_state: [{ type: 'm.room.server_acl', state_key: '', content: acl }],
      });
      await refused(guest.joins(closed, home()), 403, 'M_FORBIDDEN');
      const unheard = await guest.says(room, 'not to be heard');
      // What is said in another room comes after it.
      await guest.joins(other, home());
      await guest.says(other, 'to be heard');
      await host.seesMessage(other, 'to be heard');
      await refused(host.event(room, unheard), 404, 'M_NOT_FOUND');
      const open = { allow: ['*'], deny: [] };
      await guest.sees(room, await host.sets(room, 'm.room.server_acl', open));
      await guest.says(room, 'heard again');
      await host.seesMessage(room, 'heard again');
      await agree(host, guest, room);
    });

    it('tells a third server that came in through the guest’s', async () => {
      const third = await pair().network.adds(parley());
      const carol = await registers(third, `carol-${creator.toLowerCase()}`);
      const room = await publicRoom('12');
      const said = await talks(host, room, 'long ago', 15);
      await guest.joins(room, home());
      await carol.joins(room, away());
      await host.seesMembership(room, carol, 'join');
      const all = [host, guest, carol];
      await Promise.all(all.map((person) => person.syncs()));
      for (const person of all) said.push(`I am ${person.id}`);
      for (const person of all) await person.says(room, `I am ${person.id}`);
      for (const person of all) {
        for (const text of said.slice(-3)) await person.seesMessage(room, text);
        await agree(host, person, room);
      }
      expect(texts(await carol.history(room)).sort()).toEqual([...said].sort());

      // Who is in the first room may come into the second, but only its own server can say so.
      const allow = [{ type: 'm.room_membership', room_id: room }];
      const content = { join_rule: 'restricted', allow };
      const restricted = await host.createsRoom({
        preset: 'private_chat',
        and: { initial_state: [{ type: 'm.room.join_rules', state_key: '', content }] },
      });
      await guest.joins(restricted, home());
      await carol.joins(restricted, away(), home());
      await host.seesMembership(restricted, carol, 'join');
      await host.kicks(carol, restricted);
      await carol.waitsFor('the kick', (body) => body.rooms?.leave?.[restricted]);
      await host.invites(carol, restricted);
      await carol.seesInvite(restricted);
      await carol.joins(restricted, away());
      await agree(host, carol, restricted);
      await agree(host, guest, restricted);
      await third.stop();
    });
  });
});
