/** What several users have in rooms of their own, asked for with one statement. */
import type { UserId } from '../../spec/identifiers.ts';
import { numberArray, textArray } from './array-parameters.ts';

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
): [places: string, userIds: string, roomNids: string] => {
  const asked = wishes.flatMap(({ userId, roomNids }, place) =>
    roomNids.map((roomNid) => ({ place, userId, roomNid })),
  );
  return [
    numberArray(asked, ({ place }) => place),
    textArray(asked, ({ userId }) => userId),
    numberArray(asked, ({ roomNid }) => roomNid),
  ];
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
