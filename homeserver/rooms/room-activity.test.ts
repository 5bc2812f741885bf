import fc from 'fast-check';
import { RoomActivity } from './room-activity.ts';

it('names the rooms that have changed, or says that it cannot', () => {
  fc.assert(
    fc.property(
      fc.array(fc.nat(5), { maxLength: 60 }),
      fc.integer({ min: 1, max: 20 }),
      fc.nat(70),
      fc.nat(30),
      (rooms, maxNewest, after, most) => {
        const activity = new RoomActivity(0, { maxNewest });
        for (const [index, room] of rooms.entries()) activity.record(room, index + 1);
        const changed = rooms.slice(after);
        const found = activity.roomsChangedAfter(after, most);
        if (changed.length <= Math.min(most, maxNewest)) expect(found).toEqual(new Set(changed));
        else expect(found).toBeUndefined();
        for (const room of changed) expect(activity.changedSince(room, after)).toBe(true);
      },
    ),
  );
});

it('knows no further back than the rooms it remembers', () => {
  const activity = new RoomActivity(10, { maxRooms: 2 });
  activity.record(1, 11);
  activity.record(2, 12);
  activity.record(1, 13);
  expect(activity.knows(10)).toBe(true);
  activity.record(3, 14);
  expect(activity.knows(11)).toBe(false);
  expect(activity.knows(12)).toBe(true);
  expect(activity.changedSince(1, 12)).toBe(true);
});

it('knows nothing of before a reset', () => {
  const activity = new RoomActivity(0);
  activity.record(1, 1);
  activity.reset(5);
  expect(activity.knows(4)).toBe(false);
  expect(activity.roomsChangedAfter(4, 10)).toBeUndefined();
  expect(activity.roomsChangedAfter(5, 10)).toEqual(new Set());
  activity.record(2, 6);
  expect(activity.roomsChangedAfter(5, 10)).toEqual(new Set([2]));
});
