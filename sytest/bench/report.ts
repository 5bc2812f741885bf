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

export const judge = (scenario: Scenario, outcome: Outcome): Result => {
  const { bar } = scenario;
  if (bar === undefined) return { scenario, outcome, verdict: 'measured' };
  if (outcome.judged === undefined) throw new Error(`${scenario.name} gives its bar no value`);
  return { scenario, outcome, verdict: meetsBar(bar, outcome.judged) ? 'pass' : 'fail' };
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
  const bar = scenario.bar === undefined ? '' : ` (bar: ${barText(scenario.bar)})`;
  const text = outcome === undefined ? `${verdict}: ${error}` : `${outcome.figure}${bar}`;
  return `${MARKS[verdict]} ${scenario.name.padEnd(16)} ${text}`;
};

/** Scenario, judged value, bar and mark, in columns. */
export const table = (results: readonly Result[]): string => {
  const rows = results.map(({ scenario, verdict, outcome }) => {
    const { bar } = scenario;
    const value =
      bar === undefined || outcome?.judged === undefined
        ? (outcome?.figure.split(/[,;] /)[0] ?? verdict)
        : withUnit(outcome.judged, bar.unit);
    return [scenario.name, value, bar === undefined ? '' : barText(bar), MARKS[verdict]];
  });
  const all = [['scenario', 'figure', 'bar', ''], ...rows];
  const widths = [0, 1, 2].map((column) => Math.max(...all.map((row) => row[column]!.length)));
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
        ...(scenario.bar === undefined ? {} : { bar: scenario.bar }),
        ...(outcome === undefined ? { error } : { judged: outcome.judged, ...outcome.details }),
      })),
    },
    null,
    2,
  );
