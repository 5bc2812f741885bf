/** What people keep on the server: profile, account data, tags, filters. */

import type { Body } from '../lib/http.ts';
import { call, refused } from '../lib/http.ts';
import { logsIn, type Person } from '../lib/person.ts';
import { alpha, someone } from '../lib/world.ts';

const me = (person: Person) => `/user/${encodeURIComponent(person.id)}`;
const profileOf = (person: Person) => `/profile/${encodeURIComponent(person.id)}`;

describe('a profile', () => {
  it('is set by its owner and read by anybody', async () => {
    const alice = await someone('alice');
    await alice.calls('PUT', `${profileOf(alice)}/displayname`, {
      body: { displayname: 'Alice ✨' },
    });
    const avatar_url = 'mxc://example.org/picture';
    await alice.calls('PUT', `${profileOf(alice)}/avatar_url`, { body: { avatar_url } });
    const profile = await call(alpha.clientUrl, 'GET', `/_matrix/client/v3${profileOf(alice)}`);
    expect(profile).toMatchObject({ displayname: 'Alice ✨', avatar_url });
    const one = await alice.calls('GET', `${profileOf(alice)}/displayname`);
    expect(one).toEqual({ displayname: 'Alice ✨' });
  });

  it('shows in the rooms its owner is in', async () => {
    const [alice, bob] = await Promise.all([someone('alice'), someone('bob')]);
    const room = await alice.createsRoom({ preset: 'public_chat' });
    await bob.joins(room);
    await alice.calls('PUT', `${profileOf(alice)}/displayname`, {
      body: { displayname: 'Renamed' },
    });
    const event = await bob.sees(
      room,
      (e) => e.state_key === alice.id && e.content.displayname === 'Renamed',
    );
    expect(event.content.membership).toBe('join');
  });

  it('is nobody else’s to change', async () => {
    const [alice, mallory] = await Promise.all([someone('alice'), someone('mallory')]);
    const change = mallory.calls('PUT', `${profileOf(alice)}/displayname`, {
      body: { displayname: 'x' },
    });
    await refused(change, 403, 'M_FORBIDDEN');
  });

  it('of nobody is not found', async () => {
    const alice = await someone('alice');
    const nobody = alice.calls(
      'GET',
      `/profile/${encodeURIComponent(`@nobody-at-all:${alpha.name}`)}`,
    );
    await refused(nobody, 404, 'M_NOT_FOUND');
  });
});

describe('account data', () => {
  it('reaches the owner’s other sessions', async () => {
    const phone = await someone('alice');
    const laptop = await logsIn(alpha, phone.id);
    await laptop.syncs();
    const content = { wallpaper: { colour: 'teal' }, list: [1, 2, 3] };
    await phone.calls('PUT', `${me(phone)}/account_data/org.example.look`, { body: content });
    const event = await laptop.waitsFor('the data', (r) =>
      r.account_data?.events.find((e: Body) => e.type === 'org.example.look'),
    );
    expect(event.content).toEqual(content);
    expect(await laptop.calls('GET', `${me(phone)}/account_data/org.example.look`)).toEqual(
      content,
    );
  });

  it('can belong to a room', async () => {
    const alice = await someone('alice');
    const room = await alice.createsRoom();
    const path = `${me(alice)}/rooms/${encodeURIComponent(room)}/account_data/org.example.note`;
    await alice.calls('PUT', path, { body: { note: 'nice' } });
    const data = (await alice.syncs()).rooms.join[room].account_data.events;
    expect(data).toContainEqual({ type: 'org.example.note', content: { note: 'nice' } });
    expect(await alice.calls('GET', path)).toEqual({ note: 'nice' });
  });

  it('that was never set is not found', async () => {
    const alice = await someone('alice');
    await refused(
      alice.calls('GET', `${me(alice)}/account_data/org.example.none`),
      404,
      'M_NOT_FOUND',
    );
  });

  it('is private', async () => {
    const [alice, mallory] = await Promise.all([someone('alice'), someone('mallory')]);
    const path = `${me(alice)}/account_data/org.example.secret`;
    await alice.calls('PUT', path, { body: { a: 1 } });
    await refused(mallory.calls('GET', path), 403, 'M_FORBIDDEN');
    await refused(mallory.calls('PUT', path, { body: {} }), 403, 'M_FORBIDDEN');
  });

  it('that the server keeps itself cannot be set by hand', async () => {
    const alice = await someone('alice');
    const room = await alice.createsRoom();
    const path = `${me(alice)}/rooms/${encodeURIComponent(room)}/account_data/m.fully_read`;
    await expect(alice.calls('PUT', path, { body: { event_id: '$x' } })).rejects.toMatchObject({
      status: 405,
      errcode: 'M_BAD_JSON',
    });
  });
});

describe('tags', () => {
  it('sort rooms, and come and go', async () => {
    const alice = await someone('alice');
    const room = await alice.createsRoom();
    const path = `${me(alice)}/rooms/${encodeURIComponent(room)}/tags`;
    await alice.calls('PUT', `${path}/u.work`, { body: { order: 0.5 } });
    expect(await alice.calls('GET', path)).toEqual({ tags: { 'u.work': { order: 0.5 } } });
    const data = (await alice.syncs()).rooms.join[room].account_data.events;
    expect(data).toContainEqual({ type: 'm.tag', content: { tags: { 'u.work': { order: 0.5 } } } });
    await alice.calls('DELETE', `${path}/u.work`);
    expect(await alice.calls('GET', path)).toEqual({ tags: {} });
  });
});

describe('a filter', () => {
  async function roomWith(...bodies: string[]) {
    const alice = await someone('alice');
    const room = await alice.createsRoom({ name: 'Filtered' });
    for (const body of bodies) await alice.says(room, body);
    return { alice, room };
  }

  it('is kept and given back', async () => {
    const alice = await someone('alice');
    const filter = { room: { timeline: { limit: 3 } }, event_fields: ['type', 'content.body'] };
    const { filter_id } = await alice.calls('POST', `${me(alice)}/filter`, { body: filter });
    expect(await alice.calls('GET', `${me(alice)}/filter/${filter_id}`)).toMatchObject(filter);
    await refused(alice.calls('GET', `${me(alice)}/filter/987654`), 404, 'M_NOT_FOUND');
  });

  it.each(['by its id', 'written out'])('shapes a sync, %s', async (how) => {
    const { alice, room } = await roomWith('one', 'two', 'three');
    const filter = {
      room: {
        timeline: { limit: 2, types: ['m.room.message'] },
        state: { types: ['m.room.name'] },
        ephemeral: { types: [] },
      },
      presence: { types: [] },
    };
    const stored = how === 'by its id';
    const named = stored
      ? (await alice.calls('POST', `${me(alice)}/filter`, { body: filter })).filter_id
      : JSON.stringify(filter);
    const { timeline, state } = (await alice.syncs({ filter: named })).rooms.join[room];
    expect(timeline.events.map((e: Body) => e.content.body)).toEqual(['two', 'three']);
    expect(state.events.map((e: Body) => e.type)).toEqual(['m.room.name']);
  });

  it('leaves out rooms and senders', async () => {
    const { alice, room } = await roomWith('mine');
    const other = await alice.createsRoom();
    const without = JSON.stringify({ room: { not_rooms: [other] } });
    expect(Object.keys((await alice.syncs({ filter: without })).rooms.join)).toEqual([room]);
    alice.since = undefined;
    const silent = JSON.stringify({ room: { timeline: { not_senders: [alice.id] } } });
    expect((await alice.syncs({ filter: silent })).rooms.join[room].timeline.events).toEqual([]);
  });

  it('of wildcards and of what a message contains', async () => {
    const { alice, room } = await roomWith('plain');
    await alice.sends(room, 'm.room.message', {
      msgtype: 'm.image',
      body: 'picture',
      url: 'mxc://x/y',
    });
    const bodies = async (timeline: object) => {
      alice.since = undefined;
      const filter = JSON.stringify({ room: { timeline } });
      const { events } = (await alice.syncs({ filter })).rooms.join[room].timeline;
      return events.map((e: Body) => e.content.body).filter(Boolean);
    };
    expect(await bodies({ types: ['m.room.mess*'] })).toEqual(['plain', 'picture']);
    expect(await bodies({ types: ['m.room.message'], contains_url: true })).toEqual(['picture']);
    expect(await bodies({ types: ['m.room.message'], contains_url: false })).toEqual(['plain']);
  });

  it('lazy-loads members: those who spoke, and no others', async () => {
    const [alice, bob, carol] = await Promise.all([
      someone('alice'),
      someone('bob'),
      someone('carol'),
    ]);
    const room = await alice.createsRoom({ preset: 'public_chat', name: 'Lazy' });
    await Promise.all([bob.joins(room), carol.joins(room)]);
    for (let i = 0; i < 3; i++) await bob.says(room, `bob ${i}`);
    const filter = JSON.stringify({
      room: { timeline: { limit: 3 }, state: { lazy_load_members: true } },
    });
    const { state, summary } = (await alice.syncs({ filter })).rooms.join[room];
    const members = state.events.filter((e: Body) => e.type === 'm.room.member');
    expect(members.map((e: Body) => e.state_key).sort()).toEqual([alice.id, bob.id].sort());
    expect(summary['m.joined_member_count']).toBe(3);
  });
});
