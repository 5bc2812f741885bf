import { allWell, failed, judge, line, table } from './report.ts';
import { type Bar, NotApplicable, type Scenario } from './scenario.ts';

const scenario = (name: string, ...bars: Bar[]): Scenario => ({
  name,
  measures: 'nothing',
  ...(bars.length === 0 ? {} : { bars }),
  run: () => Promise.reject(new Error('not run here')),
});
const ratio = scenario('sends', { of: 'ratio', detail: 'ratio', atLeast: 0.6, unit: '' });
const delay = scenario('delivery', { of: 'p95', detail: 'p95Ms', atMost: 10, unit: 'ms' });
const free = scenario('joins');

describe('judge', () => {
  it('lets a value that is exactly at its bar pass', () => {
    expect(judge(ratio, { figure: 'x', details: { ratio: 0.6 } }).verdict).toBe('pass');
    expect(judge(ratio, { figure: 'x', details: { ratio: 0.59 } }).verdict).toBe('fail');
    expect(judge(delay, { figure: 'x', details: { p95Ms: 10 } }).verdict).toBe('pass');
    expect(judge(delay, { figure: 'x', details: { p95Ms: 10.1 } }).verdict).toBe('fail');
    expect(judge(free, { figure: 'x', details: {} }).verdict).toBe('measured');
  });

  it('never lets a figure that is no number pass', () => {
    const noNumber = { figure: 'x', details: { p95Ms: Number.NaN } };
    expect(judge(delay, noNumber).verdict).toBe('fail');
    expect(() => judge(delay, { figure: 'x', details: {} })).toThrow('no value');
  });
});

describe('the report', () => {
  const results = [
    judge(ratio, { figure: '3,420/s, p50 13.1 ms', details: { ratio: 0.62 } }),
    judge(free, { figure: '1,200/s, p50 8.00 ms', details: {} }),
    failed(delay, new Error('2 arrivals are missing')),
  ];

  it('has a line for each scenario', () => {
    expect(results.map(line)).toEqual([
      '✔ sends            3,420/s, p50 13.1 ms (bar: ratio ≥ 0.60)',
      '· joins            1,200/s, p50 8.00 ms',
      '‼ delivery         error: 2 arrivals are missing',
    ]);
  });

  it('ends with a table of values and bars', () => {
    expect(table(results).split('\n')).toEqual([
      'scenario  figure   bar',
      'sends     0.62     ratio ≥ 0.60   ✔',
      'joins     1,200/s                 ·',
      'delivery  error    p95 ≤ 10.0 ms  ‼',
    ]);
  });

  it('is well only when nothing failed; what cannot be measured here does not count', () => {
    expect(allWell(results)).toBe(false);
    expect(allWell(results.slice(0, 2))).toBe(true);
    expect(allWell([failed(delay, new NotApplicable('no process'))])).toBe(true);
  });
});
