/** What a client sees of the order of answers, over real connections. */
import { Agent, request } from 'node:http';
import { idsIn, type RoomServer, roomServer } from '../testing/room-server.ts';

let running: RoomServer;
beforeAll(async () => {
  running = await roomServer();
});
afterAll(() => running.stop());

it('answers the sender before their own sync, 20 times of 20', async () => {
  const alice = running.person('alice');
  const roomId = await alice.createRoom();
  const agent = new Agent({ keepAlive: true });
  const call = (method: string, path: string, body?: object): Promise<string> =>
    new Promise((resolve, reject) => {
      const url = `${running.server.url}/_matrix/client/v3${path}`;
      const headers = { Authorization: `Bearer ${alice.userId}` };
      const sent = request(url, { method, agent, headers }, (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (part: string) => {
          text += part;
        });
        response.on('end', () => resolve(text));
      });
      sent.on('error', reject).end(body && JSON.stringify(body));
    });
  let since = JSON.parse(await call('GET', '/sync')).next_batch as string;
  const orders: string[] = [];
  for (let round = 0; round < 20; round += 1) {
    const order: string[] = [];
    const polling = call('GET', `/sync?timeout=30000&since=${since}`).then((text) => {
      order.push('sync');
      since = JSON.parse(text).next_batch;
    });
    while (running.core.notifier.waiting === 0) await new Promise((done) => setImmediate(done));
    const path = `/rooms/${idsIn(roomId)}/send/m.room.message/order${round}`;
    const sending = call('PUT', path, { msgtype: 'm.text', body: 'mine' }).then(() => {
      order.push('PUT');
    });
    await Promise.all([polling, sending]);
    orders.push(order.join());
  }
  agent.destroy();
  expect(orders).toEqual(Array.from({ length: 20 }, () => 'PUT,sync'));
});
