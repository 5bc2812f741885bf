/** What the aliases of one `m.room.canonical_alias` event may have other servers asked. */
import type { RoomId, UserId } from '../spec/identifiers.ts';
import type { RoomPeer } from './testing/room-peer.ts';
import { type NetworkServer, TestNetwork } from './testing/test-network.ts';
import type { PeerAnswer } from './testing/test-peer.ts';

let network: TestNetwork;
let here: NetworkServer;
let peer: RoomPeer;
let alice: UserId;
let roomId: RoomId;
/** Answers that are held back until there are so many. */
let held: (() => void)[];
let heldUntil: number;
let mostAtOnce: number;

beforeAll(async () => {
  network = await TestNetwork.open();
  here = await network.server();
  peer = await network.peer();
  alice = await here.user('alice');
  roomId = await here.rooms.roomCreator.create(alice, { preset: 'public_chat' });
});
afterAll(() => network.close());

beforeEach(() => {
  [held, heldUntil, mostAtOnce] = [[], 1, 0];
  peer.on(/^GET \/_matrix\/federation\/v1\/query\/directory\?/, ({ url }) => {
    const answer: PeerAnswer = {
      room_id: url.includes('elsewhere') ? '!elsewhere:test' : roomId,
      servers: [here.name],
    };
    return new Promise((resolve) => {
      held.push(() => resolve(answer));
      mostAtOnce = Math.max(mostAtOnce, held.length);
      if (held.length >= heldUntil) for (const give of held.splice(0)) give();
    });
  });
});

const aliases = (name: string, count: number): string[] =>
  Array.from({ length: count }, (_, n) => `#${name}${n}:${peer.name}`);
const asked = (): number => peer.received.filter(({ url }) => url.includes('/directory')).length;
const setAliases = (alternatives: readonly string[]): Promise<unknown> =>
  here.rooms.eventSender.state(
    { userId: alice, deviceId: undefined, isAdmin: false, isGuest: false, suspended: false },
    {
      roomId,
      type: 'm.room.canonical_alias',
      stateKey: '',
      content: { alt_aliases: [...alternatives] },
      ts: undefined,
    },
  );

it('are looked up a few at a time, and only the new ones', async () => {
  heldUntil = 2;
  await setAliases(aliases('first', 20));
  expect(asked()).toBe(20);
  expect(mostAtOnce).toBe(2);
  await setAliases([...aliases('first', 20), ...aliases('second', 20)]);
  expect(asked()).toBe(40);
});

it('are not asked for where there are too many', async () => {
  const before = asked();
  const adding = setAliases(aliases('third', 21));
  await expect(adding).rejects.toMatchObject({ errcode: 'M_INVALID_PARAM' });
  expect(asked()).toBe(before);
});

it('are not asked for where one of this server is wrong', async () => {
  const before = asked();
  const adding = setAliases([...aliases('fourth', 5), `#none:${here.name}`]);
  await expect(adding).rejects.toMatchObject({ errcode: 'M_BAD_ALIAS' });
  expect(asked()).toBe(before);
});

it('are refused when one points elsewhere, the rest unasked', async () => {
  const before = asked();
  const adding = setAliases([...aliases('elsewhere', 1), ...aliases('fifth', 19)]);
  await expect(adding).rejects.toMatchObject({ errcode: 'M_BAD_ALIAS' });
  expect(asked() - before).toBeLessThan(15);
});
