import fc from 'fast-check';
import { RecentRows } from './recent-rows.ts';

it('answers as a full list would, or says that it cannot', () => {
  fc.assert(
    fc.property(
      fc.array(fc.nat(3), { maxLength: 80 }),
      fc.integer({ min: 1, max: 30 }),
      fc.nat(90),
      fc.nat(90),
      fc.nat(3),
      (keys, maxRows, after, upTo, key) => {
        const rows = new RecentRows<number, number>(0, maxRows);
        for (const [index, of] of keys.entries()) rows.add(of, index + 1, index + 1);
        const all = [...keys.keys()].map((index) => index + 1);
        const wanted = all.filter(
          (position) => position > after && position <= upTo && keys[position - 1] === key,
        );
        const found = rows.between(key, after, upTo);
        if (found === undefined) expect(after).toBeLessThan(keys.length - 0.8 * maxRows);
        else expect(found).toEqual(wanted);
      },
    ),
  );
});

it('names the keys of what is new, unless that is much or long ago', () => {
  fc.assert(
    fc.property(
      fc.array(fc.nat(5), { maxLength: 80 }),
      fc.integer({ min: 1, max: 30 }),
      fc.nat(90),
      fc.nat(40),
      (keys, maxRows, after, most) => {
        const rows = new RecentRows<number, undefined>(0, maxRows);
        for (const [index, key] of keys.entries()) rows.add(key, index + 1, undefined);
        const fresh = keys.slice(after);
        const found = rows.keysAfter(after, most);
        if (found !== undefined) expect(found).toEqual(new Set(fresh));
        else if (fresh.length <= most) expect(after).toBeLessThan(keys.length - 0.8 * maxRows);
      },
    ),
  );
});

it('knows nothing of before a reset', () => {
  const rows = new RecentRows<string, string>(5);
  rows.add('a', 6, 'x');
  expect(rows.lastChange('a')).toBe(6);
  rows.reset(7);
  expect(rows.between('a', 6, 9)).toBeUndefined();
  expect(rows.keysAfter(6, 9)).toBeUndefined();
  expect(rows.keysAfter(7, 9)).toEqual(new Set());
  expect(rows.between('a', 7, 9)).toEqual([]);
  expect(rows.lastChange('a')).toBeUndefined();
});
