/**
 * What still comes of a body after its request has been answered. It is received and dropped for a
 * while, because closing on a client that is still sending would make it see a broken connection
 * instead of the answer; but only for a while, because it may have no end, and of many such bodies
 * only one at a time, because to receive is work too.
 */
import type { IncomingMessage } from 'node:http';
import { sharedTurn } from '../turns.ts';

export interface RestLimits {
  readonly maxBytes: number;
  readonly maxMs: number;
}

/** Between two rounds of the event loop in which a body is received: at most 2 MB come in one. */
const MIN_PAUSE_MS = 10;
/** Where nothing came the last time. */
const MAX_PAUSE_MS = 320;

export const REST_OF_BODY: RestLimits = { maxBytes: 16 * 1_048_576, maxMs: 10_000 };

/** Call it when the answer has been sent. Closes the connection where the rest exceeds a limit. */
export const dropRestOfBody = (
  incoming: IncomingMessage,
  { maxBytes, maxMs }: RestLimits = REST_OF_BODY,
): void => {
  if (incoming.complete || incoming.destroyed) return;
  const { socket } = incoming;
  const bytesBefore = socket.bytesRead;
  const deadlineMs = performance.now() + maxMs;
  let pauseMs = MIN_PAUSE_MS;
  // Node drops these bytes by itself and tells nobody of them but the socket's own count.
  const receive = async (): Promise<void> => {
    await sharedTurn();
    const bytesSoFar = socket.bytesRead;
    socket.resume();
    await aRound();
    if (incoming.complete || socket.destroyed) return;
    if (socket.bytesRead - bytesBefore > maxBytes || performance.now() > deadlineMs) {
      socket.destroy();
      return;
    }
    socket.pause();
    pauseMs = socket.bytesRead > bytesSoFar ? MIN_PAUSE_MS : Math.min(2 * pauseMs, MAX_PAUSE_MS);
    setTimeout(() => void receive(), pauseMs).unref();
  };
  socket.pause();
  void receive();
};

/** Of the event loop, in which whatever has arrived is received. */
const aRound = (): Promise<void> =>
  new Promise((resolve) => {
    setImmediate(() => setImmediate(resolve));
  });
