/** Answers about keys that would be too large, to other servers and made of what they tell. */
import type { UserId } from '../../spec/identifiers.ts';
import { Guest } from '../testing/guest.ts';
import type { RoomPeer } from '../testing/room-peer.ts';
import { type NetworkServer, TestNetwork } from '../testing/test-network.ts';

let network: TestNetwork;
let here: NetworkServer;
let peers: RoomPeer[];
let alice: UserId;

beforeAll(async () => {
  network = await TestNetwork.open();
  here = await network.server();
  peers = [await network.peer(), await network.peer(), await network.peer()];
  alice = await here.user('alice');
});
afterAll(() => network.close());

it('leave out what the last servers tell of strangers, and name these servers', async () => {
  const devices = Object.fromEntries(
    Array.from({ length: 112 }, (_, n) => [`D${n}`, { keys: 'k'.repeat(64_000) }]),
  );
  for (const peer of peers) {
    peer.on(/^POST .*\/user\/keys\/query$/, () => ({
      device_keys: {
        [peer.user('large')]: devices,
        [peer.user('small')]: { D: { keys: 'k' } },
      },
    }));
  }
  const names = (user: string) => peers.map((peer) => peer.user(user));
  const wanted = new Map([...names('small'), ...names('large')].map((userId) => [userId, []]));
  const { keyQueries } = here.core.encryption;
  const answer = await keyQueries.query(alice, wanted, 20_000);
  const told = Object.keys(answer.device_keys);
  expect(told).toEqual(expect.arrayContaining(names('small')));
  const large = names('large').filter((userId) => told.includes(userId));
  expect(large).toHaveLength(2);
  const [left] = peers.filter((peer) => !told.includes(peer.user('large'))) as [RoomPeer];
  expect(answer.failures).toEqual({ [left.name]: expect.anything() });
  // Alone it is no longer too much.
  const again = await keyQueries.query(alice, new Map([[left.user('large'), []]]), 20_000);
  expect(Object.keys(again.device_keys)).toEqual([left.user('large')]);
  expect(again.failures).toEqual({});
});

it('are refused to servers, which may ask for fewer', async () => {
  const [peer] = peers as [RoomPeer];
  const roomId = await here.rooms.roomCreator.create(alice, {
    preset: 'public_chat',
    version: '11',
  });
  await Guest.join(peer, here.name, roomId);
  const hoarders = await Promise.all(Array.from({ length: 9 }, (_, n) => here.user(`hoarder${n}`)));
  await here.core.database.query({
    text: `WITH logged_in AS (
        INSERT INTO devices (user_id, device_id, created_at_ms)
        SELECT user_id, 'D' || n, 0 FROM unnest($1::text[]) user_id, generate_series(1, 33) n
      )
      INSERT INTO device_keys (user_id, device_id, keys)
      SELECT user_id, 'D' || n, json_build_object('keys', repeat('k', 65000))::text
      FROM unnest($1::text[]) user_id, generate_series(1, 33) n`,
    values: [hoarders],
  });
  const ask = (users: readonly UserId[]) =>
    peer.ask(here.name, 'POST', '/_matrix/federation/v1/user/keys/query', {
      device_keys: Object.fromEntries(users.map((userId) => [userId, []])),
    });
  const refused = await ask(hoarders);
  expect(refused).toMatchObject({ status: 413, body: { errcode: 'M_TOO_LARGE' } });
  const answered = await ask(hoarders.slice(0, 3));
  expect(answered.status).toBe(200);
  expect(Object.keys(answered.body.device_keys).sort()).toEqual(hoarders.slice(0, 3));
});
