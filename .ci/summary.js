/**
 * Ends a run of continuous integration: `node summary.js RESULTS.json STATUS` prints the slowest
 * test files and, as its last line, `N passed, N failed`. Exits non-zero unless all went well.
 */
import { readFileSync } from 'node:fs';

const SLOWEST = 10;
const [file, status] = process.argv.slice(2);

/** Jest's results; none when lint or types failed before it ran. */
const readResults = () => {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    return undefined;
  }
};

const results = readResults() ?? {
  numPassedTests: 0,
  numFailedTests: 0,
  numRuntimeErrorTestSuites: 0,
  testResults: [],
};

const seconds = ({ startTime, endTime }) => (endTime - startTime) / 1_000;
const slowest = results.testResults
  .toSorted((a, b) => seconds(b) - seconds(a))
  .slice(0, SLOWEST)
  .map((each) => `${seconds(each).toFixed(1).padStart(7)} s  ${each.name}`);
if (slowest.length > 0) console.log(['', 'Slowest files:', ...slowest, ''].join('\n'));

// A file that could not even be loaded holds no failed test, and still failed.
const failed = results.numFailedTests + results.numRuntimeErrorTestSuites;
const ok = status === '0' && failed === 0 && results.numPassedTests > 0;
console.log(`${results.numPassedTests} passed, ${ok ? 0 : Math.max(1, failed)} failed`);
process.exitCode = ok ? 0 : 1;
