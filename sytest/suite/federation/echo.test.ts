/** A server is not sent what it made itself. */

import { Peer } from '../../lib/peer/peer.ts';
import { alpha, authority, someone } from '../../lib/world.ts';

let peer: Peer;

beforeAll(async () => {
  peer = await Peer.start(authority);
});
afterAll(() => peer.stop());

it('a join is not sent back to the server it came from', async () => {
  const alice = await someone('alice');
  const room = await alice.createsRoom({ preset: 'public_chat', version: '11' });
  const copy = await peer.joins(room, peer.user('zoe'), alpha);
  const said = await alice.says(room, 'hello');
  await peer.receives('the message', (pdu) => copy.idOf(pdu) === said);
  const pdus = peer.received.flatMap((transaction) => transaction.pdus);
  expect(pdus.map((pdu) => [pdu.type, pdu.sender])).toEqual([['m.room.message', alice.id]]);
});
