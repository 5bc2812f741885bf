/** Read receipts in sync. https://spec.matrix.org/v1.19/client-server-api/#receipts */
import type { UserRoom } from '../rooms/user-rooms.ts';
import type { Notifier } from '../streams/notifier.ts';
import type { ReceiptRow, Receipts } from '../streams/receipts.ts';
import type { SyncResponse } from './response.ts';
import { isNewlyJoined, type SyncContext, type SyncStream } from './sync-stream.ts';

export class ReceiptsStream implements SyncStream {
  readonly name = 'receipts';
  readonly #receipts: Receipts;
  readonly #notifier: Notifier;

  constructor(receipts: Receipts, notifier: Notifier) {
    this.#receipts = receipts;
    this.#notifier = notifier;
  }

  collect(context: SyncContext, response: SyncResponse): Promise<void> | undefined {
    const { ephemeral } = context.filter.room;
    if (!ephemeral.matchesEvent({ type: 'm.receipt' })) return undefined;
    const fresh: UserRoom[] = [];
    const waits: Promise<void>[] = [];
    for (const room of context.changedRooms) {
      if (room.membership !== 'join' || !ephemeral.matchesRoom(room.roomId)) continue;
      if (isNewlyJoined(context, room)) {
        fresh.push(room);
        continue;
      }
      const from = context.from?.position ?? 0;
      const rows = this.#receipts.changesSince(room.roomNid, from, context.to.position);
      const isHeld = this.#notifier.holds(room.roomNid);
      if (Array.isArray(rows)) add(context, room, rows, response, isHeld);
      else waits.push(rows.then((found) => add(context, room, found, response, isHeld)));
    }
    if (fresh.length > 0) waits.push(this.#addFresh(context, fresh, response));
    return waits.length === 0 ? undefined : Promise.all(waits).then(() => undefined);
  }

  async #addFresh(
    context: SyncContext,
    rooms: readonly UserRoom[],
    response: SyncResponse,
  ): Promise<void> {
    const rows = await this.#receipts.of(rooms.map(({ roomNid }) => roomNid));
    for (const room of rooms) add(context, room, rows.get(room.roomNid) ?? [], response, false);
  }
}

const add = (
  context: SyncContext,
  room: UserRoom,
  rows: readonly ReceiptRow[],
  response: SyncResponse,
  isHeld: boolean,
): void => {
  const shown = rows.filter(
    ({ userId, type, streamPos }) =>
      streamPos <= context.to.position &&
      // A private receipt is between a user and their own devices.
      (type !== 'm.read.private' || userId === context.userId) &&
      !context.ignoredUsers.has(userId),
  );
  const content = receiptContent(shown);
  if (content === undefined) return;
  const isOwn = shown.some(({ userId }) => userId === context.userId);
  response
    .joined(room.roomId)
    .addEphemeral(`{"type":"m.receipt","content":${content}}`, isHeld && !isOwn);
};

type Receipt = { ts: number; thread_id?: string };

/** `{ eventId: { type: { userId: receipt } } }` as JSON. */
const receiptContent = (rows: readonly ReceiptRow[]): string | undefined => {
  if (rows.length === 0) return undefined;
  const byEvent = new Map<string, Map<string, Map<string, Receipt>>>();
  for (const { eventId, type, userId, threadId, receivedAtMs } of rows) {
    const byType = entry(byEvent, eventId, () => new Map<string, Map<string, Receipt>>());
    const byUser = entry(byType, type, () => new Map<string, Receipt>());
    // One fits: that which says of the whole room what the other says of a thread.
    if (threadId !== '' && byUser.has(userId)) continue;
    byUser.set(userId, { ts: receivedAtMs, ...(threadId !== '' && { thread_id: threadId }) });
  }
  return JSON.stringify(
    Object.fromEntries(
      [...byEvent].map(([eventId, byType]) => [
        eventId,
        Object.fromEntries([...byType].map(([type, users]) => [type, Object.fromEntries(users)])),
      ]),
    ),
  );
};

const entry = <K, V>(map: Map<K, V>, key: K, make: () => V): V => {
  let value = map.get(key);
  if (value === undefined) {
    value = make();
    map.set(key, value);
  }
  return value;
};
