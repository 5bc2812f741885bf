/** Coming and going. https://spec.matrix.org/v1.19/client-server-api/#room-membership */

import { refused } from '../lib/http.ts';
import { someone } from '../lib/world.ts';

const people = async <const Names extends readonly string[]>(...names: Names) =>
  (await Promise.all(names.map((name) => someone(name)))) as {
    [I in keyof Names]: Awaited<ReturnType<typeof someone>>;
  };

describe('an invitation', () => {
  it('appears with what the invited person needs to decide, and can be accepted', async () => {
    const [alice, bob] = await people('alice', 'bob');
    const room = await alice.createsRoom({ preset: 'private_chat', name: 'The shed' });
    await alice.invites(bob, room);
    const stripped = await bob.seesInvite(room);
    const types = stripped.map((event) => event.type);
    expect(types).toContain('m.room.create');
    expect(stripped.find((event) => event.type === 'm.room.name')?.content.name).toBe('The shed');
    const own = stripped.find((event) => event.state_key === bob.id);
    expect(own).toMatchObject({ sender: alice.id, content: { membership: 'invite' } });
    await bob.joins(room);
    await alice.seesMembership(room, bob, 'join');
    expect(await alice.memberships(room)).toEqual({ [alice.id]: 'join', [bob.id]: 'join' });
  });

  it('is needed for a private room', async () => {
    const [alice, mallory] = await people('alice', 'mallory');
    const room = await alice.createsRoom({ preset: 'private_chat' });
    await refused(mallory.joins(room), 403, 'M_FORBIDDEN');
    await refused(mallory.invites(mallory, room), 403, 'M_FORBIDDEN');
  });

  it('can be declined, and then no longer shows', async () => {
    const [alice, bob] = await people('alice', 'bob');
    const room = await alice.createsRoom({ preset: 'private_chat' });
    await alice.invites(bob, room);
    await bob.seesInvite(room);
    await bob.leaves(room);
    await alice.seesMembership(room, bob, 'leave');
    bob.since = undefined;
    expect((await bob.syncs()).rooms?.invite?.[room]).toBeUndefined();
    await refused(bob.joins(room), 403, 'M_FORBIDDEN');
  });

  it('comes with the room when its maker asks for it', async () => {
    const [alice, bob] = await people('alice', 'bob');
    const and = { invite: [bob.id], is_direct: true };
    const room = await alice.createsRoom({ preset: 'trusted_private_chat', and });
    const stripped = await bob.seesInvite(room);
    const own = stripped.find((event) => event.state_key === bob.id);
    expect(own?.content).toMatchObject({ membership: 'invite', is_direct: true });
  });

  it('cannot go to someone who is there already, or is banned', async () => {
    const [alice, bob, mallory] = await people('alice', 'bob', 'mallory');
    const room = await alice.createsRoom({ preset: 'public_chat' });
    await bob.joins(room);
    await alice.bans(mallory, room);
    await refused(alice.invites(bob, room), 403, 'M_FORBIDDEN');
    await refused(alice.invites(mallory, room), 403, 'M_FORBIDDEN');
  });
});

describe('leaving', () => {
  it('ends the flow of messages and keeps what was there', async () => {
    const [alice, bob] = await people('alice', 'bob');
    const room = await alice.createsRoom({ preset: 'public_chat' });
    await bob.joins(room);
    await alice.says(room, 'before');
    await bob.seesMessage(room, 'before');
    await bob.leaves(room);
    await alice.says(room, 'after');
    await bob.waitsFor('the room among those left', (r) => r.rooms?.leave?.[room]);
    const bodies = (await bob.history(room)).map((event) => event.content.body);
    expect(bodies).toContain('before');
    expect(bodies).not.toContain('after');
    await refused(bob.says(room, 'still here?'), 403, 'M_FORBIDDEN');
  });

  it('can be followed by forgetting, but not preceded by it', async () => {
    const [alice, bob] = await people('alice', 'bob');
    const room = await alice.createsRoom({ preset: 'public_chat' });
    await bob.joins(room);
    await refused(bob.forgets(room), 400, 'M_UNKNOWN');
    await bob.leaves(room);
    await bob.forgets(room);
    await refused(bob.history(room), 403, 'M_FORBIDDEN');
  });

  it('does not stop a return', async () => {
    const [alice, bob] = await people('alice', 'bob');
    const room = await alice.createsRoom({ preset: 'public_chat' });
    await bob.joins(room);
    await bob.leaves(room);
    await bob.joins(room);
    const heard = await alice.says(room, 'welcome back');
    await bob.sees(room, heard);
  });
});

describe('kicking and banning', () => {
  it('a kick removes, tells why, and lets back in', async () => {
    const [alice, bob] = await people('alice', 'bob');
    const room = await alice.createsRoom({ preset: 'public_chat' });
    await bob.joins(room);
    await bob.syncs();
    await alice.kicks(bob, room, 'too loud');
    const left = await bob.waitsFor('being kicked', (r) => r.rooms?.leave?.[room]);
    expect(left.timeline.events.at(-1)).toMatchObject({
      sender: alice.id,
      state_key: bob.id,
      content: { membership: 'leave', reason: 'too loud' },
    });
    await bob.joins(room);
  });

  it('a ban keeps out until it is lifted', async () => {
    const [alice, bob] = await people('alice', 'bob');
    const room = await alice.createsRoom({ preset: 'public_chat' });
    await bob.joins(room);
    await alice.bans(bob, room);
    expect((await alice.memberships(room))[bob.id]).toBe('ban');
    await refused(bob.joins(room), 403, 'M_FORBIDDEN');
    await alice.unbans(bob, room);
    await bob.joins(room);
  });

  it('needs more power than the person it meets', async () => {
    const [alice, bob, carol] = await people('alice', 'bob', 'carol');
    const room = await alice.createsRoom({ preset: 'public_chat', version: '11' });
    await Promise.all([bob.joins(room), carol.joins(room)]);
    await refused(bob.kicks(carol, room), 403, 'M_FORBIDDEN');
    await refused(bob.bans(alice, room), 403, 'M_FORBIDDEN');
    const levels = await alice.reads(room, 'm.room.power_levels');
    const users = { ...levels.users, [bob.id]: 50, [carol.id]: 50 };
    await alice.sets(room, 'm.room.power_levels', { ...levels, users });
    await refused(bob.kicks(carol, room), 403, 'M_FORBIDDEN');
    await alice.sets(room, 'm.room.power_levels', {
      ...levels,
      users: { ...levels.users, [bob.id]: 50 },
    });
    await bob.kicks(carol, room);
    expect((await alice.memberships(room))[carol.id]).toBe('leave');
  });
});

describe('knocking', () => {
  it('asks to come in, and an invitation answers', async () => {
    const [alice, bob] = await people('alice', 'bob');
    const room = await alice.createsRoom({ preset: 'private_chat' });
    await refused(bob.knocksOn(room), 403, 'M_FORBIDDEN');
    await alice.sets(room, 'm.room.join_rules', { join_rule: 'knock' });
    await bob.knocksOn(room);
    await bob.waitsFor('the room among those knocked on', (r) => r.rooms?.knock?.[room]);
    await alice.seesMembership(room, bob, 'knock');
    await refused(bob.joins(room), 403, 'M_FORBIDDEN');
    await alice.invites(bob, room);
    await bob.joins(room);
  });
});

describe('a restricted room', () => {
  it('lets in members of the room it names, and nobody else', async () => {
    const [alice, bob, mallory] = await people('alice', 'bob', 'mallory');
    const club = await alice.createsRoom({ preset: 'public_chat' });
    const room = await alice.createsRoom({ preset: 'private_chat' });
    await alice.sets(room, 'm.room.join_rules', {
      join_rule: 'restricted',
      allow: [{ type: 'm.room_membership', room_id: club }],
    });
    await refused(mallory.joins(room), 403, 'M_FORBIDDEN');
    await bob.joins(club);
    await bob.joins(room);
    expect((await alice.memberships(room))[bob.id]).toBe('join');
  });
});
