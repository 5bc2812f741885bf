import { connect, type Socket } from 'node:net';
import { Type } from 'typebox';
import { JsonScan } from '../../spec/json-scan.ts';
import { exempt } from './rate-limits.ts';
import { route } from './route.ts';
import { serve, type TestServer } from './testing/serve.ts';

const BODIES = 40;
const BODY_BYTES = 1_048_576;
const FIRST_BYTES = 100_000;
/** Whoever was not paused gives one piece, as large as it is read from a connection. */
const MAX_BYTES_PER_ROUND = BODIES * 65_536;

const taking = route({
  operationId: 'taking',
  method: 'PUT',
  path: '/taking',
  rateLimit: exempt('a test'),
  jsonTrust: 'server',
  maxBodyBytes: 2 * BODY_BYTES,
  body: Type.Object({ x: Type.Unknown() }),
  handler: () => ({}),
});

const aRound = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

let server: TestServer;
afterEach(() => server.stop());

describe('large bodies', () => {
  it('are read in turns, however many come at once', async () => {
    server = await serve([taking], { bodyBudget: { maxBytes: 1e12, maxBytesPerAddress: 1e12 } });
    const push = JsonScan.prototype.push;
    let read = 0;
    let inRound = 0;
    JsonScan.prototype.push = function (this: JsonScan, chunk) {
      read += chunk.length;
      inRound += chunk.length;
      return push.call(this, chunk);
    };
    const body = Buffer.from(`{"x":"${'x'.repeat(BODY_BYTES - 8)}"}`);
    let answered = 0;
    const sockets = Array.from({ length: BODIES }, (): Socket => {
      const socket = connect(server.port, '127.0.0.1');
      socket.write(`PUT /taking HTTP/1.1\r\nHost: here\r\nContent-Length: ${body.length}\r\n\r\n`);
      socket.write(body.subarray(0, FIRST_BYTES));
      socket.on('data', (chunk) => {
        if (chunk.toString().startsWith('HTTP/1.1 200 ')) answered++;
      });
      return socket;
    });
    try {
      while (read < BODIES * FIRST_BYTES) await aRound();
      for (const socket of sockets) socket.write(body.subarray(FIRST_BYTES));
      let mostInRound = 0;
      while (answered < BODIES) {
        inRound = 0;
        await aRound();
        mostInRound = Math.max(mostInRound, inRound);
      }
      expect(mostInRound).toBeLessThanOrEqual(MAX_BYTES_PER_ROUND);
    } finally {
      JsonScan.prototype.push = push;
      for (const socket of sockets) socket.destroy();
    }
  });
});
