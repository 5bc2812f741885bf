import { LoadingCache } from './loading-cache.ts';

type Answer = { resolve(value: string): void; reject(error: Error): void };

let asked: Answer[];
let cache: LoadingCache<string, string>;
beforeEach(() => {
  asked = [];
  cache = new LoadingCache(
    new Map(),
    () => new Promise((resolve, reject) => asked.push({ resolve, reject })),
  );
});

it('loads once for all who ask at the same time, and then has it at once', async () => {
  const both = [cache.get('a'), cache.get('a')];
  asked[0]?.resolve('x');
  expect(await Promise.all(both)).toEqual(['x', 'x']);
  expect(cache.get('a')).toBe('x');
  expect(cache.peek('a')).toBe('x');
  expect(asked).toHaveLength(1);
});

it.each([
  ['forgotten', () => cache.forget('a')],
  ['cleared', () => cache.clear()],
])('does not keep what was %s while it was loaded', async (_how, change) => {
  const first = cache.get('a');
  change();
  const second = cache.get('a');
  asked[0]?.resolve('old');
  expect(await first).toBe('old');
  expect(cache.peek('a')).toBeUndefined();
  asked[1]?.resolve('new');
  await second;
  expect(cache.peek('a')).toBe('new');
});

it('keeps what was set while an older value was loaded', async () => {
  const loading = cache.get('a');
  cache.set('a', 'set');
  asked[0]?.resolve('loaded');
  await loading;
  expect(cache.peek('a')).toBe('set');
});

it('does not keep a failure', async () => {
  const first = cache.get('a');
  asked[0]?.reject(new Error('away'));
  await expect(first).rejects.toThrow('away');
  const second = cache.get('a');
  asked[1]?.resolve('x');
  expect(await second).toBe('x');
});
