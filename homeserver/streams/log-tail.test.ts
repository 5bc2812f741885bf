import fc from 'fast-check';
import { LogTail } from './log-tail.ts';

/** What an entry takes besides its row: see ENTRY_BYTES. */
const entryBytes = 160;

const keysAndMemory = [
  fc.array(fc.nat(3), { maxLength: 80 }),
  fc.integer({ min: 1, max: 30 }),
  fc.nat(90),
  fc.nat(90),
  fc.nat(3),
] as const satisfies readonly fc.Arbitrary<unknown>[];

it('answers as a full list would, or says that it cannot', () => {
  fc.assert(
    fc.property(...keysAndMemory, (keys, maxRows, after, upTo, key) => {
      const tail = new LogTail<number, number>(0, { maxBytes: maxRows * entryBytes });
      for (const [index, of] of keys.entries()) tail.add(of, index + 1, index + 1);
      const all = [...keys.keys()].map((index) => index + 1);
      const wanted = all.filter(
        (position) => position > after && position <= upTo && keys[position - 1] === key,
      );
      const isKnown = after >= keys.length - maxRows;
      expect(tail.isCompleteAfter(after)).toBe(isKnown);
      expect(tail.between(key, after, upTo)).toEqual(isKnown ? wanted : undefined);
      expect(tail.rowsAfter(after)?.map(({ position }) => position)).toEqual(
        isKnown ? all.filter((position) => position > after) : undefined,
      );
      expect(tail.rowsAfter(after, 2)?.map(({ row }) => row)).toEqual(
        isKnown ? all.filter((position) => position > after).slice(0, 2) : undefined,
      );
    }),
  );
});

it('names the keys of what is new, unless that is much or long ago', () => {
  fc.assert(
    fc.property(...keysAndMemory, (keys, maxRows, after, most, _key) => {
      const tail = new LogTail<number, undefined>(0, { maxBytes: maxRows * entryBytes });
      for (const [index, key] of keys.entries()) tail.add(key, index + 1, undefined);
      const fresh = keys.slice(after);
      const isKnown = after >= keys.length - maxRows && fresh.length <= most;
      expect(tail.keysAfter(after, most)).toEqual(isKnown ? new Set(fresh) : undefined);
    }),
  );
});

it('keeps of each key what changed last where that is enough', () => {
  fc.assert(
    fc.property(...keysAndMemory, (keys, maxKeys, after, most, key) => {
      const options = { maxBytes: maxKeys * entryBytes, onlyNewest: true };
      const tail = new LogTail<number, undefined>(0, options);
      for (const [index, of] of keys.entries()) tail.add(of, index + 1, undefined);
      expect(tail.bytes).toBe(Math.min(maxKeys, new Set(keys).size) * entryBytes);
      const last = keys.lastIndexOf(key) + 1;
      if (tail.isCompleteAfter(after))
        expect((tail.lastChange(key) ?? 0) > after).toBe(last > after);
      const fresh = new Set(keys.slice(after));
      const found = tail.keysAfter(after, most);
      if (found !== undefined) expect(found).toEqual(fresh);
      else expect(!tail.isCompleteAfter(after) || fresh.size > most).toBe(true);
      // Nothing is forgotten while all keys have their place.
      if (new Set(keys).size <= maxKeys) expect(tail.completeAfter).toBe(0);
    }),
  );
});

it('holds no more than it may, whatever rows weigh', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(3_000), { maxLength: 60 }), fc.nat(5_000), (rows, maxBytes) => {
      const tail = new LogTail<string, string>(0, { maxBytes, weigh: (row) => row.length });
      for (const [index, length] of rows.entries()) {
        tail.add(`key ${index % 3}`, index + 1, 'x'.repeat(length));
        expect(tail.bytes).toBeLessThanOrEqual(maxBytes);
      }
      const kept = tail.rowsAfter(tail.completeAfter) ?? [];
      const weight = kept.reduce((sum, { row }) => sum + entryBytes + row.length, 0);
      expect(tail.bytes).toBe(weight);
      expect(kept).toHaveLength(rows.length - tail.completeAfter);
    }),
  );
});

it('filled with what was there before, answers as if it had always been', () => {
  const rowsOf = (keys: readonly number[], from: number) =>
    keys.map((key, index) => ({ key, position: from + index + 1, row: from + index + 1 }));
  fc.assert(
    fc.property(
      ...keysAndMemory,
      fc.nat(20),
      fc.boolean(),
      (keys, maxRows, after, upTo, key, began, onlyNewest) => {
        const options = { maxBytes: maxRows * entryBytes, onlyNewest };
        const start = Math.min(began, keys.length);
        const always = new LogTail<number, number>(0, options);
        for (const { key: of, position, row } of rowsOf(keys, 0)) always.add(of, position, row);
        const filled = new LogTail<number, number>(start, options);
        for (const { key: of, position, row } of rowsOf(keys.slice(start), start)) {
          filled.add(of, position, row);
        }
        // The database may have what was written meanwhile, too.
        filled.fill(start, 0, rowsOf(keys, 0).toReversed());
        expect(filled.completeAfter).toBe(always.completeAfter);
        expect(filled.bytes).toBe(always.bytes);
        expect(filled.between(key, after, upTo)).toEqual(always.between(key, after, upTo));
        expect(filled.rowsAfter(after)?.map(({ row }) => row)).toEqual(
          always.rowsAfter(after)?.map(({ row }) => row),
        );
        for (let more = 1; more <= 5; more += 1) {
          for (const tail of [always, filled]) tail.add(more % 3, 100 + more, more);
        }
        expect(filled.completeAfter).toBe(always.completeAfter);
        expect(filled.between(key, after, 200)).toEqual(always.between(key, after, 200));
      },
    ),
  );
});

it('is not filled where memory was lost meanwhile', () => {
  const tail = new LogTail<string, string>(9, { maxBytes: 10_000 });
  tail.reset(20);
  tail.fill(9, 5, [{ key: 'a', position: 6, row: 'six' }]);
  expect(tail.completeAfter).toBe(20);
  expect(tail.bytes).toBe(0);
});

it('knows nothing of before a reset', () => {
  const tail = new LogTail<string, string>(5, { maxBytes: 10_000 });
  tail.add('a', 6, 'x');
  expect(tail.lastChange('a')).toBe(6);
  tail.reset(7);
  expect(tail.bytes).toBe(0);
  expect(tail.between('a', 6, 9)).toBeUndefined();
  expect(tail.keysAfter(6, 9)).toBeUndefined();
  expect(tail.keysAfter(7, 9)).toEqual(new Set());
  expect(tail.between('a', 7, 9)).toEqual([]);
  expect(tail.lastChange('a')).toBeUndefined();
  expect(tail.lastPosition).toBe(7);
});
