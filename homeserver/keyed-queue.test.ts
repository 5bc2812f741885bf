import { KeyedQueue } from './keyed-queue.ts';

it('runs what has one key in turn, failures included, and lets other keys pass', async () => {
  const queue = new KeyedQueue<string>();
  const heard: string[] = [];
  let release: () => void = () => undefined;
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  const first = queue.run('a', async () => {
    heard.push('a1 begins');
    await held;
    heard.push('a1 ends');
    throw new Error('a1 failed');
  });
  const second = queue.run('a', async () => heard.push('a2'));
  const other = queue.run('b', async () => heard.push('b'));
  await other;
  expect(heard).toEqual(['a1 begins', 'b']);
  release();
  await expect(first).rejects.toThrow('a1 failed');
  await second;
  expect(heard).toEqual(['a1 begins', 'b', 'a1 ends', 'a2']);
});

it('keeps nothing of a key once its work has ended', async () => {
  const queue = new KeyedQueue<string>();
  const turn = queue.run('a', async () => 'done');
  expect(queue.has('a')).toBe(true);
  expect(await turn).toBe('done');
  await Promise.resolve();
  expect(queue.has('a')).toBe(false);
});
