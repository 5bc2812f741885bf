import fc from 'fast-check';
import { compileGlob, matchesWhole, matchesWords } from './glob.ts';

const whole = (pattern: string, text: string) => matchesWhole(compileGlob(pattern), text);
const words = (pattern: string, text: string) => matchesWords(compileGlob(pattern), text);

describe('matching a whole text', () => {
  it.each([
    ['', ''],
    ['*', ''],
    ['*', 'anything'],
    ['lunc?*', 'lunch plans'],
    ['lunc?*', 'lunch'],
    ['a*b*c', 'abc'],
    ['a*b*c', 'a-b-b-c-c'],
    ['*ab', 'aab'],
    ['a**b', 'ab'],
    ['?', '😀'],
    ['a?c', 'a😀c'],
    ['*?x', 'axbx'],
    ['a.c', 'a.c'],
  ])('%j matches %j', (pattern, text) => expect(whole(pattern, text)).toBe(true));

  it.each([
    ['', 'a'],
    ['lunc?*', ' lunch'],
    ['lunc?*', 'lunc'],
    ['a*bc', 'abcd'],
    ['aba*aba', 'aba'],
    ['a', 'A'],
    ['a.c', 'abc'],
    ['??', '😀'],
  ])('%j does not match %j', (pattern, text) => expect(whole(pattern, text)).toBe(false));

  it('agrees with the regular expression of the same meaning', () => {
    fc.assert(
      fc.property(
        fc.stringMatching(/^[ab*?]{0,8}$/),
        fc.stringMatching(/^[ab]{0,10}$/),
        (pattern, text) => {
          const regexp = new RegExp(`^${pattern.replaceAll('*', '.*').replaceAll('?', '.')}$`);
          expect(whole(pattern, text)).toBe(regexp.test(text));
        },
      ),
    );
  });

  it('takes ? literally where a pattern has only stars', () => {
    const glob = compileGlob('a?*', { anyChar: false });
    expect(matchesWhole(glob, 'a?b')).toBe(true);
    expect(matchesWhole(glob, 'abb')).toBe(false);
  });
});

describe('matching words within a text', () => {
  it.each([
    ['ex*ple', 'an example event.'],
    ['ex*ple', 'exple'],
    ['ex*ple', 'an exciting triple-whammy'],
    ['cake', 'cake!'],
    ['cake', 'pancake cake'],
    ['@bob', 'hi@bob'],
    ['тест', 'один тест'],
    ['*', ''],
    ['c?t', 'a dog, a cat'],
  ])('%j matches %j', (pattern, text) => expect(words(pattern, text)).toBe(true));

  it.each([
    ['ex*ple', 'an excerpt'],
    ['cake', 'pancake'],
    ['cake', 'cake_shop'],
    ['cake', 'cakes'],
    ['ex*ple', 'simplex ple0'],
  ])('%j does not match %j', (pattern, text) => expect(words(pattern, text)).toBe(false));

  it('agrees with the regular expression of the same meaning', () => {
    fc.assert(
      fc.property(
        fc.stringMatching(/^[ab*?]{1,6}$/),
        fc.stringMatching(/^[ab -]{0,10}$/),
        (pattern, text) => {
          const inner = pattern.replaceAll('*', '.*').replaceAll('?', '.');
          const boundary = `(?:^|$|(?<=[^A-Za-z0-9_])|(?=[^A-Za-z0-9_]))`;
          expect(words(pattern, text)).toBe(new RegExp(boundary + inner + boundary).test(text));
        },
      ),
    );
  });
});

it('does not blow up on patterns that make regular expressions backtrack', () => {
  const glob = compileGlob(`${'a*'.repeat(200)}b`);
  const text = 'a'.repeat(20_000);
  expect(matchesWhole(glob, text)).toBe(false);
  expect(matchesWords(glob, text)).toBe(false);
});
