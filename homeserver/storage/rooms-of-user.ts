/** What several users have in rooms of their own, asked for with one statement. */
import type { UserId } from '../../spec/identifiers.ts';

export interface RoomsOfUser {
  readonly userId: UserId;
  readonly roomNids: readonly number[];
}

/** Pairs of user and room that go into one statement. */
export const wishBatches = {
  maxWeight: 1000,
  weigh: ({ roomNids }: RoomsOfUser): number => roomNids.length,
};

/** Parameters of `unnest`: the place of the wish, its user, and one of its rooms. */
export const wishColumns = (
  wishes: readonly RoomsOfUser[],
): [places: number[], userIds: UserId[], roomNids: number[]] => {
  const places: number[] = [];
  const userIds: UserId[] = [];
  const rooms: number[] = [];
  for (const [place, { userId, roomNids }] of wishes.entries()) {
    for (const roomNid of roomNids) {
      places.push(place);
      userIds.push(userId);
      rooms.push(roomNid);
    }
  }
  return [places, userIds, rooms];
};

/** Rows of a statement with {@link wishColumns}; wishes with none are left out. */
export const byWish = <Wish, Found extends { readonly place: number }, Row>(
  wishes: readonly Wish[],
  records: readonly Found[],
  rowFrom: (record: Found) => Row,
): Map<Wish, Row[]> => {
  const found = new Map<Wish, Row[]>();
  for (const record of records) {
    const wish = wishes[record.place] as Wish;
    const rows = found.get(wish);
    if (rows === undefined) found.set(wish, [rowFrom(record)]);
    else rows.push(rowFrom(record));
  }
  return found;
};
