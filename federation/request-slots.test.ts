import { NoSlot, RequestSlots } from './request-slots.ts';

describe('request slots', () => {
  const setUp = (maxRunning: number, maxRunningPerKey: number, maxWaitingPerKey = 100) => {
    const slots = new RequestSlots({ maxRunning, maxRunningPerKey, maxWaitingPerKey });
    const order: string[] = [];
    const finish = new Map<string, () => void>();
    let most = 0;
    let running = 0;
    const start = (key: string, name: string) =>
      slots.run(key, async () => {
        order.push(name);
        most = Math.max(most, ++running);
        await new Promise<void>((resolve) => finish.set(name, resolve));
        running--;
      });
    const settle = async (name: string) => {
      finish.get(name)?.();
      await new Promise((resolve) => setImmediate(resolve));
    };
    return { slots, order, start, settle, most: () => most };
  };

  it('bounds how many run, in all and for one key, and lets keys take turns', async () => {
    const { order, start, settle, most } = setUp(3, 2);
    const all = [
      ...['a1', 'a2', 'a3', 'a4', 'a5'].map((name) => start('a', name)),
      ...['b1', 'b2'].map((name) => start('b', name)),
      start('c', 'c1'),
    ];
    await settle('');
    expect(order).toEqual(['a1', 'a2', 'b1']);
    await settle('b1');
    expect(order.at(-1)).toBe('b2');
    await settle('a1');
    await settle('a2');
    expect(order.slice(4).sort()).toEqual(['a3', 'c1']);
    for (const name of ['b2', 'a3', 'c1', 'a4', 'a5']) await settle(name);
    await Promise.all(all);
    expect(order).toHaveLength(8);
    expect(most()).toBe(3);
  });

  it('turns away what would wait too long in line', async () => {
    const { start, settle } = setUp(1, 1, 1);
    const first = start('a', 'a1');
    const second = start('a', 'a2');
    await expect(start('a', 'a3')).rejects.toThrow(NoSlot);
    await settle('a1');
    await settle('a2');
    await Promise.all([first, second]);
  });

  it('gives the slot back when the work fails', async () => {
    const { slots } = setUp(1, 1);
    await expect(slots.run('a', () => Promise.reject(new Error('no')))).rejects.toThrow('no');
    expect(await slots.run('a', async () => 5)).toBe(5);
  });
});
