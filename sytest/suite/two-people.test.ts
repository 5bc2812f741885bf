/** Two people talk. https://spec.matrix.org/v1.19/client-server-api/#syncing */

import { someone } from '../lib/world.ts';

async function aliceAndBob() {
  const [alice, bob] = await Promise.all([someone('alice'), someone('bob')]);
  const room = await alice.createsRoom({ preset: 'public_chat' });
  await bob.joins(room);
  return { alice, bob, room };
}

describe('talking', () => {
  it('brings what one says to the other, both ways, by long poll', async () => {
    const { alice, bob, room } = await aliceAndBob();
    await Promise.all([alice.syncs(), bob.syncs()]);
    const hearing = bob.seesMessage(room, 'Is anybody there?');
    const question = await alice.says(room, 'Is anybody there?');
    expect((await hearing).event_id).toBe(question);
    const answer = await bob.says(room, 'I am.');
    const heard = await alice.sees(room, answer);
    expect(heard).toMatchObject({ sender: bob.id, type: 'm.room.message' });
    expect(heard.content).toEqual({ msgtype: 'm.text', body: 'I am.' });
  });

  it('wakes a waiting client well before its timeout', async () => {
    const { alice, bob, room } = await aliceAndBob();
    await bob.syncs();
    const began = Date.now();
    const waiting = bob.syncs({ timeout: 30_000 });
    await alice.says(room, 'wake up');
    const response = await waiting;
    expect(Date.now() - began).toBeLessThan(5_000);
    expect(response.rooms.join[room].timeline.events.at(-1).content.body).toBe('wake up');
  });

  it('returns empty-handed after the timeout, with a token to go on from', async () => {
    const { bob } = await aliceAndBob();
    await bob.syncs();
    const began = Date.now();
    const response = await bob.syncs({ timeout: 300 });
    expect(Date.now() - began).toBeGreaterThanOrEqual(250);
    expect(response.rooms?.join ?? {}).toEqual({});
  });

  it('tells the sender the transaction id of their own message, and nobody else', async () => {
    const { alice, bob, room } = await aliceAndBob();
    const id = await alice.sends(room, 'm.room.message', { msgtype: 'm.text', body: 'x' }, 'txn-1');
    expect((await alice.sees(room, id)).unsigned?.transaction_id).toBe('txn-1');
    expect((await bob.sees(room, id)).unsigned?.transaction_id).toBeUndefined();
  });

  it('takes a repeated transaction as the same message', async () => {
    const { alice, bob, room } = await aliceAndBob();
    const content = { msgtype: 'm.text', body: 'only once' };
    const first = await alice.sends(room, 'm.room.message', content, 'same');
    const second = await alice.sends(room, 'm.room.message', content, 'same');
    expect(second).toBe(first);
    await alice.says(room, 'afterwards');
    await bob.seesMessage(room, 'afterwards');
    expect(bob.seen(room).filter((event) => event.content.body === 'only once')).toHaveLength(1);
  });

  it('keeps everybody in the same order', async () => {
    const { alice, bob, room } = await aliceAndBob();
    const said: string[] = [];
    for (let i = 0; i < 5; i++) {
      said.push(await alice.says(room, `a${i}`), await bob.says(room, `b${i}`));
    }
    await Promise.all([alice.sees(room, said.at(-1)!), bob.sees(room, said.at(-1)!)]);
    const orderFor = (person: typeof alice) =>
      person
        .seen(room)
        .map((event) => event.event_id)
        .filter((id) => said.includes(id));
    expect(orderFor(alice)).toEqual(said);
    expect(orderFor(bob)).toEqual(said);
  });

  it('carries any JSON a message may hold', async () => {
    const { alice, bob, room } = await aliceAndBob();
    const content = {
      body: '🎉 “quotes” \\ \n \u0001 \u2028',
      msgtype: 'm.text',
      nested: { empty: {}, list: [1, -5, true, null, 'x'], '💣': 'key' },
      big: 9007199254740991,
    };
    const id = await alice.sends(room, 'm.room.message', content);
    expect((await bob.sees(room, id)).content).toEqual(content);
  });
});

describe('history', () => {
  it('pages back to the room’s creation without a gap or a repeat', async () => {
    const { alice, bob, room } = await aliceAndBob();
    const said: string[] = [];
    for (let i = 0; i < 25; i++) said.push(await alice.says(room, `message ${i}`));
    const history = await bob.history(room, 7);
    expect(history[0]).toMatchObject({ type: 'm.room.create' });
    const ids = history.map((event) => event.event_id);
    expect(new Set(ids).size).toBe(ids.length);
    expect(ids.filter((id) => said.includes(id))).toEqual(said);
  });

  it('pages forwards as well', async () => {
    const { alice, room } = await aliceAndBob();
    for (let i = 0; i < 5; i++) await alice.says(room, `message ${i}`);
    const forwards = await alice.messages(room, { dir: 'f', limit: 100 });
    const backwards = await alice.messages(room, { dir: 'b', limit: 100 });
    const ids = (page: { chunk: { event_id: string }[] }) => page.chunk.map((e) => e.event_id);
    expect(ids(forwards)).toEqual(ids(backwards).reverse());
  });

  it('closes the gap a limited timeline leaves', async () => {
    const { alice, bob, room } = await aliceAndBob();
    await bob.syncs();
    const before = bob.since!;
    const said: string[] = [];
    for (let i = 0; i < 15; i++) said.push(await alice.says(room, `message ${i}`));
    const filter = JSON.stringify({ room: { timeline: { limit: 4 } } });
    const { timeline } = (await bob.syncs({ filter })).rooms.join[room];
    expect(timeline.limited).toBe(true);
    const shown = timeline.events.map((event: { event_id: string }) => event.event_id);
    expect(shown).toEqual(said.slice(-4));
    const gap = await bob.messages(room, { from: timeline.prev_batch, to: before, limit: 50 });
    expect(gap.chunk.map((event) => event.event_id).reverse()).toEqual(said.slice(0, -4));
  });

  it('shows what surrounds an event', async () => {
    const { alice, bob, room } = await aliceAndBob();
    const said: string[] = [];
    for (let i = 0; i < 7; i++) said.push(await alice.says(room, `message ${i}`));
    const path = `/rooms/${encodeURIComponent(room)}/context/${encodeURIComponent(said[3]!)}`;
    const context = await bob.calls('GET', path, { query: { limit: 4 } });
    const ids = (events: { event_id: string }[]) => events.map((event) => event.event_id);
    expect(context.event.event_id).toBe(said[3]);
    expect(ids(context.events_before)).toEqual([said[2], said[1]]);
    expect(ids(context.events_after)).toEqual([said[4], said[5]]);
  });

  it('gives one event by its id, to members only', async () => {
    const { alice, bob, room } = await aliceAndBob();
    const stranger = await someone('stranger');
    const said = await alice.says(room, 'one');
    expect((await bob.event(room, said)).content.body).toBe('one');
    await expect(stranger.event(room, said)).rejects.toMatchObject({
      status: expect.any(Number),
      errcode: expect.stringMatching(/^M_(FORBIDDEN|NOT_FOUND)$/),
    });
  });
});
