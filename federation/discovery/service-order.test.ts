import fc from 'fast-check';
import { systemRandom } from '../../homeserver/random.ts';
import { serviceOrder } from './service-order.ts';

const record = (target: string, priority: number, weight: number) => ({
  target,
  port: 8448,
  priority,
  weight,
});

describe('service order', () => {
  it('goes by priority, and by weight at random within one', () => {
    const records = [
      record('spare', 20, 100),
      record('heavy', 10, 60),
      record('light', 10, 20),
      record('none', 10, 0),
    ];
    const first = new Map<string, number>();
    for (let i = 0; i < 3000; i++) {
      const order = serviceOrder(records, systemRandom).map(({ target }) => target);
      expect(order).toHaveLength(4);
      expect(order[3]).toBe('spare');
      first.set(order[0] as string, (first.get(order[0] as string) ?? 0) + 1);
    }
    const [heavy = 0, light = 0, none = 0] = ['heavy', 'light', 'none'].map((name) =>
      first.get(name),
    );
    expect(heavy / light).toBeGreaterThan(2);
    expect(heavy / light).toBeLessThan(4.5);
    expect(none).toBeGreaterThan(0);
    expect(none).toBeLessThan(150);
  });

  it('loses and invents nothing', () => {
    const anyRecord = fc.record({
      target: fc.string(),
      port: fc.nat(65_535),
      priority: fc.nat(65_535),
      weight: fc.nat(65_535),
    });
    fc.assert(
      fc.property(fc.array(anyRecord, { maxLength: 20 }), (records) => {
        const order = serviceOrder(records, systemRandom);
        expect(order).toHaveLength(records.length);
        expect(new Set(order)).toEqual(new Set(records));
        for (let i = 1; i < order.length; i++) {
          expect(order[i]?.priority).toBeGreaterThanOrEqual(order[i - 1]?.priority ?? 0);
        }
      }),
    );
  });
});
