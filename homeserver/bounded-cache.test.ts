import fc from 'fast-check';
import { BoundedCache } from './bounded-cache.ts';

describe('BoundedCache', () => {
  it('holds the newest entries, and no more than twice as many', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 8 }), fc.array(fc.nat(40)), (max, keys) => {
        const cache = new BoundedCache<number, string>(max);
        for (const key of keys) cache.set(key, `value ${key}`);
        const newest = [...new Set(keys.toReversed())].slice(0, max);
        for (const key of newest) expect(cache.get(key)).toBe(`value ${key}`);
        const fresh = new BoundedCache<number, string>(max);
        for (const key of keys) fresh.set(key, `value ${key}`);
        const held = [...new Set(keys)].filter((key) => fresh.get(key) !== undefined);
        expect(held.length).toBeLessThanOrEqual(2 * max);
      }),
    );
  });

  it('holds no more than twice the weight, and one more of whatever size', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 50 }), fc.array(fc.nat(40)), (max, sizes) => {
        const cache = new BoundedCache<number, string>(max, (value) => value.length);
        for (const [key, size] of sizes.entries()) {
          cache.set(key % 7, 'x'.repeat(size));
          if (key % 5 === 0) cache.delete((key + 1) % 7);
          const held = Array.from({ length: 7 }, (_, each) => each);
          expect(cache.weight).toBeLessThanOrEqual(2 * max + 80);
          if (key % 11 === 0) for (const each of held) cache.get(each);
        }
        for (let key = 0; key < 7; key += 1) cache.delete(key);
        expect(cache.weight).toBe(0);
      }),
    );
  });

  it('keeps what is used while the rest is replaced', () => {
    const cache = new BoundedCache<string, number>(4);
    cache.set('used', 1);
    for (let i = 0; i < 100; i++) {
      cache.set(`other ${i}`, i);
      expect(cache.get('used')).toBe(1);
    }
    expect(cache.get('other 0')).toBeUndefined();
  });

  it('gives the latest value, and nothing of what was deleted', () => {
    const cache = new BoundedCache<string, number>(2);
    cache.set('a', 1);
    cache.set('b', 2);
    cache.set('a', 3);
    expect(cache.get('a')).toBe(3);
    cache.delete('a');
    expect(cache.get('a')).toBeUndefined();
    cache.clear();
    expect(cache.get('b')).toBeUndefined();
  });
});
