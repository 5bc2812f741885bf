import fc from 'fast-check';
import { exactJson, lenientCanonicalJson } from './canonical-json.ts';
import {
  parseExactJson,
  plainNumbers,
  portableNumbers,
  RawNumber,
  stringifyIfExact,
} from './exact-numbers.ts';

describe('JSON with its numbers as they were written', () => {
  // The right side is what Python's canonicaljson 2.0 makes of the left.
  it.each([
    ['{"n":1.0}', '{"n":1.0}'],
    ['{"n": 1e-07}', '{"n":1e-07}'],
    ['{"n":-0}', '{"n":0}'],
    ['{"n":-0.0}', '{"n":-0.0}'],
    ['{"n":1e+16}', '{"n":1e+16}'],
    ['{"n":1.5,"m":200.0}', '{"m":200.0,"n":1.5}'],
    ['{"n":9007199254740993}', '{"n":9007199254740993}'],
    ['{"n":9223372036854775808}', '{"n":9223372036854775808}'],
    ['[123456789012345678901234567890]', '[123456789012345678901234567890]'],
    ['{"a":"\\u007f\\u0080\\u2028\\ud83d\\ude00/"}', '{"a":"\u007f\u0080\u2028\u{1f600}/"}'],
    ['{"\\u00e9":1.5}', '{"é":1.5}'],
  ])('%s has the canonical form %s', (json, canonical) => {
    expect(lenientCanonicalJson(parseExactJson(json))).toBe(canonical);
  });

  // The right side is what Python's json makes of the left.
  it.each([
    [1e-7, '1e-07'],
    [-1.5e-5, '-1.5e-05'],
    [2.5e-11, '2.5e-11'],
    [0.0001, '0.0001'],
    [0.5, '0.5'],
    [9007199254740992, '9007199254740992.0'],
    [1e16, '1e+16'],
    [-1.25e20, '-1.25e+20'],
    [1e100, '1e+100'],
    [-0, '0'],
    [9007199254740991, '9007199254740991'],
  ])('%d is written as every implementation writes it again', (number, text) => {
    const portable = portableNumbers({ a: [{ b: number }], c: 'x' });
    expect(lenientCanonicalJson(portable)).toBe(`{"a":[{"b":${text}}],"c":"x"}`);
    const again = parseExactJson(exactJson(portable));
    expect(lenientCanonicalJson(again)).toBe(lenientCanonicalJson(portable));
  });

  it('has plain numbers wherever JavaScript writes the same', () => {
    const json = '[0,-1,1.5,1e+21,9007199254740991,1234567890123456]';
    expect(parseExactJson(json)).toStrictEqual(JSON.parse(json));
  });

  it('says whether there was a number that plain JSON does not keep', () => {
    const exact = parseExactJson('{"a":[1.0],"b":2}');
    expect(stringifyIfExact(exact)).toBeUndefined();
    expect(exactJson(exact)).toBe('{"a":[1.0],"b":2}');
    expect(JSON.stringify(exact)).toBe('{"a":[1],"b":2}');
    expect(exactJson({ b: 1, a: undefined })).toBe('{"b":1}');
  });

  it('gives a value with plain numbers, the same one where there is nothing to change', () => {
    const exact = parseExactJson('{"__proto__":{"x":1.0},"a":[{"b":2e0},{"c":3}],"d":{}}') as {
      a: object[];
      d: object;
    };
    const plain = plainNumbers(exact);
    expect(JSON.stringify(plain)).toBe('{"__proto__":{"x":1},"a":[{"b":2},{"c":3}],"d":{}}');
    expect(plain.a[0]).toStrictEqual({ b: 2 });
    expect(plain.d).toBe(exact.d);
    expect(exact.a[0]).toEqual({ b: expect.any(RawNumber) });
    expect(plainNumbers(plain)).toBe(plain);
  });

  it('is read as JSON.parse reads it', () => {
    fc.assert(
      fc.property(fc.json(), fc.boolean(), (json, indented) => {
        const text = indented ? JSON.stringify(JSON.parse(json), null, 2) : json;
        expect(plainNumbers(parseExactJson(text))).toStrictEqual(JSON.parse(text));
      }),
    );
  });

  it.each([
    '',
    ' ',
    '{',
    '[1',
    '[1,]',
    '{"a"}',
    '{"a":1,}',
    '{a:1}',
    '01',
    '1.',
    '.5',
    '+1',
    '1e',
    '-',
    'NaN',
    'tru',
    '"\n"',
    '"\\x"',
    '"a',
    '"\\',
    '1 2',
    '[1]]',
    '\u00a01',
  ])('is not %j', (text) => {
    expect(() => JSON.parse(text)).toThrow(SyntaxError);
    expect(() => parseExactJson(text)).toThrow(SyntaxError);
  });
});
