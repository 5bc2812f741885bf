/**
 * What still comes of a body after its request has been answered. It is received and dropped for a
 * while, because closing on a client that is still sending would make it see a broken connection
 * instead of the answer; but only for a while, because it may have no end.
 */
import type { IncomingMessage } from 'node:http';

export interface RestLimits {
  readonly maxBytes: number;
  readonly maxMs: number;
}

/** A program on the same machine sends some 20 MB meanwhile. */
const LOOK_EVERY_MS = 10;

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
  // Node drops these bytes by itself and tells nobody of them but the socket's own count.
  const timer = setInterval(() => {
    if (incoming.complete || socket.destroyed) clearInterval(timer);
    else if (socket.bytesRead - bytesBefore > maxBytes || performance.now() > deadlineMs) {
      socket.destroy();
    }
  }, LOOK_EVERY_MS).unref();
};
