/**
 * Account data: what clients keep with the server for themselves, globally or in a room. The log
 * stores it, so that sync sees every change; the rules of the API are here.
 *
 * Specification: https://spec.matrix.org/v1.19/client-server-api/#client-config
 */
import { matrixError } from '../../spec/errors.ts';
import type { JsonObject } from '../../spec/event.ts';
import {
  fitsInBytes,
  MAX_IDENTIFIER_BYTES,
  type RoomId,
  type UserId,
} from '../../spec/identifiers.ts';

/** Appends changes to the log and resolves once they are committed. */
export interface AccountDataWriter {
  putGlobal(userId: UserId, type: string, content: JsonObject): Promise<void>;
  putRoom(userId: UserId, roomId: RoomId, type: string, content: JsonObject): Promise<void>;
}

export interface AccountDataReader {
  getGlobal(userId: UserId, type: string): Promise<JsonObject | undefined>;
  getRoom(userId: UserId, roomId: RoomId, type: string): Promise<JsonObject | undefined>;
}

export type AccountDataStore = AccountDataWriter & AccountDataReader;

/** Read markers and push rules have endpoints of their own. */
const SERVER_CONTROLLED: readonly string[] = ['m.fully_read', 'm.push_rules'];

/** Throws `M_BAD_JSON` (405) for types that only the server writes, `M_INVALID_PARAM`. */
export const assertWritableType = (type: string): void => {
  if (SERVER_CONTROLLED.includes(type)) {
    throw matrixError('M_BAD_JSON', `${type} cannot be set through this API`, {}, { status: 405 });
  }
  if (type === '' || !fitsInBytes(type, MAX_IDENTIFIER_BYTES)) {
    throw matrixError('M_INVALID_PARAM', `A type has 1 to ${MAX_IDENTIFIER_BYTES} bytes`);
  }
};
