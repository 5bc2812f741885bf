import fc from 'fast-check';
import { formatXMatrix, parseXMatrix } from './x-matrix-header.ts';

const FULL = { origin: 'a.test', destination: 'b.test:8448', key: 'ed25519:1', sig: 'AB+/cd' };

describe('X-Matrix header', () => {
  it.each([
    ['as we write it', formatXMatrix(FULL)],
    [
      'any case of scheme and names',
      'x-MATRIX ORIGIN="a.test",Destination="b.test:8448",kEy="ed25519:1",sIg="AB+/cd"',
    ],
    [
      'unquoted, with colons and base64',
      'X-Matrix origin=a.test,destination=b.test:8448,key=ed25519:1,sig=AB+/cd',
    ],
    [
      'any order, spaces and tabs',
      'X-Matrix   sig="AB+/cd" ,\tkey="ed25519:1"\t, destination=b.test:8448 , origin="a.test"',
    ],
    [
      'unknown parameters',
      'X-Matrix origin="a.test",new="x,\\"y",destination="b.test:8448",key="ed25519:1",sig="AB+/cd",z=1',
    ],
    [
      'escapes',
      'X-Matrix origin="\\a.te\\st",destination="b.test:8448",key="ed25519\\:1",sig="AB+/cd"',
    ],
    [
      'empty list elements',
      'X-Matrix origin="a.test",,destination="b.test:8448", ,key="ed25519:1",sig="AB+/cd",',
    ],
  ])('is read: %s', (_what, header) => expect(parseXMatrix(header)).toEqual(FULL));

  it('may lack the destination', () => {
    expect(parseXMatrix('X-Matrix origin=a,key="k",sig="s"')).toEqual({
      origin: 'a',
      destination: undefined,
      key: 'k',
      sig: 's',
    });
  });

  it.each([
    '',
    'X-Matrix',
    'X-Matrix ',
    'Bearer abc',
    'X-Matrixorigin="a",key="k",sig="s"',
    'X-Matrix origin="a",key="k"',
    'X-Matrix origin="a",origin="b",key="k",sig="s"',
    'X-Matrix origin="a",key="k",sig="s',
    'X-Matrix origin="a" key="k",sig="s"',
    'X-Matrix origin="a"b,key="k",sig="s"',
    'X-Matrix origin,key="k",sig="s"',
    `X-Matrix origin="${'a'.repeat(5000)}",key="k",sig="s"`,
  ])('is refused: %j', (header) => expect(parseXMatrix(header)).toBeUndefined());

  it('takes any text in bounded time and survives any quoted value', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 200 }), (text) => {
        parseXMatrix(`X-Matrix ${text}`);
        const quoted = text.replace(/[\\"]/g, '\\$&').replace(/[\r\n]/g, '');
        const expected = text.replace(/[\r\n]/g, '');
        expect(parseXMatrix(`X-Matrix origin="${quoted}",key=k,sig=s`)?.origin).toBe(expected);
      }),
    );
  });
});
