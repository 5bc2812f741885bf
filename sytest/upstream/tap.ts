/**
 * What a run of the official SyTest suite really showed, read from its output.
 *
 * The suite prints TAP on standard output (numbered results) and, on standard
 * error, which file each number belongs to. A skip prints `ok … # skip` and an
 * unexpected pass prints `# TODO`: neither is what it looks like, so nothing here
 * trusts the word `ok` alone.
 */

export type Outcome = 'passed' | 'failed' | 'skipped';

export interface TestResult {
  readonly number: number;
  /** Test file relative to the suite's root, such as `tests/31sync/02sync.pl`. */
  readonly file: string;
  readonly name: string;
  readonly outcome: Outcome;
}

/** One line per test in the passing list; distinct even when a file uses a name twice. */
export type TestId = string;

export interface SuiteRun {
  readonly results: readonly TestResult[];
  /** True only if the suite printed its final `1..N` and N is the number of results. */
  readonly complete: boolean;
  /** The suite's own warnings about a server process that ended by itself. */
  readonly crashes: readonly string[];
}

export interface TapReader {
  stdoutLine(line: string): void;
  stderrLine(line: string): void;
  finish(): SuiteRun;
}

const RESULT = /^(not )?ok (\d+) (.*)$/;
const PLAN = /^1\.\.(\d+)$/;
const FILE = /^(\S+\.pl):$/;
const TEST_STARTS = /^ {4}Test (\d+) /;
const CRASH = /^#\*\* (.* process (?:exited|failed) .*)$/;

/** Collects lines (without their newline) in the order the suite printed them. */
export function createTapReader(): TapReader {
  const outcomes: { number: number; name: string; outcome: Outcome }[] = [];
  const fileOfNumber = new Map<number, string>();
  const crashes: string[] = [];
  let currentFile = '';
  let planned: number | undefined;

  return {
    stdoutLine(line) {
      const plan = PLAN.exec(line);
      if (plan) planned = Number(plan[1]);
      const crash = CRASH.exec(line);
      if (crash) crashes.push(crash[1]!);
      const result = RESULT.exec(line);
      if (result) outcomes.push(readResult(result[1] !== undefined, Number(result[2]), result[3]!));
    },
    stderrLine(line) {
      const file = FILE.exec(line);
      if (file) currentFile = file[1]!;
      const starts = TEST_STARTS.exec(line);
      if (starts) fileOfNumber.set(Number(starts[1]), currentFile);
    },
    finish() {
      const results = outcomes.map((each) => ({
        ...each,
        file: fileOfNumber.get(each.number) ?? '(unknown file)',
      }));
      return { results, complete: planned !== undefined && planned === results.length, crashes };
    },
  };
}

function readResult(notOk: boolean, number: number, rest: string) {
  const skipped = / # skip\b/.test(rest);
  const name = rest
    .replace(/ # (?:skip|TODO)\b.*$/, '')
    .replace(/^\(expected fail\) /, '')
    .replace(/ \(\d+ subtests\)$/, '');
  const outcome: Outcome = notOk ? 'failed' : skipped ? 'skipped' : 'passed';
  return { number, name, outcome };
}

/** The id of every result, in run order: `file: name`, with ` [2]`, ` [3]`… for repeated names. */
export function idsOf(results: readonly TestResult[]): Map<TestId, TestResult> {
  const seen = new Map<string, number>();
  const ids = new Map<TestId, TestResult>();
  for (const result of results) {
    const plain = `${result.file}: ${result.name}`;
    const count = (seen.get(plain) ?? 0) + 1;
    seen.set(plain, count);
    ids.set(count === 1 ? plain : `${plain} [${count}]`, result);
  }
  return ids;
}
