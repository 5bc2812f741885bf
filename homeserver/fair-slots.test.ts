import { FairSlots } from './fair-slots.ts';

const limits = { maxRunning: 2, maxWaitingPerKey: 3, maxWaiting: 5 };

/** Work that ends when told to, and the order in which pieces of it began. */
const desk = (slots: FairSlots) => {
  const begun: string[] = [];
  const ends: (() => void)[] = [];
  const done: Promise<void>[] = [];
  return {
    begun,
    ask: (name: string, key: string) => {
      const work = () => {
        begun.push(name);
        return new Promise<void>((resolve) => ends.push(resolve));
      };
      done.push(slots.run(key, work));
    },
    endOne: async () => {
      ends.shift()?.();
      await new Promise(setImmediate);
    },
    all: () => Promise.all(done),
  };
};

describe('FairSlots', () => {
  it('lets those who wait take turns, by key', async () => {
    const { begun, ask, endOne, all } = desk(new FairSlots(limits));
    for (const name of ['a1', 'a2', 'a3', 'a4', 'a5']) ask(name, 'a');
    ask('b1', 'b');
    ask('c1', 'c');
    expect(begun).toEqual(['a1', 'a2']);
    for (let n = 0; n < 7; n++) await endOne();
    expect(begun).toEqual(['a1', 'a2', 'a3', 'b1', 'c1', 'a4', 'a5']);
    await all();
  });

  it('is full for a key, then for everybody, and frees what failed', async () => {
    const slots = new FairSlots(limits);
    const { ask, endOne, all } = desk(slots);
    expect(slots.isFull('a')).toBe(false);
    for (const name of ['a1', 'a2', 'a3', 'a4', 'a5']) ask(name, 'a');
    expect([slots.isFull('a'), slots.isFull('b')]).toEqual([true, false]);
    ask('b1', 'b');
    ask('b2', 'b');
    expect([slots.isFull('b'), slots.isFull('c')]).toEqual([true, true]);
    for (let n = 0; n < 7; n++) await endOne();
    await all();
    await expect(slots.run('a', () => Promise.reject(new Error('no')))).rejects.toThrow('no');
    const again = desk(slots);
    again.ask('1', 'a');
    again.ask('2', 'a');
    again.ask('3', 'a');
    expect(again.begun).toEqual(['1', '2']);
    for (let n = 0; n < 3; n++) await again.endOne();
    await again.all();
  });
});
