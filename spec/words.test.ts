import { wordsOf } from './words.ts';

describe('wordsOf', () => {
  it.each([
    ['Hello, hello WORLD!', ['hello', 'world']],
    ['@alice:example.org', ['alice', 'example', 'org']],
    ['Zoë’s naïve café', ['zoë', 's', 'naïve', 'café']],
    ['Zoe\u0308', ['zoë']],
    ['ﬁne ＡＢＣ', ['fine', 'abc']],
    ['привет, мир', ['привет', 'мир']],
    ['नमस्ते', ['नमस्ते']],
    ["':* | ! & \u0000", []],
    ['', []],
  ])('takes %j apart', (text, words) => {
    expect(wordsOf(text)).toEqual(words);
  });

  it('is bounded in number and length', () => {
    expect(wordsOf('a b c d', 3)).toEqual(['a', 'b', 'c']);
    expect(wordsOf('x'.repeat(100))).toEqual(['x'.repeat(64)]);
  });
});
