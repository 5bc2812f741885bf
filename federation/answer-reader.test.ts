import { AnswerMemory, AnswerReader } from './answer-reader.ts';

const MIB = 1_048_576;

/** Whether it is still waiting once everything that may settle it has run. */
const isPending = async (waiting: Promise<void> | undefined): Promise<boolean> => {
  let isSettled = waiting === undefined;
  void waiting?.then(() => {
    isSettled = true;
  });
  await new Promise((resolve) => setImmediate(resolve));
  return !isSettled;
};

describe('the memory of answers', () => {
  it('lets the first go on, however large it is, and the others wait for it', async () => {
    const memory = new AnswerMemory(100_000);
    const [first, second, third] = [{}, {}, {}];
    expect(memory.take(first, 80_000)).toBeUndefined();
    const waiting = [memory.take(second, 30_000), memory.take(third, 30_000)];
    expect(await isPending(waiting[0])).toBe(true);
    expect(memory.take(first, 10_000_000)).toBeUndefined();
    memory.giveBack(first);
    expect(await isPending(waiting[0])).toBe(false);
    expect(memory.take(second, 50_000)).toBeUndefined();
    expect(await isPending(waiting[1])).toBe(true);
    memory.giveBack(second);
    expect(await isPending(waiting[1])).toBe(false);
    memory.giveBack(third);
    expect(memory.bytes).toBe(0);
  });

  it('is free of those that end while they wait', async () => {
    const memory = new AnswerMemory(100_000);
    const [first, second, third] = [{}, {}, {}];
    void memory.take(first, 100_000);
    const waiting = memory.take(second, 100_000);
    const last = memory.take(third, 10_000);
    memory.giveBack(second);
    expect(await isPending(waiting)).toBe(false);
    expect(await isPending(last)).toBe(true);
    memory.giveBack(first);
    expect(await isPending(last)).toBe(false);
    expect(memory.bytes).toBe(10_000);
  });

  it('counts values as what they become', () => {
    const memory = new AnswerMemory(100 * MIB);
    const reader = new AnswerReader(memory, 200, { maxBytes: 16 * MIB, maxValues: 500_000 });
    const values = 200_000;
    for (const part of ['{"x":[{}', ',{}'.repeat(values), ']}']) {
      void reader.push(Buffer.from(part));
    }
    expect(memory.bytes).toBeGreaterThan(values * 64);
    expect(reader.value()).toMatchObject({ x: { length: values + 1 } });
    reader.close();
    expect(memory.bytes).toBe(0);
  });

  it('is not needed for small ones', () => {
    const memory = new AnswerMemory(0);
    const reader = new AnswerReader(memory, 200, { maxBytes: MIB, maxValues: 10 });
    expect(reader.push(Buffer.from(`{"x":"${'x'.repeat(100_000)}"}`))).toBeUndefined();
    expect(memory.bytes).toBe(0);
  });
});
