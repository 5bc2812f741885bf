import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { dropRestOfBody, type RestLimits } from './rest-of-body.ts';

const MEGABYTE = Buffer.alloc(1_048_576, 'a');

/** Posts bytes without an end to a server that has answered already; resolves with how many left. */
const pourInto = async (limits: RestLimits | undefined, giveUpBytes: number): Promise<number> => {
  const server = createServer((request: IncomingMessage, response) => {
    response.once('close', () => dropRestOfBody(request, limits));
    response.writeHead(413).end();
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  socket.on('error', () => undefined);
  socket.resume();
  socket.write('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000000\r\n\r\n');
  let sent = 0;
  const pour = (): void => {
    while (!socket.destroyed && sent < giveUpBytes) {
      sent += MEGABYTE.length;
      if (!socket.write(MEGABYTE)) {
        socket.once('drain', pour);
        return;
      }
    }
  };
  pour();
  await new Promise((resolve) => socket.once('close', resolve));
  server.close();
  return sent;
};

describe('the rest of a body', () => {
  it('is not received without an end', async () => {
    // The test ends only because the connection is closed.
    const maxBytes = 4 * MEGABYTE.length;
    const sent = await pourInto({ maxBytes, maxMs: 600_000 }, Number.POSITIVE_INFINITY);
    expect(sent).toBeGreaterThanOrEqual(maxBytes);
  });

  it('is not waited for without an end either', async () => {
    expect(await pourInto({ maxBytes: 1_000_000_000, maxMs: 200 }, MEGABYTE.length)).toBe(
      MEGABYTE.length,
    );
  });
});
