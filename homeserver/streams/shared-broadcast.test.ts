/** What processes tell one another, from one leader to the next. */
import { type TestDatabase, testDatabase } from '../testing/test-database.ts';
import { Serials } from './broadcast.ts';
import {
  type KeptText,
  type NewsText,
  SharedBroadcast,
  type ToldNews,
} from './shared-broadcast.ts';

let test: TestDatabase;
beforeAll(async () => {
  test = await testDatabase();
});
afterAll(() => test.close());

class Unsent extends Error {}

/** Processes of which one leads; what is told passes as text. */
const processes = (count: number) => {
  let leader: number | undefined;
  const heard: [payload: string, serial: number][][] = [];
  const all = Array.from({ length: count }, (_, nth) => {
    const own: [string, number][] = [];
    heard.push(own);
    const broadcast = new SharedBroadcast({
      askLeader: async (news: NewsText) => {
        await new Promise((resolve) => setImmediate(resolve));
        if (leader === undefined) throw new Unsent();
        all[leader]?.relay(JSON.parse(JSON.stringify(news)));
      },
      isUnsent: (error) => error instanceof Unsent,
    });
    broadcast.onTold('word', (word: string, serial) => own.push([word, serial]));
    broadcast.keep('words', {
      state: () => own,
      restore: (words: [string, number][]) => void own.splice(0, own.length, ...words),
    });
    return { nth, broadcast };
  }).map(({ broadcast }) => broadcast);
  return {
    all,
    heard,
    async lead(nth: number, deaf: readonly number[] = []) {
      if (leader !== undefined) all[leader]?.follow();
      leader = nth;
      all[nth]?.lead({
        serials: await Serials.open(test.database),
        publish: (told: ToldNews) => {
          for (const [other, broadcast] of all.entries()) {
            if (other !== nth && !deaf.includes(other)) {
              broadcast.heard(JSON.parse(JSON.stringify([told])));
            }
          }
        },
      });
    },
    lose() {
      if (leader !== undefined) all[leader]?.follow();
      leader = undefined;
    },
  };
};

describe('what processes tell one another', () => {
  it('has the same order and the same serials in all of them', async () => {
    const { all, heard, lead } = processes(3);
    await lead(0);
    await Promise.all(
      Array.from({ length: 30 }, (_, nth) => all[nth % 3]?.tell('word', `word ${nth}`)),
    );
    expect(heard[0]).toHaveLength(30);
    expect(heard[1]).toEqual(heard[0]);
    expect(heard[2]).toEqual(heard[0]);
  });

  it('has serials that never go back, whoever leads', async () => {
    const { all, heard, lead } = processes(2);
    for (let nth = 0; nth < 6; nth += 1) {
      await lead(nth % 2);
      await all[0]?.tell('word', 'one');
      await all[1]?.tell('word', 'two');
    }
    const serials = heard[0]?.map(([, serial]) => serial) as number[];
    expect(serials).toHaveLength(12);
    expect(serials).toEqual([...serials].sort((one, other) => one - other));
    expect(new Set(serials).size).toBe(12);
    expect(all[0]?.serial).toBe(all[1]?.serial);
  });

  it('waits for a leader', async () => {
    const { all, heard, lead, lose } = processes(2);
    await lead(0);
    lose();
    const told = all[1]?.tell('word', 'later');
    await new Promise((resolve) => setTimeout(resolve, 40));
    await lead(0);
    await told;
    expect(heard[1]).toEqual(heard[0]);
    expect(heard[1]?.map(([word]) => word)).toEqual(['later']);
  });

  it('is made good to whoever has missed some of it', async () => {
    const { all, heard, lead } = processes(3);
    await lead(0, [2]);
    await all[1]?.tell('word', 'missed');
    expect(heard[2]).toEqual([]);
    all[2]?.restore(JSON.parse(JSON.stringify(all[0]?.kept())) as KeptText);
    expect(heard[2]).toEqual(heard[0]);
    expect(all[2]?.serial).toBe(all[0]?.serial);
  });
});
