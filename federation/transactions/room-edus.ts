/**
 * Typing notices and read receipts of other servers' users: believed of a server's own users, in
 * rooms that they are in and their server is let into.
 *
 * Specification: https://spec.matrix.org/v1.19/server-server-api/#typing-notifications and
 * https://spec.matrix.org/v1.19/server-server-api/#receipts
 */
import type { LiveRoom } from '../../homeserver/rooms/live-room.ts';
import type { Receipts, RemoteReceipt } from '../../homeserver/streams/receipts.ts';
import type { Typing } from '../../homeserver/streams/typing.ts';
import type { JsonObject, JsonValue } from '../../spec/event.ts';
import {
  isEventId,
  isRoomId,
  isUserId,
  type ServerName,
  serverNameOf,
  type UserId,
} from '../../spec/identifiers.ts';
import type { RoomAccess } from '../rooms/room-access.ts';
import type { EduDispatcher } from './edu-dispatcher.ts';

export interface RoomEdusDeps {
  readonly access: RoomAccess;
  readonly typing: Pick<Typing, 'setRemote'>;
  readonly receipts: Pick<Receipts, 'receive'>;
}

/** Of one EDU; a server that has more sends another. */
const MAX_ROOMS = 100;
const MAX_RECEIPTS = 1000;
const MAX_THREAD_ID_LENGTH = 255;

export const handleRoomEdus = (edus: EduDispatcher, deps: RoomEdusDeps): void => {
  edus.on('m.typing', (origin, content) => receiveTyping(deps, origin, content));
  edus.on('m.receipt', (origin, content) => receiveReceipts(deps, origin, content));
};

const roomFor = async (
  { access }: RoomEdusDeps,
  origin: ServerName,
  roomId: JsonValue | undefined,
): Promise<LiveRoom | undefined> => {
  if (typeof roomId !== 'string' || !isRoomId(roomId)) return undefined;
  const room = await access.ours(roomId);
  if (room === undefined || !(await access.aclOf(room)).allows(origin)) return undefined;
  return room;
};

const isOf = (origin: ServerName, userId: JsonValue | undefined): userId is UserId =>
  typeof userId === 'string' && isUserId(userId) && serverNameOf(userId) === origin;

const receiveTyping = async (
  deps: RoomEdusDeps,
  origin: ServerName,
  content: JsonObject,
): Promise<void> => {
  const { room_id: roomId, user_id: userId, typing } = content;
  if (!isOf(origin, userId) || typeof typing !== 'boolean') return;
  const room = await roomFor(deps, origin, roomId);
  if (room?.membership(userId) === 'join') deps.typing.setRemote(room, userId, typing);
};

const receiveReceipts = async (
  deps: RoomEdusDeps,
  origin: ServerName,
  content: JsonObject,
): Promise<void> => {
  let left = MAX_RECEIPTS;
  for (const [roomId, byType] of Object.entries(content).slice(0, MAX_ROOMS)) {
    const byUser = isObject(byType) ? byType['m.read'] : undefined;
    if (!isObject(byUser)) continue;
    const receipts = Object.entries(byUser)
      .slice(0, left)
      .flatMap(([userId, receipt]) => (isOf(origin, userId) ? receiptOf(userId, receipt) : []));
    left -= receipts.length;
    const room = receipts.length > 0 ? await roomFor(deps, origin, roomId) : undefined;
    if (room !== undefined) await deps.receipts.receive(room, receipts);
  }
};

const receiptOf = (userId: UserId, receipt: JsonValue | undefined): RemoteReceipt[] => {
  if (!isObject(receipt)) return [];
  const { event_ids: eventIds, data } = receipt;
  const eventId = Array.isArray(eventIds) ? eventIds[0] : undefined;
  if (typeof eventId !== 'string' || !isEventId(eventId) || !isObject(data)) return [];
  const { ts, thread_id: threadId } = data;
  if (!Number.isSafeInteger(ts) || (ts as number) < 0) return [];
  const isThread =
    typeof threadId === 'string' &&
    (threadId === 'main' || isEventId(threadId)) &&
    threadId.length <= MAX_THREAD_ID_LENGTH;
  if (threadId !== undefined && !isThread) return [];
  return [{ userId, eventId, threadId: isThread ? threadId : undefined, ts: ts as number }];
};

const isObject = (value: JsonValue | undefined): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
