import type { RoomId, UserId } from '../spec/identifiers.ts';
import { until } from './testing/memory-log.ts';
import { type NetworkServer, TestNetwork } from './testing/test-network.ts';

describe('history that a server was not sent', () => {
  let network: TestNetwork;
  let here: NetworkServer;
  let there: NetworkServer;
  let alice: UserId;
  let bob: UserId;

  beforeAll(async () => {
    network = await TestNetwork.open();
    here = await network.server();
    there = await network.server();
    alice = await here.user('alice');
    bob = await there.user('bob');
  });
  afterAll(() => network.close());

  /** Servers that were away for long are brought up to date so by other implementations. */
  const forgetWhatIsUnsent = async (server: NetworkServer): Promise<void> => {
    await server.stop();
    await server.core.database.query({ text: 'UPDATE destinations SET sent_pos = NULL' });
    await server.core.database.query({
      text: 'UPDATE federation_senders SET dispatched_pos = (SELECT max(stream_pos) FROM events)',
    });
    await server.start();
  };

  it('that could not be fetched is asked for again once the other server is back', async () => {
    network.clock.advance(1);
    const roomId: RoomId = await here.rooms.roomCreator.create(alice, { preset: 'public_chat' });
    const said = Array.from({ length: 40 }, (_, count) => `said ${count}`);
    for (const body of said) await here.say(alice, roomId, body);
    await there.rooms.membership.join(bob, roomId, { via: [here.name] });
    await here.stop();
    expect(await there.messages(bob, roomId, 100)).toEqual([]);
    await here.start();
    network.clock.advance(20_000);
    expect(await there.messages(bob, roomId, 100)).toEqual(said);
  });

  it('is read back whole where only its end came, though it is longer than what is fetched at once', async () => {
    const roomId: RoomId = await here.rooms.roomCreator.create(alice, { preset: 'public_chat' });
    await there.rooms.membership.join(bob, roomId, { via: [here.name] });
    await there.say(bob, roomId, 'before');
    await until(async () => (await here.messages(alice, roomId)).includes('before'));
    await there.stop();
    const missed = Array.from({ length: 120 }, (_, count) => `missed ${count}`);
    for (const body of missed) await here.say(alice, roomId, body);
    await forgetWhatIsUnsent(here);
    await there.start();
    network.clock.advance(120_000);
    await here.say(alice, roomId, 'after');
    await until(async () => (await there.messages(bob, roomId, 5)).includes('after'));
    expect(await there.messages(bob, roomId, 500)).toEqual(['before', ...missed, 'after']);
  });
});
