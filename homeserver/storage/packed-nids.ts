/**
 * Lists of ids that lie near each other, as text: each as the step down from the one before it, the
 * first from an id that the reader knows. Most take two or three characters, where a number takes
 * eight bytes.
 */

/** What {@link unpackedNids} reads with the same `start`. Ids may be negative. */
export const packedNids = (start: number, nids: readonly number[]): string => {
  let before = start;
  return nids
    .map((nid) => {
      const step = before - nid;
      before = nid;
      return step;
    })
    .join(' ');
};

export const unpackedNids = (start: number, packed: string): number[] => {
  if (packed === '') return [];
  let nid = start;
  return packed.split(' ').map((step) => {
    nid -= Number(step);
    return nid;
  });
};
