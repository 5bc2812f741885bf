import { comparedBy, comparisonTable, gainOf, isWorse } from './comparison.ts';

const slower = {
  scenario: 'sends',
  detail: 'perSecond',
  here: 90,
  there: 100,
  better: 'higher',
} as const;

describe('a comparison of two checkouts', () => {
  it('knows which direction is the better one', () => {
    expect(gainOf(slower)).toBeCloseTo(0.9);
    expect(gainOf({ ...slower, better: 'lower' })).toBeCloseTo(1.11);
  });

  it('takes small differences for noise and no larger ones', () => {
    expect(isWorse(slower)).toBe(true);
    expect(isWorse({ ...slower, here: 96 })).toBe(false);
    expect(isWorse({ ...slower, better: 'lower' })).toBe(false);
    expect(isWorse({ ...slower, here: Number.NaN })).toBe(true);
  });

  it('compares by what bars judge, and by what a scenario names beside', () => {
    expect(
      comparedBy({
        name: 'x',
        measures: '',
        bars: [{ of: 'p95', detail: 'p95Ms', atMost: 10, unit: 'ms' }],
        compared: [{ detail: 'perSecond', better: 'higher' }],
        run: () => Promise.reject(new Error('not run here')),
      }),
    ).toEqual([
      { detail: 'p95Ms', better: 'lower' },
      { detail: 'perSecond', better: 'higher' },
    ]);
  });

  it('prints a row for each figure', () => {
    expect(comparisonTable([slower]).split('\n')).toEqual([
      'scenario  figure     here  there  gain',
      'sends     perSecond  90.0  100    0.90  ✘',
    ]);
  });
});
