import fc from 'fast-check';
import { MemoryBudget, memoryShares } from '../memory-budget.ts';
import { RoomActivity } from './room-activity.ts';

it('names the rooms that have changed, or says that it cannot', () => {
  fc.assert(
    fc.property(
      fc.array(fc.nat(5), { maxLength: 60 }),
      fc.nat(70),
      fc.nat(8),
      (rooms, after, most) => {
        const activity = new RoomActivity(0, new MemoryBudget());
        for (const [index, room] of rooms.entries()) activity.record(room, index + 1);
        const changed = new Set(rooms.slice(after));
        const found = activity.roomsChangedAfter(after, most);
        expect(found).toEqual(changed.size <= most ? changed : undefined);
        for (const room of changed) expect(activity.changedSince(room, after)).toBe(true);
      },
    ),
  );
});

it('knows no further back than the rooms it remembers', () => {
  const activity = new RoomActivity(
    10,
    new MemoryBudget(Math.ceil((4 * 160 * 100) / memoryShares.marks)),
  );
  activity.record(1, 11);
  activity.record(2, 12);
  activity.record(1, 13);
  expect(activity.knows(10)).toBe(true);
  activity.record(3, 14);
  expect(activity.knows(11)).toBe(false);
  expect(activity.knows(12)).toBe(true);
  expect(activity.changedSince(1, 12)).toBe(true);
});
