/** Shapes that the routes of key backups share. */
import { type Static, Type } from 'typebox';
import type { BackupKeyRow } from '../../homeserver/encryption/key-backups.ts';
import { RoomIdSchema } from '../../homeserver/http/identifier-schemas.ts';
import { matrixError } from '../../spec/errors.ts';
import type { JsonObject } from '../../spec/event.ts';
import type { RoomId } from '../../spec/identifiers.ts';
import { isRoomId } from '../../spec/identifiers.ts';
import { AnyObject } from '../schemas.ts';

export const VersionParams = Type.Object({ version: Type.String() });
export const VersionQuery = Type.Object({ version: Type.String() });
export const RoomParams = Type.Object({ roomId: RoomIdSchema });
export const SessionParams = Type.Object({
  roomId: RoomIdSchema,
  sessionId: Type.String({ minLength: 1, maxLength: 255, pattern: '^[^\\u0000]*$' }),
});

export const Backup = Type.Object({
  algorithm: Type.Literal('m.megolm_backup.v1.curve25519-aes-sha2'),
  auth_data: AnyObject,
});
export const BackupInfo = Type.Object({
  algorithm: Type.String(),
  auth_data: AnyObject,
  count: Type.Integer(),
  etag: Type.String(),
  version: Type.String(),
});
export const BackupState = Type.Object({ count: Type.Integer(), etag: Type.String() });

const index = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });
export const KeyData = Type.Object({
  first_message_index: index,
  forwarded_count: index,
  is_verified: Type.Boolean(),
  session_data: AnyObject,
});
export type KeyData = Static<typeof KeyData>;
export const RoomKeys = Type.Object({ sessions: Type.Record(Type.String(), KeyData) });
export const AllKeys = Type.Object({ rooms: Type.Record(Type.String(), RoomKeys) });

export const rowOf = (roomId: RoomId, sessionId: string, key: KeyData): BackupKeyRow => ({
  roomId,
  sessionId,
  firstMessageIndex: key.first_message_index,
  forwardedCount: key.forwarded_count,
  isVerified: key.is_verified,
  sessionData: JSON.stringify(key.session_data),
});

export const dataOf = (row: BackupKeyRow): KeyData => ({
  first_message_index: row.firstMessageIndex,
  forwarded_count: row.forwardedCount,
  is_verified: row.isVerified,
  session_data: JSON.parse(row.sessionData) as JsonObject,
});

/** @throws MatrixError M_INVALID_PARAM */
export const rowsOfRoom = (roomId: string, sessions: Record<string, KeyData>): BackupKeyRow[] => {
  if (!isRoomId(roomId)) throw matrixError('M_INVALID_PARAM', 'Keys are given by room id');
  return Object.entries(sessions).map(([sessionId, key]) => {
    if (sessionId.includes('\u0000') || sessionId.length > 255) {
      throw matrixError('M_INVALID_PARAM', 'This is not the id of a session');
    }
    return rowOf(roomId, sessionId, key);
  });
};

export const sessionsOf = (rows: readonly BackupKeyRow[]): Record<string, KeyData> =>
  Object.fromEntries(rows.map((row) => [row.sessionId, dataOf(row)]));
