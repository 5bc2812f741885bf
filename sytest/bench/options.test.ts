import { parseOptions, UsageError } from './options.ts';

describe('parseOptions', () => {
  it('takes scenarios as words or with --only, separated by commas', () => {
    expect(parseOptions(['sends', '--only', 'joins,memory', '--seconds', '2.5'])).toMatchObject({
      only: ['sends', 'joins', 'memory'],
      seconds: 2.5,
      strict: false,
    });
    expect(parseOptions([])).toMatchObject({ only: [], seconds: 5, target: undefined });
  });

  it.each([
    ['an unknown option', ['--sekonds', '1']],
    ['a time that is no number', ['--seconds', 'x']],
    ['no time at all', ['--seconds', '0']],
    ['a target beside another checkout', ['--against', '..', '--target', 'http://localhost:8008']],
    ['processes of a target', ['--processes', '2', '--target', 'http://localhost:8008']],
    ['a target that is no web address', ['--target', 'localhost:8008']],
  ])('refuses %s', (_, argv) => {
    expect(() => parseOptions(argv)).toThrow(UsageError);
  });
});
