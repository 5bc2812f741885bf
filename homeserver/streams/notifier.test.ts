import type { UserId } from '../../spec/identifiers.ts';
import { Notifier, type Waiter } from './notifier.ts';

const user = (name: string): UserId => `@${name}:here.test` as UserId;

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

/** Holds the event loop. */
const work = (durationMs: number): void => {
  const untilMs = performance.now() + durationMs;
  while (performance.now() < untilMs);
};

/** Readers in one room that work for `stepMs` when woken; `done` has those who have. */
const readers = (notifier: Notifier, names: readonly string[], stepMs = 0) => {
  const done: string[] = [];
  const waiters: Waiter[] = [];
  const all = Promise.all(
    names.map(async (name) => {
      const waiter = notifier.register(user(name));
      waiters.push(waiter);
      await waiter.wait(30_000);
      work(stepMs);
      done.push(name);
      notifier.release(waiter);
    }),
  );
  return { done, waiters, all };
};

const crowd = (size: number): string[] => Array.from({ length: size }, (_, index) => `r${index}`);

it('lets the turn in which something happened end before anyone is woken', async () => {
  const notifier = new Notifier();
  const { done, all } = readers(notifier, ['alice']);
  notifier.wake([user('alice')]);
  // However many steps an answer takes that waits for nothing else.
  for (let step = 0; step < 1_000; step += 1) await Promise.resolve();
  expect(done).toEqual([]);
  await all;
});

it('wakes a crowd in turns, and what else is waiting runs between them', async () => {
  const notifier = new Notifier();
  const names = crowd(300);
  const { done, all } = readers(notifier, names, 0.5);
  notifier.wake(names.map(user));
  let before = 0;
  let mostInOneTurn = 0;
  while (done.length < names.length) {
    await turn();
    mostInOneTurn = Math.max(mostInOneTurn, done.length - before);
    before = done.length;
  }
  await all;
  // 6 ms are twelve readers and the one that exceeds them; all of them would be 150 ms.
  expect(mostInOneTurn).toBeGreaterThan(0);
  expect(mostInOneTurn).toBeLessThanOrEqual(14);
});

it('wakes two hundred in one turn, unless that takes too long', async () => {
  const notifier = new Notifier();
  const names = crowd(200);
  const wokenInOneTurn = async (stepMs: number): Promise<number> => {
    const { done, all } = readers(notifier, names, stepMs);
    notifier.wake(names.map(user));
    await turn();
    const woken = done.length;
    await all;
    return woken;
  };
  expect(await wokenInOneTurn(0)).toBe(200);
  // 20 ms, and the reader that exceeds them.
  expect(await wokenInOneTurn(1)).toBeLessThanOrEqual(21);
});

it('does not let a few wait for a crowd', async () => {
  const notifier = new Notifier();
  const many = readers(notifier, crowd(200), 1);
  const few = readers(notifier, ['alice', 'bob']);
  notifier.wake(crowd(200).map(user));
  await turn();
  notifier.wake([user('alice'), user('bob')]);
  await few.all;
  expect(many.done.length).toBeLessThan(30);
  await many.all;
});

it('loses no wake-up of a reader that is being woken, reads or has just begun to wait', async () => {
  const notifier = new Notifier();
  let written = 0;
  const names = crowd(50);
  const last = 200;
  const reading = names.map(async (name) => {
    let read = 0;
    let rounds = 0;
    while (read < last) {
      const waiter = notifier.register(user(name));
      if (read === written) await waiter.wait(5_000);
      read = written;
      rounds += 1;
      notifier.release(waiter);
      if (rounds % 3 === 0) await turn();
    }
    return read;
  });
  while (written < last) {
    written += 1;
    notifier.wake(names.slice(written % 7).map(user));
    notifier.wake(names.slice(0, 7).map(user));
    if (written % 2 === 0) await turn();
  }
  expect(await Promise.all(reading)).toEqual(names.map(() => last));
});

it('leaves alone who has gone before their turn', async () => {
  const notifier = new Notifier();
  const waiter = notifier.register(user('alice'));
  let isWoken = false;
  const waiting = waiter.wait(30).then(() => {
    isWoken = true;
  });
  notifier.wake([user('alice')]);
  notifier.release(waiter);
  await turn();
  await turn();
  expect(isWoken).toBe(false);
  await waiting;
  expect(notifier.waiting).toBe(0);
});

it('ends all waiting when the server stops, with nothing kept of it at a shared signal', async () => {
  const notifier = new Notifier();
  const { all } = readers(notifier, crowd(100));
  notifier.drain();
  await all;
  expect(notifier.isDraining).toBe(true);
});
