import { NoSlot, RequestSlots, type SlotLimits } from './request-slots.ts';

describe('request slots', () => {
  const setUp = (limits: Partial<SlotLimits>) => {
    const slots = new RequestSlots({
      maxRunning: 100,
      maxRunningPerDestination: 100,
      maxRunningPerRequester: 100,
      maxWaitingPerRequester: 100,
      maxWaiting: 100,
      ...limits,
    });
    const order: string[] = [];
    const finish = new Map<string, () => void>();
    let most = 0;
    let running = 0;
    /** `a1` goes to the destination `a` for the requester `a`, `ab1` to `a` for `b`. */
    const start = (name: string, maxWaitMs?: number) => {
      const [destination, requester] = [name[0] as string, name[name.length - 2] as string];
      const wish = { destination, requester, ...(maxWaitMs !== undefined && { maxWaitMs }) };
      return slots.run(wish, async () => {
        order.push(name);
        most = Math.max(most, ++running);
        await new Promise<void>((resolve) => finish.set(name, resolve));
        running--;
      });
    };
    const settle = async (name: string) => {
      finish.get(name)?.();
      await new Promise((resolve) => setImmediate(resolve));
    };
    return { slots, order, start, settle, most: () => most };
  };

  it('bounds how many run, in all and to one server, and lets servers take turns', async () => {
    const { order, start, settle, most } = setUp({ maxRunning: 3, maxRunningPerDestination: 2 });
    const all = ['a1', 'a2', 'a3', 'a4', 'a5', 'b1', 'b2', 'c1'].map((name) => start(name));
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

  it('lets requesters take turns, whatever they ask', async () => {
    const { order, start, settle } = setUp({ maxRunning: 2, maxRunningPerRequester: 1 });
    const names = ['ax1', 'bx1', 'cx1', 'dx1', 'ay1', 'az1', 'ay2'];
    const all = names.map((name) => start(name));
    await settle('');
    expect(order).toEqual(['ax1', 'ay1']);
    await settle('ay1');
    expect(order.at(-1)).toBe('az1');
    await settle('az1');
    expect(order.at(-1)).toBe('ay2');
    await settle('ax1');
    expect(order.at(-1)).toBe('bx1');
    for (const name of ['ay2', 'bx1', 'cx1', 'dx1']) await settle(name);
    await Promise.all(all);
    expect(order).toHaveLength(names.length);
  });

  it('passes over whom a full server keeps waiting', async () => {
    const { order, start, settle } = setUp({ maxRunning: 3, maxRunningPerDestination: 1 });
    const all = ['ax1', 'ax2', 'bx1', 'ay1'].map((name) => start(name));
    await settle('');
    expect(order).toEqual(['ax1', 'bx1']);
    for (const name of ['ax1', 'ax2', 'ay1', 'bx1']) await settle(name);
    await Promise.all(all);
  });

  it('turns away what would wait too long in line', async () => {
    const one = setUp({ maxRunning: 1, maxWaitingPerRequester: 1, maxWaiting: 2 });
    const all = ['a1', 'a2', 'b1'].map((name) => one.start(name));
    await expect(one.start('a3')).rejects.toThrow(NoSlot);
    await expect(one.start('c1')).rejects.toThrow(NoSlot);
    for (const name of ['a1', 'a2', 'b1']) await one.settle(name);
    await Promise.all(all);
  });

  it('gives up a place in line in time, and nothing else with it', async () => {
    const { order, start, settle } = setUp({ maxRunning: 1 });
    const first = start('a1');
    const impatient = start('a2', 20);
    const patient = start('a3');
    await expect(impatient).rejects.toThrow(NoSlot);
    await settle('a1');
    await settle('a3');
    await Promise.all([first, patient]);
    expect(order).toEqual(['a1', 'a3']);
  });

  it('gives the slot back when the work fails', async () => {
    const { slots } = setUp({ maxRunning: 1 });
    const wish = { destination: 'a' };
    await expect(slots.run(wish, () => Promise.reject(new Error('no')))).rejects.toThrow('no');
    expect(await slots.run(wish, async () => 5)).toBe(5);
  });
});
