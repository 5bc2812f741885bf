/** What passes: typing and receipts. https://spec.matrix.org/v1.19/client-server-api/#typing-notifications */

import type { Body } from '../lib/http.ts';
import { refused } from '../lib/http.ts';
import type { Person } from '../lib/person.ts';
import { someone } from '../lib/world.ts';

let alice: Person;
let bob: Person;
let room: string;

beforeEach(async () => {
  [alice, bob] = await Promise.all([someone('alice'), someone('bob')]);
  room = await alice.createsRoom({ preset: 'public_chat' });
  await bob.joins(room);
});

const inRoom = (rest: string) => `/rooms/${encodeURIComponent(room)}${rest}`;
const ephemeral = (type: string) => (response: Body) =>
  response.rooms?.join?.[room]?.ephemeral?.events.find((e: { type: string }) => e.type === type)
    ?.content;

const types = (person: Person, typing: boolean, timeout = 20_000) =>
  person.calls('PUT', inRoom(`/typing/${encodeURIComponent(person.id)}`), {
    body: typing ? { typing, timeout } : { typing },
  });
const reads = (person: Person, eventId: string, type = 'm.read', body = {}) =>
  person.calls('POST', inRoom(`/receipt/${type}/${encodeURIComponent(eventId)}`), { body });

describe('typing', () => {
  it('shows while it lasts, and ends when it is ended', async () => {
    await types(bob, true);
    expect(await alice.waitsFor('typing', ephemeral('m.typing'))).toEqual({ user_ids: [bob.id] });
    await types(bob, false);
    const stopped = (r: Body) =>
      ephemeral('m.typing')(r)?.user_ids.length === 0 ? true : undefined;
    await alice.waitsFor('no typing', stopped);
  });

  it('ends by itself', async () => {
    await types(bob, true, 300);
    await alice.waitsFor('typing', ephemeral('m.typing'));
    const stopped = (r: Body) =>
      ephemeral('m.typing')(r)?.user_ids.length === 0 ? true : undefined;
    await alice.waitsFor('no typing', stopped);
  });

  it('is only for oneself, and only for members', async () => {
    const path = inRoom(`/typing/${encodeURIComponent(bob.id)}`);
    await refused(alice.calls('PUT', path, { body: { typing: true } }), 403, 'M_FORBIDDEN');
    const stranger = await someone('stranger');
    await refused(types(stranger, true), 403, 'M_FORBIDDEN');
  });
});

describe('receipts', () => {
  it('tell others how far one has read', async () => {
    const said = await alice.says(room, 'read this');
    await bob.sees(room, said);
    await reads(bob, said);
    const content = await alice.waitsFor('a receipt', ephemeral('m.receipt'));
    expect(content).toHaveProperty([said, 'm.read', bob.id, 'ts'], expect.any(Number));
  });

  it('can be private', async () => {
    const said = await alice.says(room, 'read this');
    await reads(bob, said, 'm.read.private');
    const own = await bob.waitsFor('own receipt', ephemeral('m.receipt'));
    expect(own).toHaveProperty([said, 'm.read.private', bob.id]);
    await reads(bob, said, 'm.read');
    const others = await alice.waitsFor('a receipt', ephemeral('m.receipt'));
    expect(Object.keys(others[said])).toEqual(['m.read']);
  });

  it('are still known to someone who comes later', async () => {
    const said = await alice.says(room, 'read this');
    await reads(bob, said);
    alice.since = undefined;
    const content = ephemeral('m.receipt')(await alice.syncs());
    expect(content).toHaveProperty([said, 'm.read', bob.id]);
  });

  it('count what is unread down', async () => {
    await bob.syncs();
    const said = await alice.says(room, `hello ${bob.id}`);
    const unread = (r: Body) => r.rooms?.join?.[room]?.unread_notifications?.notification_count;
    await bob.waitsFor('something unread', (r) => (unread(r) > 0 ? true : undefined));
    await reads(bob, said);
    await bob.waitsFor('nothing unread', (r) => (unread(r) === 0 ? true : undefined));
  });

  it('are refused of an unknown kind', async () => {
    const said = await alice.says(room, 'read this');
    const answer = await bob.asks(
      'POST',
      inRoom(`/receipt/org.unknown/${encodeURIComponent(said)}`),
      { body: {} },
    );
    expect(answer.status).toBe(400);
  });
});

describe('read markers', () => {
  it('move with the receipt in one request', async () => {
    const said = await alice.says(room, 'read this');
    const body = { 'm.fully_read': said, 'm.read': said };
    await bob.calls('POST', inRoom('/read_markers'), { body });
    const marker = await bob.waitsFor('the marker', (r) =>
      r.rooms?.join?.[room]?.account_data?.events.find((e: Body) => e.type === 'm.fully_read'),
    );
    expect(marker.content).toEqual({ event_id: said });
    const content = await alice.waitsFor('a receipt', ephemeral('m.receipt'));
    expect(content).toHaveProperty([said, 'm.read', bob.id]);
  });
});
