import fc from 'fast-check';
import { decodeBase64, encodeBase64, encodeUrlSafeBase64, unpadded } from './base64.ts';

// https://spec.matrix.org/v1.19/appendices/#unpadded-base64
it.each([
  ['', ''],
  ['f', 'Zg'],
  ['fo', 'Zm8'],
  ['foo', 'Zm9v'],
  ['foob', 'Zm9vYg'],
  ['fooba', 'Zm9vYmE'],
  ['foobar', 'Zm9vYmFy'],
])('%j is encoded as %j', (text, base64) => {
  expect(encodeBase64(Buffer.from(text))).toBe(base64);
  expect(decodeBase64(base64)?.toString()).toBe(text);
});

it('differs from its URL-safe form in two characters', () => {
  const bytes = Uint8Array.of(0xfb, 0xff, 0xbf);
  expect(encodeBase64(bytes)).toBe('+/+/');
  expect(encodeUrlSafeBase64(bytes)).toBe('-_-_');
});

it('is decoded in either alphabet, with or without padding', () => {
  fc.assert(
    fc.property(fc.uint8Array(), (bytes) => {
      const expected = Buffer.from(bytes);
      expect(decodeBase64(encodeBase64(bytes))).toEqual(expected);
      expect(decodeBase64(encodeUrlSafeBase64(bytes))).toEqual(expected);
      expect(decodeBase64(expected.toString('base64'))).toEqual(expected);
      expect(unpadded(expected.toString('base64'))).toBe(encodeBase64(bytes));
    }),
  );
});

it.each(['a', 'abcde', 'ab=c', 'ab c', 'ab\n', 'ab===', 'é'])('%j is not decoded', (text) => {
  expect(decodeBase64(text)).toBeUndefined();
});

it('encodes only the part of a buffer that an array shows', () => {
  const whole = Uint8Array.of(1, 2, 3, 4);
  expect(encodeBase64(whole.subarray(1, 3))).toBe('AgM');
});
