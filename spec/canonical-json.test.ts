import canonicalJsonPackage from 'canonical-json';
import fc from 'fast-check';
import {
  CanonicalJsonError,
  canonicalJson,
  compareCodePoints,
  lenientCanonicalJson,
} from './canonical-json.ts';
import type { JsonValue } from './event.ts';

// https://spec.matrix.org/v1.19/appendices/#examples
describe('the vectors of the specification', () => {
  it.each([
    ['{}', '{}'],
    ['{"one": 1, "two": "Two"}', '{"one":1,"two":"Two"}'],
    ['{"b": "2", "a": "1"}', '{"a":"1","b":"2"}'],
    ['{"b":"2","a":"1"}', '{"a":"1","b":"2"}'],
    [
      `{"auth": {"success": true, "mxid": "@john.doe:example.com", "profile": {
        "display_name": "John Doe", "three_pids": [
          {"medium": "email", "address": "john.doe@example.org"},
          {"medium": "msisdn", "address": "123456789"}]}}}`,
      '{"auth":{"mxid":"@john.doe:example.com","profile":{"display_name":"John Doe","three_pids":[{"address":"john.doe@example.org","medium":"email"},{"address":"123456789","medium":"msisdn"}]},"success":true}}',
    ],
    ['{"a": "日本語"}', '{"a":"日本語"}'],
    ['{"本": 2, "日": 1}', '{"日":1,"本":2}'],
    ['{"a": "\\u65E5"}', '{"a":"日"}'],
    ['{"a": null}', '{"a":null}'],
  ])('%s becomes %s', (input, output) => {
    expect(canonicalJson(JSON.parse(input))).toBe(output);
    expect(lenientCanonicalJson(JSON.parse(input))).toBe(output);
  });

  it('negative zero and exponents are normalised where they are let in at all', () => {
    expect(lenientCanonicalJson(JSON.parse('{"a": -0, "b": 1e10}'))).toBe(
      '{"a":0,"b":10000000000}',
    );
  });
});

describe('the order of keys', () => {
  it('is by code point, not by UTF-16 unit', () => {
    // U+FF5E comes before U+1F600, whose first surrogate (U+D83D) is smaller.
    const value = { '\u{1f600}': 1, '\uff5e': 2, a: { '\u{10ffff}': 1, '\ue000': 2, z: 3 } };
    expect(canonicalJson(value)).toBe(
      '{"a":{"z":3,"\ue000":2,"\u{10ffff}":1},"\uff5e":2,"\u{1f600}":1}',
    );
  });

  it('is lexicographic for keys that look like numbers', () => {
    expect(canonicalJson({ 9: 1, 10: 2, 1: 3 })).toBe('{"1":3,"10":2,"9":1}');
  });

  it('keeps keys named like properties of Object', () => {
    const json = '{"__proto__":{"a":1},"constructor":2,"toString":3}';
    expect(canonicalJson(JSON.parse(json))).toBe(json);
  });
});

describe('strings', () => {
  it('escape what must be escaped, and nothing else', () => {
    expect(canonicalJson('\b\t\n\f\r"\\\u0000\u001f/\u007f\u2028é😀')).toBe(
      '"\\b\\t\\n\\f\\r\\"\\\\\\u0000\\u001f/\u007f\u2028é😀"',
    );
  });

  it('with an unpaired surrogate are refused', () => {
    expect(() => canonicalJson('\ud800')).toThrow(CanonicalJsonError);
    expect(() => canonicalJson({ '\udc00': 1 })).toThrow(CanonicalJsonError);
    expect(lenientCanonicalJson('\ud800')).toBe('"\\ud800"');
  });
});

describe('numbers', () => {
  it.each([0, 1, -1, 2 ** 53 - 1, -(2 ** 53) + 1])('%d is written', (number) => {
    expect(canonicalJson([number])).toBe(`[${number}]`);
  });

  it.each([0.5, -0, 2 ** 53, -(2 ** 53), 1e300])('%d is let in only leniently', (number) => {
    expect(() => canonicalJson({ a: [number] })).toThrow(CanonicalJsonError);
    expect(JSON.parse(lenientCanonicalJson({ a: [number] }))).toEqual({ a: [number + 0] });
  });

  it.each([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])(
    '%d is never let in',
    (number) => {
      expect(() => canonicalJson(number)).toThrow(CanonicalJsonError);
      expect(() => lenientCanonicalJson(number)).toThrow(CanonicalJsonError);
    },
  );
});

it('leaves out what is undefined', () => {
  expect(canonicalJson({ a: undefined, b: 1, c: undefined })).toBe('{"b":1}');
});

it('refuses bottomless nesting, whatever keys it has', () => {
  const nested = (depth: number, key: string) =>
    JSON.parse(`${`{"${key}":`.repeat(depth)}0${'}'.repeat(depth)}`) as JsonValue;
  expect(canonicalJson(nested(500, 'a'))).toHaveLength(500 * 6 + 1);
  expect(() => canonicalJson(nested(5_000, 'a'))).toThrow(CanonicalJsonError);
  expect(() => lenientCanonicalJson(nested(5_000, '\u{1f600}'))).toThrow(CanonicalJsonError);
});

describe('for any value', () => {
  const text = fc.string({ unit: 'binary' });
  const { json } = fc.letrec<{ json: JsonValue }>((tie) => ({
    json: fc.oneof(
      { maxDepth: 4 },
      fc.constant(null),
      fc.boolean(),
      text,
      fc.maxSafeInteger().map((n) => n + 0),
      fc.array(tie('json'), { maxLength: 5 }),
      fc.dictionary(text, tie('json'), { maxKeys: 8, noNullPrototype: true }),
    ),
  }));

  /** The keys of a flat object in the order in which its text has them; engines may reorder. */
  const keysAsWritten = (text: string): string[] =>
    [...text.matchAll(/("(?:[^"\\]|\\.)*"):/g)].map(([, key]) => JSON.parse(key ?? ''));

  it('parsing gives the value back, and writing it again the same text', () => {
    fc.assert(
      fc.property(json, (value) => {
        const written = canonicalJson(value);
        expect(JSON.parse(written)).toEqual(value);
        expect(canonicalJson(JSON.parse(written))).toBe(written);
        expect(lenientCanonicalJson(value)).toBe(written);
      }),
    );
  });

  it('another implementation agrees, where it keeps to the order', () => {
    const values = fc.oneof(
      fc.string(),
      fc.maxSafeInteger().map((n) => n + 0),
      fc.boolean(),
    );
    const nested = fc.dictionary(
      fc.stringMatching(/^[a-z. "\\é]{1,6}$/),
      fc.oneof(
        values,
        fc.dictionary(fc.stringMatching(/^[a-z]+$/), values, { noNullPrototype: true }),
      ),
      { noNullPrototype: true },
    );
    fc.assert(
      fc.property(nested, (value) => {
        expect(canonicalJson(value)).toBe(canonicalJsonPackage(value));
      }),
    );
  });

  it('the order in which keys were added makes no difference', () => {
    fc.assert(
      fc.property(fc.dictionary(text, json, { noNullPrototype: true }), (object) => {
        const reversed = Object.fromEntries(Object.entries(object).reverse());
        expect(canonicalJson(reversed)).toBe(canonicalJson(object));
      }),
    );
  });

  it('keys are in the order of their UTF-8 bytes, which is that of code points', () => {
    const flat = fc.dictionary(fc.string({ unit: 'binary', minLength: 1 }), fc.constant(0), {
      noNullPrototype: true,
    });
    fc.assert(
      fc.property(flat, (object) => {
        const inOrder = Object.keys(object).sort((a, b) =>
          Buffer.compare(Buffer.from(a), Buffer.from(b)),
        );
        expect(keysAsWritten(canonicalJson(object))).toEqual(inOrder);
      }),
    );
    fc.assert(
      fc.property(text, text, (a, b) => {
        const expected = Buffer.compare(Buffer.from(a), Buffer.from(b));
        expect(Math.sign(compareCodePoints(a, b))).toBe(expected);
      }),
    );
  });
});
