import { SeenIds } from './seen-ids.ts';

const id = (n: number) => `!room:example.org\nm.room.message\n\nm${1_700_000_000_000 + n}.${n}`;

describe('SeenIds', () => {
  it('knows everything it was given, and takes little else for seen', () => {
    const seen = new SeenIds();
    const count = 20_000;
    for (let n = 0; n < count; n += 1) expect(seen.add(id(n))).toBe(true);
    let forgotten = 0;
    let mistaken = 0;
    for (let n = 0; n < count; n += 1) {
      if (!seen.mayHave(id(n))) forgotten += 1;
      if (seen.mayHave(id(count + n))) mistaken += 1;
    }
    expect(forgotten).toBe(0);
    expect(mistaken / count).toBeLessThan(0.05);
    expect(seen.layers).toBe(5);
  });

  it('says so when it is full', () => {
    const seen = new SeenIds();
    let taken = 0;
    while (taken < 1_000_000 && seen.add(id(taken))) taken += 1;
    expect(taken).toBe(64 * 4096);
    expect(seen.mayHave(id(0))).toBe(true);
  });
});
