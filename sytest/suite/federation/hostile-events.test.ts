/** Events no honest server sends. https://spec.matrix.org/v1.19/server-server-api/#checks-performed-on-receipt-of-a-pdu */

import { finish, type Pdu } from '../../lib/peer/pdu.ts';
import { Peer } from '../../lib/peer/peer.ts';
import type { NewEvent, PeerRoom } from '../../lib/peer/room.ts';
import { SigningKey } from '../../lib/peer/signing.ts';
import type { Person } from '../../lib/person.ts';
import { alpha, authority, someone } from '../../lib/world.ts';

let peer: Peer;
let zoe: string;

beforeAll(async () => {
  peer = await Peer.start(authority);
  zoe = peer.user('zoe');
});
afterAll(async () => {
  await peer.stop();
});

/** Alice's room here, which zoe of the peer has joined. */
async function scene(version = '11') {
  const alice = await someone('alice');
  const room = await alice.createsRoom({ preset: 'public_chat', version });
  const copy = await peer.joins(room, zoe, alpha);
  return { alice, room, copy };
}

const message = (body: string, more: Partial<NewEvent> = {}): NewEvent => ({
  type: 'm.room.message',
  sender: zoe,
  content: { msgtype: 'm.text', body },
  ...more,
});

/** Sends an honest message and waits until it is seen: whatever came before has been dealt with. */
async function thenAnHonestMessageArrives(alice: Person, copy: PeerRoom): Promise<void> {
  const honest = copy.appends(message('an honest message'));
  await peer.sends(alpha, [honest]);
  await alice.sees(copy.id, copy.idOf(honest));
}

async function expectUnseen(alice: Person, copy: PeerRoom, pdu: Pdu): Promise<void> {
  await thenAnHonestMessageArrives(alice, copy);
  const id = copy.idOf(pdu);
  expect(alice.seen(copy.id).map((event) => event.event_id)).not.toContain(id);
  expect((await alice.history(copy.id)).map((event) => event.event_id)).not.toContain(id);
  const path = `/rooms/${encodeURIComponent(copy.id)}/event/${encodeURIComponent(id)}`;
  expect((await alice.asks('GET', path)).status).toBe(404);
}

describe('an event that is refused', () => {
  it('without a signature', async () => {
    const { alice, copy } = await scene();
    const pdu = { ...copy.makes(message('unsigned')), signatures: {} };
    const results = await peer.sends(alpha, [pdu]);
    expect(results[copy.idOf(pdu)]?.error).toEqual(expect.any(String));
    await expectUnseen(alice, copy, pdu);
  });

  it('signed with a key that is not the server’s', async () => {
    const { alice, copy } = await scene();
    const draft = copy.drafts(message('wrong key'));
    const pdu = finish(draft, copy.rules, peer.name, new SigningKey('peer'));
    await peer.sends(alpha, [pdu]);
    await expectUnseen(alice, copy, pdu);
  });

  it('signed with a key nobody has heard of', async () => {
    const { alice, copy } = await scene();
    const draft = copy.drafts(message('unknown key'));
    const pdu = finish(draft, copy.rules, peer.name, new SigningKey('invented'));
    await peer.sends(alpha, [pdu]);
    await expectUnseen(alice, copy, pdu);
  });

  it('in the name of a user of another server', async () => {
    const { alice, copy } = await scene();
    const pdu = copy.makes(message('I am alice', { sender: alice.id }));
    await peer.sends(alpha, [pdu]);
    await expectUnseen(alice, copy, pdu);
  });

  it('from somebody who is not in the room', async () => {
    const { alice, copy } = await scene();
    const pdu = copy.makes(message('let me in', { sender: peer.user('outsider') }));
    await peer.sends(alpha, [pdu]);
    await expectUnseen(alice, copy, pdu);
  });

  it('that grants its sender power', async () => {
    const { alice, room, copy } = await scene();
    const levels = await alice.reads(room, 'm.room.power_levels');
    const content = { ...levels, users: { ...levels.users, [zoe]: 100 } };
    const pdu = copy.makes({ type: 'm.room.power_levels', stateKey: '', sender: zoe, content });
    await peer.sends(alpha, [pdu]);
    await expectUnseen(alice, copy, pdu);
    expect(await alice.reads(room, 'm.room.power_levels')).toEqual(levels);
  });

  it('resting on the authorisation of another room', async () => {
    const [here, there] = await Promise.all([scene(), scene()]);
    const auth_events = there.copy.drafts(message('x')).auth_events;
    const pdu = here.copy.makes(message('borrowed', { but: { auth_events } }));
    await peer.sends(alpha, [pdu]);
    await expectUnseen(here.alice, here.copy, pdu);
  });

  it('resting on no authorisation at all', async () => {
    const { alice, copy } = await scene();
    const pdu = copy.makes(message('unauthorised', { but: { auth_events: [] } }));
    await peer.sends(alpha, [pdu]);
    await expectUnseen(alice, copy, pdu);
  });

  it('for a room its server is not in', async () => {
    const { copy } = await scene();
    const carol = await someone('carol');
    const other = await carol.createsRoom({ preset: 'public_chat', version: '11' });
    const pdu = copy.makes(message('wrong door', { but: { room_id: other } }));
    await peer.sends(alpha, [pdu]);
    const heard = await carol.says(other, 'is somebody there?');
    await carol.sees(other, heard);
    expect(carol.seen(other).filter((event) => event.sender === zoe)).toEqual([]);
  });

  it.each([
    ['a float', { number: 1.5 }],
    ['an integer beyond 2⁵³', { number: 2 ** 60 }],
  ])('holding %s, which canonical JSON does not know', async (_what, content) => {
    const { alice, copy } = await scene();
    const pdu = copy.makes(message('numbers', { content: { body: 'numbers', ...content } }));
    await peer.asks(alpha, 'PUT', `/_matrix/federation/v1/send/${Date.now()}`, {
      origin: peer.name,
      origin_server_ts: Date.now(),
      pdus: [pdu],
    });
    await expectUnseen(alice, copy, pdu);
  });

  it('larger than 65,536 bytes, while the rest of its transaction is taken', async () => {
    const { alice, copy } = await scene();
    const big = copy.makes(message('x'.repeat(70_000)));
    const good = copy.appends(message('the rest'));
    await peer.sends(alpha, [big, good]);
    await alice.sees(copy.id, copy.idOf(good));
    await expectUnseen(alice, copy, big);
  });

  it.each([
    ['no type', { type: undefined }],
    ['a type that is no string', { type: 7 }],
    ['content that is no object', { content: 'text' }],
    ['a negative depth', { depth: -1 }],
    ['a depth that is no number', { depth: 'deep' }],
    ['prev_events that are no list', { prev_events: 'none' }],
    ['prev_events without end', { prev_events: Array.from({ length: 500 }, (_, i) => `$${i}`) }],
    ['a sender that is no user id', { sender: 'zoe' }],
    ['no sender', { sender: undefined }],
  ])('with %s', async (_what, but) => {
    const { alice, copy } = await scene();
    const pdu = copy.makes(message('malformed', { but: but as never }));
    const uri = `/_matrix/federation/v1/send/${Date.now()}${Math.random()}`;
    const answer = await peer.asks(alpha, 'PUT', uri, {
      origin: peer.name,
      origin_server_ts: Date.now(),
      pdus: [pdu],
    });
    expect([200, 400]).toContain(answer.status);
    await thenAnHonestMessageArrives(alice, copy);
    expect(alice.seen(copy.id).map((event) => event.content.body)).not.toContain('malformed');
  });
});

describe('an event that is taken, but not as it came', () => {
  it.each(['10', '11', '12'])('loses its content when its hash is wrong (v%s)', async (version) => {
    const { alice, copy } = await scene(version);
    const signed = copy.makes(message('what was signed'));
    const changed = { ...signed, content: { msgtype: 'm.text', body: 'what was not signed' } };
    await peer.sends(alpha, [changed]);
    copy.adds(changed);
    await thenAnHonestMessageArrives(alice, copy);
    expect((await alice.event(copy.id, copy.idOf(changed))).content).toEqual({});
  });

  it('counts once, however often it is sent', async () => {
    const { alice, copy } = await scene();
    const pdu = copy.appends(message('again and again'));
    const first = await peer.sends(alpha, [pdu, pdu], [], 'same-transaction');
    const second = await peer.sends(alpha, [pdu], [], 'same-transaction');
    await peer.sends(alpha, [pdu]);
    expect(second).toEqual(first);
    await thenAnHonestMessageArrives(alice, copy);
    const bodies = alice.seen(copy.id).map((event) => event.content.body);
    expect(bodies.filter((body) => body === 'again and again')).toHaveLength(1);
  });

  it('may claim the greatest depth there is, and the room goes on', async () => {
    const { alice, copy } = await scene();
    const deep = copy.appends(message('deep', { but: { depth: Number.MAX_SAFE_INTEGER } }));
    await peer.sends(alpha, [deep]);
    await alice.sees(copy.id, copy.idOf(deep));
    const next = await alice.says(copy.id, 'deeper still?');
    const received = await peer.receives('the next', (pdu) => copy.idOf(pdu) === next);
    expect(received.depth).toBeLessThanOrEqual(Number.MAX_SAFE_INTEGER);
    await alice.sees(copy.id, next);
  });
});

describe('history that is not honest', () => {
  it('a chain of missing events without end does not keep the server busy', async () => {
    const { alice, copy } = await scene();
    const [tip] = copy.tips;
    // Every answer is ten more events, each on one nobody has.
    const invent = (prev: string) =>
      copy.makes(message('bottomless', { but: { prev_events: [prev] } }));
    peer.answers('POST', '/_matrix/federation/v1/get_missing_events/{roomId}', () => ({
      events: Array.from({ length: 10 }, () => invent(`$${Math.random()}`.padEnd(44, 'x'))),
    }));
    const top = invent(`$${'missing'.padEnd(43, 'x')}`);
    const before = peer.requests.length;
    await peer.sends(alpha, [top]);
    copy.continuesFrom(tip!);
    await thenAnHonestMessageArrives(alice, copy);
    expect(peer.requests.length - before).toBeLessThan(200);
  });
});
