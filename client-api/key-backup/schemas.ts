/** Shapes that the routes of key backups share. */
import { type Static, Type } from 'typebox';
import type { BackupKeyRow } from '../../homeserver/encryption/key-backups.ts';
import { matrixError } from '../../spec/errors.ts';
import type { JsonValue } from '../../spec/event.ts';

export const VersionParams = Type.Object({ version: Type.String() });
export const VersionQuery = Type.Object({ version: Type.String() });
/** Opaque here: a backup keeps what its client calls a room or a session. */
const Name = Type.String({ minLength: 1, maxLength: 255, pattern: '^[^\\u0000]*$' });
export const RoomParams = Type.Object({ roomId: Name });
export const SessionParams = Type.Object({
  roomId: Name,
  sessionId: Name,
});

/** What a backup's algorithm makes of it is between clients. */
const Opaque = Type.Unsafe<JsonValue>(Type.Unknown());

export const Backup = Type.Object({
  algorithm: Type.String({ minLength: 1, maxLength: 255 }),
  auth_data: Opaque,
});
export const BackupInfo = Type.Object({
  algorithm: Type.String(),
  auth_data: Opaque,
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
  session_data: Opaque,
});
export type KeyData = Static<typeof KeyData>;
export const RoomKeys = Type.Object({ sessions: Type.Record(Type.String(), KeyData) });
export const AllKeys = Type.Object({ rooms: Type.Record(Type.String(), RoomKeys) });

const isName = (text: string): boolean =>
  text !== '' && text.length <= 255 && !text.includes('\u0000');

export const rowOf = (roomId: string, sessionId: string, key: KeyData): BackupKeyRow => ({
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
  session_data: JSON.parse(row.sessionData) as JsonValue,
});

/** @throws MatrixError M_INVALID_PARAM */
export const rowsOfRoom = (roomId: string, sessions: Record<string, KeyData>): BackupKeyRow[] => {
  if (!isName(roomId)) throw matrixError('M_INVALID_PARAM', 'Keys are given by room id');
  return Object.entries(sessions).map(([sessionId, key]) => {
    if (!isName(sessionId)) {
      throw matrixError('M_INVALID_PARAM', 'This is not the id of a session');
    }
    return rowOf(roomId, sessionId, key);
  });
};

export const sessionsOf = (rows: readonly BackupKeyRow[]): Record<string, KeyData> =>
  Object.fromEntries(rows.map((row) => [row.sessionId, dataOf(row)]));
