import fc from 'fast-check';
import { packedNids, unpackedNids } from './packed-nids.ts';

const nid = fc.oneof(fc.integer({ min: 1, max: 1_000 }), fc.integer({ min: 1, max: 2 ** 52 }));

describe('lists of ids', () => {
  it('come back as they are, in their order', () => {
    const signed = fc.oneof(
      nid,
      nid.map((value) => -value),
    );
    fc.assert(
      fc.property(nid, fc.array(signed), (start, nids) => {
        expect(unpackedNids(start, packedNids(start, nids))).toEqual(nids);
      }),
    );
  });

  it('are short where the ids lie near each other', () => {
    expect(packedNids(35_419, [35_413, 35_401, 35_377, 35_281])).toBe('6 12 24 96');
    expect(packedNids(35_419, [])).toBe('');
  });
});
