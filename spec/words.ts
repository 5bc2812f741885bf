/** Text taken apart into words to be searched for, in any script. */

const separators = /[^\p{L}\p{N}\p{M}]+/u;
/** Longer ones are cut: what is that long is no word. */
const maxWordLength = 64;

/** The different words of a text in lower case, at most `limit`, in order. */
export const wordsOf = (text: string, limit = 2_000): string[] => {
  const words = new Set<string>();
  for (const word of text.normalize('NFKC').toLowerCase().split(separators)) {
    if (word === '') continue;
    if (words.size === limit) break;
    words.add(word.slice(0, maxWordLength));
  }
  return [...words];
};
