import type { AddressInfo } from 'node:net';
import { createServer, type Server, type Socket } from 'node:net';
import type { RoomId, ServerName, UserId } from '../spec/identifiers.ts';
import { Guest } from './testing/guest.ts';
import { until } from './testing/memory-log.ts';
import type { RoomPeer } from './testing/room-peer.ts';
import { type NetworkServer, TestNetwork } from './testing/test-network.ts';

const SILENT = 400;
const MAX_WAIT_MS = 2_000;

describe('with every line to other servers busy', () => {
  let network: TestNetwork;
  let here: NetworkServer;
  let peer: RoomPeer;
  let alice: UserId;
  let bob: UserId;
  let roomId: RoomId;
  const silent: Server[] = [];
  const sockets = new Set<Socket>();
  let names: ServerName[];

  beforeAll(async () => {
    network = await TestNetwork.open();
    here = await network.server({ max_concurrent_requests: 200 });
    peer = await network.peer();
    alice = await here.user('alice');
    bob = await here.user('bob');
    roomId = await here.rooms.roomCreator.create(alice, { preset: 'public_chat', version: '11' });
    await Guest.join(peer, here.name, roomId);
    names = await Promise.all(
      Array.from({ length: SILENT }, async () => {
        const server = createServer((socket) => {
          sockets.add(socket);
          socket.on('error', () => undefined);
        });
        silent.push(server);
        await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
        return `127.0.0.1:${(server.address() as AddressInfo).port}` as ServerName;
      }),
    );
  });
  afterAll(async () => {
    for (const socket of sockets) socket.destroy();
    for (const server of silent) server.close();
    await network.close();
  });

  const took = async (work: () => Promise<unknown>): Promise<number> => {
    const startedMs = performance.now();
    await work();
    return performance.now() - startedMs;
  };
  /** Names that nobody has heard of, by way of those that listen and say nothing. */
  const strangers = (count: number): ServerName[] =>
    Array.from({ length: count }, (_, n) => names[n % SILENT] as ServerName);

  it('a message arrives, and a stranger and another person are served', async () => {
    const query = (asked: readonly ServerName[]) =>
      peer.ask(here.name, 'POST', '/_matrix/key/v2/query', {
        server_keys: Object.fromEntries(asked.map((name) => [name, {}])),
      });
    const floods: Promise<unknown>[] = [query(names.slice(0, 200)), query(names.slice(200))];
    const users = new Map(strangers(SILENT).map((name) => [`@x:${name}` as UserId, []]));
    floods.push(here.core.encryption.keyQueries.query(alice, users, 60_000));
    for (const flood of floods) flood.catch(() => undefined);
    await until(() => sockets.size > 10);
    const other = await network.peer();
    const received = () =>
      peer.received.some(({ url, text }) => url.includes('/v1/send/') && text.includes('in time'));
    const messageMs = await took(async () => {
      await here.say(alice, roomId, 'in time');
      await until(received);
    });
    // The keys of a server that nobody here has met are fetched before it is answered.
    const strangerMs = await took(async () => {
      const path = '/_matrix/federation/v1/publicRooms';
      expect((await other.ask(here.name, 'GET', path)).status).toBe(200);
    });
    peer.on(/query\/profile/, () => ({ displayname: 'Peer' }));
    const personMs = await took(() => here.federation.remoteProfiles.profile(peer.user('x'), bob));
    expect(Math.max(messageMs, strangerMs, personMs)).toBeLessThan(MAX_WAIT_MS);
    // Nor does anything of it stay.
    const { rows } = await here.core.database.query({
      text: 'SELECT destination FROM destinations WHERE destination = ANY($1)',
      values: [names],
    });
    expect(rows).toEqual([]);
  });
});
