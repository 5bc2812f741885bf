/** A homeserver of another make, as the tests' own peer plays it. */

import { Peer } from '../../lib/peer/peer.ts';
import { alpha, authority, someone } from '../../lib/world.ts';

let peer: Peer;

beforeAll(async () => {
  peer = await Peer.start(authority);
});
afterAll(async () => {
  await peer.stop();
});

describe.each(['10', '11', '12'])('in room version %s', (version) => {
  it('the peer joins a room here; both sides talk', async () => {
    const alice = await someone('alice');
    const room = await alice.createsRoom({ preset: 'public_chat', version });
    const zoe = peer.user('zoe');
    const copy = await peer.joins(room, zoe, alpha);
    await alice.seesMembership(room, { id: zoe }, 'join');
    const content = { msgtype: 'm.text', body: 'hello from the peer' };
    const sent = copy.appends({ type: 'm.room.message', sender: zoe, content });
    expect(await peer.sends(alpha, [sent])).toEqual({ [copy.idOf(sent)]: {} });
    expect((await alice.sees(room, copy.idOf(sent))).content).toEqual(content);
    const answer = await alice.says(room, 'hello, peer');
    const received = await peer.receives('the answer', (pdu) => copy.idOf(pdu) === answer);
    expect(received.prev_events).toEqual([copy.idOf(sent)]);
  });

  it('somebody here joins a room of the peer; both sides talk', async () => {
    const alice = await someone('alice');
    const zoe = peer.user('zoe');
    const room = peer.createsRoom(zoe, version);
    for (let i = 0; i < 5; i++) {
      const content = { msgtype: 'm.text', body: `earlier ${i}` };
      room.appends({ type: 'm.room.message', sender: zoe, content });
    }
    await alice.joins(room.id, peer);
    expect(room.stateEvent('m.room.member', alice.id)?.content['membership']).toBe('join');
    const said = await alice.says(room.id, 'nice place');
    await peer.receives('the message', (pdu) => room.idOf(pdu) === said);
    const history = await alice.history(room.id, 3);
    expect(history.map((e) => e.content.body).filter(Boolean)).toEqual([
      ...['earlier 0', 'earlier 1', 'earlier 2', 'earlier 3', 'earlier 4'],
      'nice place',
    ]);
  });

  it('missing events are fetched', async () => {
    const alice = await someone('alice');
    const room = await alice.createsRoom({ preset: 'public_chat', version });
    const zoe = peer.user('zoe');
    const copy = await peer.joins(room, zoe, alpha);
    const say = (body: string) =>
      copy.appends({ type: 'm.room.message', sender: zoe, content: { msgtype: 'm.text', body } });
    const [first, second, third] = [say('first'), say('second'), say('third')];
    await peer.sends(alpha, [third]);
    await alice.sees(room, copy.idOf(third));
    const history = (await alice.history(room)).map((event) => event.event_id);
    expect(history.slice(-3)).toEqual([first, second, third].map((pdu) => copy.idOf(pdu)));
  });

  it('an invitation from the peer is accepted', async () => {
    const alice = await someone('alice');
    const zoe = peer.user('zoe');
    const room = peer.createsRoom(zoe, version);
    room.appends({
      ...{ type: 'm.room.join_rules', stateKey: '', sender: zoe },
      content: { join_rule: 'invite' },
    });
    const content = { membership: 'invite' };
    const invite = room.makes({ type: 'm.room.member', sender: zoe, stateKey: alice.id, content });
    const path = `${encodeURIComponent(room.id)}/${encodeURIComponent(room.idOf(invite))}`;
    const { type, sender, state_key, content: created } = room.stateEvent('m.room.create')!;
    const { event } = await peer.calls(alpha, 'PUT', `/_matrix/federation/v2/invite/${path}`, {
      room_version: version,
      event: invite,
      invite_room_state:
        version === '12'
          ? [room.stateEvent('m.room.create')]
          : [{ type, sender, state_key, content: created }],
    });
    expect(Object.keys(event.signatures).sort()).toEqual([alpha.name, peer.name].sort());
    room.adds(event);
    await alice.seesInvite(room.id);
    await alice.joins(room.id, peer);
    expect(room.stateEvent('m.room.member', alice.id)?.content['membership']).toBe('join');
  });
});
