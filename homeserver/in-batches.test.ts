import { setImmediate as nextTurn } from 'node:timers/promises';
import { inBatches } from './in-batches.ts';

interface Question {
  readonly keys: readonly string[];
  answer(values: Record<string, string>): void;
  fail(error: Error): void;
}

let questions: Question[];
const ask = (keys: readonly string[]) =>
  new Promise<ReadonlyMap<string, string>>((resolve, reject) => {
    questions.push({ keys, answer: (v) => resolve(new Map(Object.entries(v))), fail: reject });
  });
const turnsPass = async () => {
  for (let turn = 0; turn < 4; turn += 1) await nextTurn();
};
const asked = () => questions.map(({ keys }) => keys.join(''));
beforeEach(() => {
  questions = [];
});

it('asks together for the keys of one turn, each once', async () => {
  const load = inBatches(ask);
  const answers = ['a', 'b', 'a'].map(load);
  await nextTurn();
  expect(asked()).toEqual(['ab']);
  questions[0]?.answer({ a: 'x' });
  expect(await Promise.all(answers)).toEqual(['x', undefined, 'x']);
});

it('asks two questions at a time, of so much weight, and the rest after them', async () => {
  const load = inBatches(ask, { maxWeight: 3, weigh: (key) => (key === 'g' ? 5 : 1) });
  const answers = [...'abcdefghi'].map(load);
  await turnsPass();
  expect(asked()).toEqual(['abc', 'def']);
  answers.push(load('j'));
  await turnsPass();
  expect(asked()).toHaveLength(2);
  questions[1]?.answer({});
  await turnsPass();
  expect(asked()).toEqual(['abc', 'def', 'g']);
  questions[0]?.answer({});
  await turnsPass();
  expect(asked()).toEqual(['abc', 'def', 'g', 'hij']);
  for (const question of questions.slice(2)) question.answer({ j: 'x' });
  expect((await Promise.all(answers)).at(-1)).toBe('x');
});

it('asks one question for those who come one after another', async () => {
  const load = inBatches(
    async (keys: readonly string[]) => {
      questions.push({ keys, answer: () => undefined, fail: () => undefined });
      return new Map(keys.map((key) => [key, key.toUpperCase()]));
    },
    { spacingMs: 500 },
  );
  expect(await load('a')).toBe('A');
  const answers: Promise<string | undefined>[] = [];
  for (const key of 'bcd') {
    answers.push(load(key));
    await nextTurn();
  }
  expect(await Promise.all(answers)).toEqual(['B', 'C', 'D']);
  expect(asked()).toEqual(['a', 'bcd']);
});

it('tells of a failure whom it concerns, and goes on', async () => {
  const load = inBatches(async (keys: readonly string[]) => {
    if (keys.includes('bad')) throw new Error('refused');
    return new Map(keys.map((key) => [key, key.toUpperCase()]));
  });
  const answers = await Promise.allSettled(['a', 'b', 'bad', 'c'].map(load));
  expect(
    answers.map((answer) => (answer.status === 'fulfilled' ? answer.value : 'failed')),
  ).toEqual(['A', 'B', 'failed', 'C']);
  expect(await load('d')).toBe('D');
});

it('asks a database that is away only once', async () => {
  const load = inBatches(ask);
  const answers = Promise.allSettled(['a', 'b'].map(load));
  await nextTurn();
  questions[0]?.fail(Object.assign(new Error('gone'), { code: '57P01' }));
  expect((await answers).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  expect(questions).toHaveLength(1);
});
