/** The lines and the table a run prints. */
import { withUnit } from './format.ts';
import { type Bar, meetsBar, NotApplicable, type Outcome, type Scenario } from './scenario.ts';

export type Verdict = 'pass' | 'fail' | 'error' | 'skipped' | 'measured';

export interface Result {
  readonly scenario: Scenario;
  readonly verdict: Verdict;
  readonly outcome?: Outcome;
  readonly error?: string;
}

const MARKS: Readonly<Record<Verdict, string>> = {
  pass: '✔',
  fail: '✘',
  error: '‼',
  skipped: '–',
  measured: '·',
};

/** @throws for an outcome without the detail that a bar judges */
const judgedBy = ({ detail }: Bar, { name }: Scenario, { details }: Outcome): number => {
  const value = details[detail];
  if (value === undefined) throw new Error(`${name} gives its bar no value ${detail}`);
  return value;
};

export const judge = (scenario: Scenario, outcome: Outcome): Result => {
  const { bars = [] } = scenario;
  if (bars.length === 0) return { scenario, outcome, verdict: 'measured' };
  const isMet = bars.every((bar) => meetsBar(bar, judgedBy(bar, scenario, outcome)));
  return { scenario, outcome, verdict: isMet ? 'pass' : 'fail' };
};

export const failed = (scenario: Scenario, error: unknown): Result => ({
  scenario,
  verdict: error instanceof NotApplicable ? 'skipped' : 'error',
  error: error instanceof Error ? error.message : String(error),
});

export const barText = ({ of, atLeast, atMost, unit }: Bar): string =>
  atLeast === undefined
    ? `${of} ≤ ${withUnit(atMost ?? Number.NaN, unit)}`
    : `${of} ≥ ${withUnit(atLeast, unit)}`;

/** One line, printed when its scenario has ended. */
export const line = ({ scenario, verdict, outcome, error }: Result): string => {
  const bars = (scenario.bars ?? []).map(barText).join(', ');
  const note = bars === '' ? '' : ` (bar: ${bars})`;
  const text = outcome === undefined ? `${verdict}: ${error}` : `${outcome.figure}${note}`;
  return `${MARKS[verdict]} ${scenario.name.padEnd(16)} ${text}`;
};

/** Scenario, judged value, bar and mark; a row for each bar. */
const rowsOf = ({ scenario, verdict, outcome }: Result): string[][] => {
  const { name, bars = [] } = scenario;
  if (outcome === undefined) {
    return [[name, verdict, bars.map(barText).join(', '), MARKS[verdict]]];
  }
  if (bars.length === 0) return [[name, outcome.figure.split(/[,;] /)[0]!, '', MARKS[verdict]]];
  return bars.map((bar, index) => {
    const value = judgedBy(bar, scenario, outcome);
    const mark = MARKS[meetsBar(bar, value) ? 'pass' : 'fail'];
    return [index === 0 ? name : '', withUnit(value, bar.unit), barText(bar), mark];
  });
};

export const table = (results: readonly Result[]): string =>
  columns([['scenario', 'figure', 'bar', ''], ...results.flatMap(rowsOf)]);

/** Rows of cells as lines, every column as wide as its widest cell. */
export const columns = (all: readonly (readonly string[])[]): string => {
  const widths = all[0]!
    .slice(0, -1)
    .map((_, column) => Math.max(...all.map((row) => row[column]!.length)));
  return all
    .map((row) => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  '))
    .map((row) => row.trimEnd())
    .join('\n');
};

/** Whether a strict run ends well: every bar met, no scenario broken. */
export const allWell = (results: readonly Result[]): boolean =>
  results.every(({ verdict }) => verdict !== 'fail' && verdict !== 'error');

export const toJson = (
  conditions: Readonly<Record<string, string | number>>,
  results: readonly Result[],
): string =>
  JSON.stringify(
    {
      conditions,
      scenarios: results.map(({ scenario, verdict, outcome, error }) => ({
        name: scenario.name,
        measures: scenario.measures,
        verdict,
        ...(scenario.bars === undefined ? {} : { bars: scenario.bars }),
        ...(outcome === undefined ? { error } : outcome.details),
      })),
    },
    null,
    2,
  );
