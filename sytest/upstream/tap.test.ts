import { compare } from './passing-list.ts';
import { createTapReader, idsOf } from './tap.ts';

function read(stdout: readonly string[], stderr: readonly string[]) {
  const reader = createTapReader();
  for (const line of stderr) reader.stderrLine(line);
  for (const line of stdout) reader.stdoutLine(line);
  return reader.finish();
}

const STDERR = [
  'tests/10apidoc/02login.pl:',
  '    Test 1 Login works... OK',
  '    Test 2 Login is quick... OK',
  'WARN: something said on the way',
  '    Test 3 Login with a dragon... SKIP',
  'tests/42tags.pl:',
  '    Test 4 Tags stick... FAIL',
  '    Test 5 Tags stick... OK',
  '    Test 6 Login works... EXPECTED FAIL',
];
const STDOUT = [
  '# Starting Homeserver',
  'ok 1 Login works',
  '  ok 1 a step of a test (Login is quick)',
  '  1..1',
  'ok 2 Login is quick (1 subtests)',
  'ok 3 Login with a dragon # skip lack of dragons',
  'not ok 4 Tags stick',
  '# Tags do not stick',
  'ok 5 (expected fail) Tags stick # TODO passed but expected fail',
  'not ok 6 (expected fail) Login works # TODO expected fail',
];

describe('reading a run', () => {
  it('tells passes from skips and failures, whatever the line begins with', () => {
    const { results } = read(STDOUT, STDERR);
    expect(results.map(({ file, name, outcome }) => [file, name, outcome])).toEqual([
      ['tests/10apidoc/02login.pl', 'Login works', 'passed'],
      ['tests/10apidoc/02login.pl', 'Login is quick', 'passed'],
      ['tests/10apidoc/02login.pl', 'Login with a dragon', 'skipped'],
      ['tests/42tags.pl', 'Tags stick', 'failed'],
      ['tests/42tags.pl', 'Tags stick', 'passed'],
      ['tests/42tags.pl', 'Login works', 'failed'],
    ]);
  });

  it('is complete only with a final plan of as many tests as were seen', () => {
    expect(read(STDOUT, STDERR).complete).toBe(false);
    expect(read([...STDOUT, '1..6'], STDERR).complete).toBe(true);
    expect(read([...STDOUT, '1..7'], STDERR).complete).toBe(false);
  });

  it('notices a server that ended by itself', () => {
    const { crashes } = read([...STDOUT, '#** parley-0 process exited 134'], STDERR);
    expect(crashes).toEqual(['parley-0 process exited 134']);
  });

  it('gives repeated names ids of their own', () => {
    expect([...idsOf(read(STDOUT, STDERR).results).keys()].slice(3, 5)).toEqual([
      'tests/42tags.pl: Tags stick',
      'tests/42tags.pl: Tags stick [2]',
    ]);
  });
});

describe('comparing with the passing list', () => {
  const ids = idsOf(read([...STDOUT, '1..6'], STDERR).results);
  const login = 'tests/10apidoc/02login.pl: Login works';
  const quick = 'tests/10apidoc/02login.pl: Login is quick';
  const dragon = 'tests/10apidoc/02login.pl: Login with a dragon';
  const tags = 'tests/42tags.pl: Tags stick';
  const elsewhere = 'tests/31sync/02sync.pl: Can sync';

  it('counts a failure, a skip and an absence as lost', () => {
    const { lost } = compare(new Set([login, dragon, tags, elsewhere]), ids, []);
    expect(lost).toEqual([dragon, tags, elsewhere]);
  });

  it('judges only the files that were run', () => {
    const { lost } = compare(new Set([tags, elsewhere]), ids, ['tests/42tags.pl']);
    expect(lost).toEqual([tags]);
  });

  it('grows the list in the suite’s order and never shrinks it', () => {
    const { gained, grown } = compare(new Set([tags, login, elsewhere]), ids, []);
    expect(gained).toEqual([quick, `${tags} [2]`]);
    expect(grown).toEqual([login, quick, elsewhere, tags, `${tags} [2]`]);
  });
});
