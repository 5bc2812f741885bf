/** Account data in sync: global entries at the top level, those of a room in the room's part. */
import type { RoomId } from '../../spec/identifiers.ts';
import type { AccountData, AccountDataRow } from '../streams/account-data.ts';
import type { SyncResponse } from './response.ts';
import { isNewlyJoined, type SyncContext, type SyncStream } from './sync-stream.ts';

export class AccountDataStream implements SyncStream {
  readonly name = 'account data';
  readonly #accountData: AccountData;

  constructor(accountData: AccountData) {
    this.#accountData = accountData;
  }

  collect(context: SyncContext, response: SyncResponse): Promise<void> | undefined {
    const { userId, from, to, fullState } = context;
    if (from === undefined || fullState) {
      return this.#accountData.all(userId).then((rows) => {
        add(context, rows, response, undefined);
      });
    }
    const rows = this.#accountData.changesSince(userId, from.position, to.position);
    const fresh = context.changedRooms.filter(
      (room) => room.membership === 'join' && isNewlyJoined(context, room),
    );
    if (Array.isArray(rows) && fresh.length === 0) {
      add(context, rows, response, undefined);
      return undefined;
    }
    const freshIds = new Set<string>(fresh.map(({ roomId }) => roomId));
    return this.#withFreshRooms(context, rows, freshIds, response);
  }

  /** A room joined again brings what the user kept about it before. */
  async #withFreshRooms(
    context: SyncContext,
    changed: AccountDataRow[] | Promise<AccountDataRow[]>,
    fresh: ReadonlySet<string>,
    response: SyncResponse,
  ): Promise<void> {
    add(context, await changed, response, fresh);
    if (fresh.size === 0) return;
    const all = await this.#accountData.all(context.userId);
    add(
      context,
      all.filter(({ roomId }) => fresh.has(roomId)),
      response,
      undefined,
    );
  }
}

const add = (
  { filter, rooms, userId }: SyncContext,
  rows: readonly AccountDataRow[],
  response: SyncResponse,
  exceptRooms: ReadonlySet<string> | undefined,
): void => {
  if (rows.length === 0) return;
  const shown = new Set<string>();
  if (rows.some(({ roomId }) => roomId !== '')) {
    for (const room of rooms) if (room.membership === 'join') shown.add(room.roomId);
  }
  for (const { roomId, type, content } of rows) {
    const event = `{"type":${JSON.stringify(type)},"content":${content}}`;
    if (roomId === '') {
      if (filter.accountData.matchesEvent({ type, sender: userId })) {
        response.addEvent('account_data', event);
      }
      continue;
    }
    const wanted =
      shown.has(roomId) &&
      exceptRooms?.has(roomId) !== true &&
      filter.room.accountData.matchesRoom(roomId) &&
      filter.room.accountData.matchesEvent({ type, sender: userId });
    if (wanted) response.joined(roomId as RoomId).accountData.push(event);
  }
};
