/**
 * Rooms shared with a live Synapse, made by either side, in the room versions people use. Runs where
 * Synapse is installed; see `findSynapse`.
 * https://spec.matrix.org/v1.19/server-server-api/
 */

import { type Body, refused } from '../lib/http.ts';
import { type Person, segment } from '../lib/person.ts';
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

const inRoom = (room: string, rest: string) => `/rooms/${segment(room)}${rest}`;

const ephemeral = (room: string, type: string, find: (content: Body) => boolean) => (body: Body) =>
  body.rooms?.join?.[room]?.ephemeral?.events.find(
    (event: Body) => event.type === type && find(event.content),
  );

/** Waits until somebody reads this content at an event, as a redaction changes it. */
const readsEventAs = (person: Person, room: string, eventId: string, content: object) =>
  eventually(`${eventId} reads ${JSON.stringify(content)}`, async () => {
    const event = await person.event(room, eventId);
    return JSON.stringify(event.content) === JSON.stringify(content) ? event : undefined;
  });

const CASES = VERSIONS.flatMap((version) => CREATORS.map((creator) => [version, creator] as const));

besideSynapse((pair) => {
  describe.each(CASES)('a room of version %s made on %s', (version, creator) => {
    let host: Person;
    let guest: Person;
    let room: string;
    const via = () => inOrder(pair(), creator)[0];

    beforeAll(async () => {
      const [home, away] = inOrder(pair(), creator);
      [[host], [guest]] = await Promise.all([newcomers(home, 'host'), newcomers(away, 'guest')]);
      room = await host.createsRoom({ preset: 'public_chat', version, name: 'Shared' });
      await guest.joins(room, home);
      await Promise.all([host.syncs(), guest.syncs()]);
    });

    const freshRoom = async (and: object = {}) =>
      host.createsRoom({ preset: 'private_chat', version, and });

    it('is the same on both sides after the join', async () => {
      const state = await agree(host, guest, room);
      expect(state.filter((entry) => entry.startsWith('m.room.member'))).toHaveLength(2);
    });

    it('carries messages both ways', async () => {
      const question = await host.says(room, 'Is anybody there?');
      expect((await guest.seesMessage(room, 'Is anybody there?')).event_id).toBe(question);
      const answer = await guest.says(room, 'I am.');
      expect((await host.sees(room, answer)).content.body).toBe('I am.');
    });

    it('carries state both ways, once the guest may set it', async () => {
      const topic = await host.sets(room, 'm.room.topic', { topic: 'What the host says' });
      await guest.sees(room, topic);
      const levels = await host.reads(room, 'm.room.power_levels');
      levels.users = { ...levels.users, [guest.id]: 100 };
      await guest.sees(room, await host.sets(room, 'm.room.power_levels', levels));
      await host.sees(room, await guest.sets(room, 'm.room.topic', { topic: 'Now the guest’s' }));
      expect(await host.reads(room, 'm.room.topic')).toMatchObject({ topic: 'Now the guest’s' });
      const lowered = { ...levels, events_default: 10, users: { ...levels.users, [guest.id]: 50 } };
      await host.sees(room, await guest.sets(room, 'm.room.power_levels', lowered));
      await agree(host, guest, room);
    });

    it('shows who is typing, and how far each has read', async () => {
      for (const [one, other] of [
        [host, guest],
        [guest, host],
      ] as const) {
        const typing = (is: boolean) =>
          one.calls('PUT', inRoom(room, `/typing/${segment(one.id)}`), {
            body: is ? { typing: true, timeout: 20_000 } : { typing: false },
          });
        await typing(true);
        const isTyping = (content: Body) => content.user_ids.includes(one.id);
        await other.waitsFor('typing', ephemeral(room, 'm.typing', isTyping));
        await typing(false);
        const isNot = (content: Body) => !content.user_ids.includes(one.id);
        await other.waitsFor('no typing', ephemeral(room, 'm.typing', isNot));
        const said = await other.says(room, 'read this');
        await one.sees(room, said);
        await one.calls('POST', inRoom(room, `/receipt/m.read/${segment(said)}`), { body: {} });
        const isRead = (content: Body) => content[said]?.['m.read']?.[one.id]?.ts > 0;
        await other.waitsFor('a receipt', ephemeral(room, 'm.receipt', isRead));
      }
    });

    it('takes messages back on both sides, one’s own and a guest’s', async () => {
      const own = await host.says(room, 'the host regrets');
      await guest.sees(room, own);
      await host.redacts(room, own, 'a regret');
      await readsEventAs(guest, room, own, {});
      const guests = await guest.says(room, 'the guest regrets');
      await host.sees(room, guests);
      await guest.redacts(room, guests);
      await readsEventAs(host, room, guests, {});
      const rude = await guest.says(room, 'something rude');
      await host.sees(room, rude);
      const redaction = await host.redacts(room, rude);
      const redacted = await readsEventAs(guest, room, rude, {});
      expect(redacted.unsigned?.redacted_because).toMatchObject({
        event_id: redaction,
        sender: host.id,
      });
    });

    it('shows new names and pictures of people', async () => {
      for (const [one, other] of [
        [host, guest],
        [guest, host],
      ] as const) {
        const displayname = `A new name on ${one.server.name}`;
        const path = `/profile/${segment(one.id)}/displayname`;
        await one.calls('PUT', path, { body: { displayname } });
        await other.sees(
          room,
          (e) => e.state_key === one.id && e.content.displayname === displayname,
        );
        const profile = await other.calls('GET', `/profile/${segment(one.id)}`);
        expect(profile).toMatchObject({ displayname });
      }
    });

    it('is found by aliases on either side', async () => {
      const [home, away] = inOrder(pair(), creator);
      const local = `shared-${version}-${creator.toLowerCase()}`;
      const [latecomer] = await newcomers(away, 'latecomer');
      const [neighbour] = await newcomers(home, 'neighbour');
      for (const [owner, finder] of [
        [host, latecomer],
        [guest, neighbour],
      ] as const) {
        const alias = `#${local}:${owner.server.name}`;
        const path = `/directory/room/${segment(alias)}`;
        await owner.calls('PUT', path, { body: { room_id: room } });
        const found = await finder.calls('GET', path);
        expect(found.room_id).toBe(room);
        expect(found.servers).toContain(owner.server.name);
        expect(await finder.joins(alias)).toBe(room);
        await owner.seesMembership(room, finder, 'join');
        await finder.leaves(room);
        await owner.seesMembership(room, finder, 'leave');
      }
      const unknown = `#nowhere-${local}:${home.name}`;
      const unfound = latecomer.calls('GET', `/directory/room/${segment(unknown)}`);
      await refused(unfound, 404, 'M_NOT_FOUND');
    });

    it('takes invitations, which can be accepted, declined and taken back', async () => {
      const shed = await freshRoom({ name: 'The shed' });
      await host.invites(guest, shed);
      const stripped = await guest.seesInvite(shed);
      expect(stripped.find(({ type }) => type === 'm.room.name')?.content.name).toBe('The shed');
      expect(stripped.find(({ state_key }) => state_key === guest.id)).toMatchObject({
        sender: host.id,
        content: { membership: 'invite' },
      });
      await guest.joins(shed, via());
      await host.seesMembership(shed, guest, 'join');
      await agree(host, guest, shed);

      const unwanted = await freshRoom({ invite: [guest.id] });
      await guest.seesInvite(unwanted);
      await guest.leaves(unwanted);
      await host.seesMembership(unwanted, guest, 'leave');
      await refused(guest.joins(unwanted, via()), 403, 'M_FORBIDDEN');

      const mistaken = await freshRoom({ invite: [guest.id] });
      await guest.seesInvite(mistaken);
      await host.kicks(guest, mistaken, 'a mistake');
      await guest.waitsFor('the invite taken back', (body) => body.rooms?.leave?.[mistaken]);
      guest.since = undefined;
      expect((await guest.syncs()).rooms?.invite?.[mistaken]).toBeUndefined();

      // From the guest's side, into a room that is not theirs.
      const [friend] = await newcomers(inOrder(pair(), creator)[0], 'friend');
      await guest.invites(friend, room);
      await friend.seesInvite(room);
      await friend.joins(room);
      await guest.seesMembership(room, friend, 'join');
    });

    it('kicks, bans, lets back in, and lets go', async () => {
      const [away] = inOrder(pair(), creator).slice(1);
      const [rowdy] = await newcomers(away!, 'rowdy');
      const hall = await host.createsRoom({ preset: 'public_chat', version });
      await rowdy.joins(hall, via());
      await rowdy.syncs();
      await host.kicks(rowdy, hall, 'go home');
      const gone = await rowdy.waitsFor('the kick', (body) => body.rooms?.leave?.[hall]);
      expect(gone.timeline.events.at(-1)).toMatchObject({
        sender: host.id,
        content: { membership: 'leave', reason: 'go home' },
      });
      await refused(rowdy.says(hall, 'not here'), 403, 'M_FORBIDDEN');
      await rowdy.joins(hall, via());
      await host.seesMembership(hall, rowdy, 'join');
      await host.bans(rowdy, hall);
      await rowdy.waitsFor('the ban', (body) => body.rooms?.leave?.[hall]);
      await refused(rowdy.joins(hall, via()), 403, 'M_FORBIDDEN');
      await host.unbans(rowdy, hall);
      await rowdy.joins(hall, via());
      await eventually('the rowdy guest is back', async () =>
        (await host.memberships(hall))[rowdy.id] === 'join' ? true : undefined,
      );
      await rowdy.leaves(hall);
      await eventually('the rowdy guest has left', async () =>
        (await host.memberships(hall))[rowdy.id] === 'leave' ? true : undefined,
      );
      const unheard = await host.says(hall, 'said while away');
      await rowdy.joins(hall, via());
      await agree(host, rowdy, hall);
      const heard = (await rowdy.history(hall)).filter((event) => event.event_id === unheard);
      expect(heard).toHaveLength(1);
    });

    it('gives a newcomer its history, in order and once', async () => {
      const [, away] = inOrder(pair(), creator);
      const [historian] = await newcomers(away, 'historian');
      const old = await host.createsRoom({ preset: 'public_chat', version });
      const said = await talks(host, old, 'long ago', 65);
      await historian.joins(old, via());
      said.push(...(await talks(historian, old, 'since then', 3)));
      const history = await historian.history(old);
      expect(texts(history)).toEqual(said);
      expect(history[0]).toMatchObject({ type: 'm.room.create' });
      const ids = history.map((event) => event.event_id);
      expect(new Set(ids).size).toBe(ids.length);
      await host.seesMessage(old, said.at(-1)!);
      expect(ids).toEqual((await host.history(old)).map((event) => event.event_id));
    });

    it('lets those in who are in another room, and nobody else', async () => {
      const [, away] = inOrder(pair(), creator);
      const [stranger] = await newcomers(away, 'stranger');
      const allow = [{ type: 'm.room_membership', room_id: room }];
      const content = { join_rule: 'restricted', allow };
      const restricted = await freshRoom({
        initial_state: [{ type: 'm.room.join_rules', state_key: '', content }],
      });
      await refused(stranger.joins(restricted, via()), 403, 'M_FORBIDDEN');
      await guest.joins(restricted, via());
      await host.seesMembership(restricted, guest, 'join');
      const member = await guest.reads(restricted, 'm.room.member', guest.id);
      expect(member.join_authorised_via_users_server).toBe(host.id);
      await agree(host, guest, restricted);
      // A second one, now that the server is in the room but cannot authorise.
      const [second] = await newcomers(away, 'second');
      await second.joins(room, via());
      await host.seesMembership(room, second, 'join');
      await second.joins(restricted, via());
      await host.seesMembership(restricted, second, 'join');
      await agree(host, guest, restricted);
    });

    it('takes knocks, which can be taken back and answered', async () => {
      const content = { join_rule: 'knock' };
      const closed = await freshRoom({
        name: 'Closed',
        initial_state: [{ type: 'm.room.join_rules', state_key: '', content }],
      });
      await refused(guest.joins(closed, via()), 403, 'M_FORBIDDEN');
      await guest.knocksOn(closed, via());
      await host.seesMembership(closed, guest, 'knock');
      const knocked = await guest.waitsFor('the knock', (body) => body.rooms?.knock?.[closed]);
      const types = knocked.knock_state.events.map((event: Body) => event.type);
      expect(types).toEqual(expect.arrayContaining(['m.room.name', 'm.room.create']));
      await guest.leaves(closed);
      // A Synapse takes a knock back without telling anyone.
      if (creator === 'Synapse') await host.seesMembership(closed, guest, 'leave');
      await guest.knocksOn(closed, via());
      await eventually('the second knock', async () =>
        (await host.memberships(closed))[guest.id] === 'knock' ? true : undefined,
      );
      await host.invites(guest, closed);
      await guest.seesInvite(closed);
      await guest.joins(closed, via());
      await host.seesMembership(closed, guest, 'join');
      await agree(host, guest, closed);
    });

    it('is followed into the room that replaces it', async () => {
      const old = await host.createsRoom({ preset: 'public_chat', version });
      await guest.joins(old, via());
      await guest.syncs();
      const body = { new_version: version === '10' ? '11' : '12' };
      const upgrade = await host.calls('POST', inRoom(old, '/upgrade'), { body });
      const replacement = upgrade.replacement_room;
      const tombstone = await guest.sees(old, ({ type }) => type === 'm.room.tombstone');
      expect(tombstone.content.replacement_room).toBe(replacement);
      await guest.joins(replacement, via());
      const create = await guest.reads(replacement, 'm.room.create');
      expect(create.predecessor.room_id).toBe(old);
      await agree(host, guest, replacement);
    });
  });
});
