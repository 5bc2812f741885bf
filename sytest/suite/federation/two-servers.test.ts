/** A room across servers. https://spec.matrix.org/v1.19/server-server-api/#joining-rooms */

import { refused } from '../../lib/http.ts';
import { alpha, beta, gamma, someone } from '../../lib/world.ts';

describe.each(['10', '11', '12'])('in room version %s', (version) => {
  async function sharedRoom() {
    const [alice, bob] = await Promise.all([someone('alice', alpha), someone('bob', beta)]);
    const room = await alice.createsRoom({ preset: 'public_chat', version });
    await bob.joins(room, alpha);
    return { alice, bob, room };
  }

  it('a person of another server joins, and both talk', async () => {
    const { alice, bob, room } = await sharedRoom();
    await alice.seesMembership(room, bob, 'join');
    const question = await alice.says(room, 'Can you hear me over there?');
    expect((await bob.sees(room, question)).sender).toBe(alice.id);
    const answer = await bob.says(room, 'Perfectly.');
    expect((await alice.sees(room, answer)).content.body).toBe('Perfectly.');
  });

  it('both servers hold the same state', async () => {
    const { alice, bob, room } = await sharedRoom();
    await alice.sets(room, 'm.room.topic', { topic: 'weather' });
    await bob.sees(room, (event) => event.type === 'm.room.topic');
    const idsFor = async (person: typeof alice) =>
      (await person.state(room)).map((event) => event.event_id).sort();
    expect(await idsFor(bob)).toEqual(await idsFor(alice));
  });

  it('an invitation crosses over, and is accepted or declined', async () => {
    const [alice, bob, carol] = await Promise.all([
      someone('alice', alpha),
      someone('bob', beta),
      someone('carol', beta),
    ]);
    const room = await alice.createsRoom({ preset: 'private_chat', version, name: 'Shed' });
    await Promise.all([alice.invites(bob, room), alice.invites(carol, room)]);
    const stripped = await bob.seesInvite(room);
    expect(stripped.find((event) => event.type === 'm.room.name')?.content.name).toBe('Shed');
    await carol.seesInvite(room);
    await bob.joins(room, alpha);
    await carol.leaves(room);
    await alice.seesMembership(room, bob, 'join');
    await alice.seesMembership(room, carol, 'leave');
  });

  it('a private room lets nobody in uninvited', async () => {
    const [alice, mallory] = await Promise.all([someone('alice', alpha), someone('mallory', beta)]);
    const room = await alice.createsRoom({ preset: 'private_chat', version });
    await refused(mallory.joins(room, alpha), 403, 'M_FORBIDDEN');
  });

  it('a kick and a ban reach the other server', async () => {
    const { alice, bob, room } = await sharedRoom();
    await bob.syncs();
    await alice.kicks(bob, room, 'enough');
    const left = await bob.waitsFor('being kicked', (r) => r.rooms?.leave?.[room]);
    expect(left.timeline.events.at(-1).content).toMatchObject({ reason: 'enough' });
    await bob.joins(room, alpha);
    await alice.bans(bob, room);
    await bob.waitsFor('being banned', (r) => r.rooms?.leave?.[room]);
    await refused(bob.joins(room, alpha), 403, 'M_FORBIDDEN');
  });

  it('a redaction empties the message on both sides', async () => {
    const { alice, bob, room } = await sharedRoom();
    const secret = await alice.says(room, 'my password is hunter2');
    await bob.sees(room, secret);
    const redaction = await alice.redacts(room, secret, 'oops');
    await bob.sees(room, redaction);
    for (const person of [alice, bob]) {
      expect((await person.event(room, secret)).content).toEqual({});
    }
  });

  it('the history from before a join can be paged to its beginning', async () => {
    const [alice, bob] = await Promise.all([someone('alice', alpha), someone('bob', beta)]);
    const room = await alice.createsRoom({ preset: 'public_chat', version });
    const said: string[] = [];
    for (let i = 0; i < 30; i++) said.push(await alice.says(room, `before you came ${i}`));
    await bob.joins(room, alpha);
    const history = await bob.history(room, 9);
    const ids = history.map((event) => event.event_id);
    expect(ids.filter((id) => said.includes(id))).toEqual(said);
    expect(history[0]).toMatchObject({ type: 'm.room.create' });
  });

  it('a restricted room lets in whoever is in the room it names', async () => {
    const [alice, bob, mallory] = await Promise.all([
      someone('alice', alpha),
      someone('bob', beta),
      someone('mallory', beta),
    ]);
    const club = await alice.createsRoom({ preset: 'public_chat', version });
    const room = await alice.createsRoom({ preset: 'private_chat', version });
    await alice.sets(room, 'm.room.join_rules', {
      join_rule: 'restricted',
      allow: [{ type: 'm.room_membership', room_id: club }],
    });
    await refused(mallory.joins(room, alpha), 403, 'M_FORBIDDEN');
    await bob.joins(club, alpha);
    await bob.joins(room, alpha);
    const joined = await alice.seesMembership(room, bob, 'join');
    expect(joined.content.join_authorised_via_users_server).toBe(alice.id);
  });

  it('a knock from another server is heard and answered', async () => {
    const [alice, bob] = await Promise.all([someone('alice', alpha), someone('bob', beta)]);
    const room = await alice.createsRoom({ preset: 'private_chat', version });
    await alice.sets(room, 'm.room.join_rules', { join_rule: 'knock' });
    await bob.knocksOn(room, alpha);
    await bob.waitsFor('the room among those knocked on', (r) => r.rooms?.knock?.[room]);
    await alice.seesMembership(room, bob, 'knock');
    await alice.invites(bob, room);
    await bob.seesInvite(room);
    await bob.joins(room, alpha);
  });
});

describe('three servers', () => {
  it('hear each other, whoever they joined through', async () => {
    const people = await Promise.all([
      someone('alice', alpha),
      someone('bob', beta),
      someone('carol', gamma),
    ]);
    const [alice, bob, carol] = people;
    const room = await alice.createsRoom({ preset: 'public_chat' });
    await bob.joins(room, alpha);
    await carol.joins(room, beta);
    for (const speaker of people) {
      const said = await speaker.says(room, `${speaker.id} speaks`);
      await Promise.all(people.map((listener) => listener.sees(room, said)));
    }
  });

  it('join through the second candidate when the first cannot help', async () => {
    const [alice, carol] = await Promise.all([someone('alice', alpha), someone('carol', gamma)]);
    const room = await alice.createsRoom({ preset: 'public_chat' });
    await carol.joins(room, beta, alpha);
    await alice.seesMembership(room, carol, 'join');
  });

  it('find a room by its alias on another server', async () => {
    const [alice, bob] = await Promise.all([someone('alice', alpha), someone('bob', beta)]);
    const local = `room-${Math.random().toString(36).slice(2)}`;
    const and = { room_alias_name: local };
    const room = await alice.createsRoom({ preset: 'public_chat', and });
    expect(await bob.joins(`#${local}:${alpha.name}`)).toBe(room);
  });
});

describe('what is not an event', () => {
  it('typing and receipts cross over', async () => {
    const [alice, bob] = await Promise.all([someone('alice', alpha), someone('bob', beta)]);
    const room = await alice.createsRoom({ preset: 'public_chat' });
    await bob.joins(room, alpha);
    const said = await alice.says(room, 'read me');
    await bob.sees(room, said);
    const ephemeral =
      (type: string) =>
      (r: {
        rooms?: {
          join?: Record<
            string,
            { ephemeral?: { events: { type: string; content: Record<string, unknown> }[] } }
          >;
        };
      }) =>
        r.rooms?.join?.[room]?.ephemeral?.events.find((event) => event.type === type)?.content;
    const path = `/rooms/${encodeURIComponent(room)}`;
    await bob.calls('PUT', `${path}/typing/${bob.id}`, { body: { typing: true, timeout: 20_000 } });
    const typing = await alice.waitsFor('bob typing', ephemeral('m.typing'));
    expect(typing['user_ids']).toEqual([bob.id]);
    await bob.calls('POST', `${path}/receipt/m.read/${encodeURIComponent(said)}`, { body: {} });
    const receipts = await alice.waitsFor('a receipt', ephemeral('m.receipt'));
    expect(receipts).toHaveProperty([said, 'm.read', bob.id, 'ts']);
  });

  it('profiles are asked for across servers', async () => {
    const [alice, bob] = await Promise.all([someone('alice', alpha), someone('bob', beta)]);
    await alice.calls('PUT', `/profile/${alice.id}/displayname`, {
      body: { displayname: 'Alice' },
    });
    const profile = await bob.calls('GET', `/profile/${alice.id}`);
    expect(profile.displayname).toBe('Alice');
  });
});
