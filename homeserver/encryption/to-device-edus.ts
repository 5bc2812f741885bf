/**
 * Messages between devices as they travel between servers: nothing that another server could not
 * read, and in EDUs of bearable size.
 * https://spec.matrix.org/v1.19/server-server-api/#send-to-device-messaging
 */
import { CanonicalJsonError, canonicalJson } from '../../spec/canonical-json.ts';
import { matrixError } from '../../spec/errors.ts';
import type { JsonObject } from '../../spec/event.ts';
import { isObject } from './remote-keys.ts';

/** An EDU has as much as an event may have; a single larger message goes alone. */
export const MAX_EDU_MESSAGES_BYTES = 65_536;

/**
 * Messages for users of one server, by user and device, cut into EDUs' worth, in order.
 * @throws MatrixError M_BAD_JSON for what has no canonical form, and so cannot be signed: floats, and
 * integers beyond ±(2^53 − 1)
 */
export const cutForEdus = (messages: Readonly<Record<string, JsonObject>>): JsonObject[] => {
  const edus: Record<string, JsonObject>[] = [];
  let current = new Map<string, Map<string, JsonObject>>();
  let bytes = 0;
  const finish = () => {
    const users = [...current].map(([userId, devices]) => [userId, Object.fromEntries(devices)]);
    if (users.length > 0) edus.push(Object.fromEntries(users));
    current = new Map();
    bytes = 0;
  };
  for (const [userId, devices] of Object.entries(messages)) {
    for (const [deviceId, content] of Object.entries(devices)) {
      if (!isObject(content)) continue;
      const size = bytesOf(content) + userId.length + deviceId.length + 10;
      if (bytes + size > MAX_EDU_MESSAGES_BYTES) finish();
      let ofUser = current.get(userId);
      if (ofUser === undefined) {
        ofUser = new Map();
        current.set(userId, ofUser);
      }
      ofUser.set(deviceId, content);
      bytes += size;
    }
  }
  finish();
  return edus;
};

const bytesOf = (content: JsonObject): number => {
  try {
    return Buffer.byteLength(canonicalJson(content));
  } catch (error) {
    if (!(error instanceof CanonicalJsonError)) throw error;
    throw matrixError('M_BAD_JSON', `A message to another server: ${error.message}`);
  }
};
