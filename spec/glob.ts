/**
 * Glob patterns, matched without regular expressions: patterns come from users and texts from
 * strangers, and no pair of them may take more than `pattern length × text length` steps.
 *
 * Specification: https://spec.matrix.org/v1.19/appendices/#glob-style-matching
 */

export interface Glob {
  /** The pattern between its stars, which are any sequence of characters. */
  readonly segments: readonly Segment[];
}

interface Segment {
  readonly text: string;
  /** Whether `?` in `text` stands for any one character. */
  readonly hasAnyChar: boolean;
}

/**
 * Prepares a pattern. Matching is case-sensitive: for the other kind, lowercase pattern and text.
 * With `anyChar: false` only `*` is special and `?` is itself.
 */
export const compileGlob = (pattern: string, { anyChar = true } = {}): Glob => ({
  segments: pattern
    .replace(/\*+/g, '*')
    .split('*')
    .map((text) => ({ text, hasAnyChar: anyChar && text.includes('?') })),
});

/** Whether the pattern matches the whole text. */
export const matchesWhole = (glob: Glob, text: string): boolean =>
  matchesBetween(
    glob,
    text,
    (index) => index === 0,
    (index) => index === text.length,
    true,
  );

/**
 * Whether the pattern matches some part of the text that starts and ends at a word boundary: the
 * start or the end of the text, or any character other than `A-Z`, `a-z`, `0-9` and `_`.
 */
export const matchesWords = (glob: Glob, text: string): boolean => {
  const isBoundary = (index: number): boolean => isWordBoundary(text, index);
  return matchesBetween(glob, text, isBoundary, isBoundary, false);
};

const isWordChar = (code: number): boolean =>
  (code >= 97 && code <= 122) ||
  (code >= 65 && code <= 90) ||
  (code >= 48 && code <= 57) ||
  code === 95;

const isWordBoundary = (text: string, index: number): boolean =>
  index === 0 ||
  index === text.length ||
  !isWordChar(text.charCodeAt(index - 1)) ||
  !isWordChar(text.charCodeAt(index));

/**
 * Takes each segment as far left as it will go. That never costs a match: a star absorbs whatever
 * lies before the next segment, and what a later start could reach, an earlier one reaches too. Only
 * the last segment is moved on until it ends where it may.
 */
const matchesBetween = (
  { segments }: Glob,
  text: string,
  mayStart: (index: number) => boolean,
  mayEnd: (index: number) => boolean,
  anchored: boolean,
): boolean => {
  const last = segments.length - 1;
  let cursor = 0;
  for (const [position, segment] of segments.entries()) {
    const isFirst = position === 0;
    const isLast = position === last;
    if (isLast && segment.text === '' && !isFirst) return true;
    // The last segment of an anchored match can only be at the very end.
    let from = cursor;
    if (anchored && isLast && !isFirst && !segment.hasAnyChar) {
      from = Math.max(cursor, text.length - segment.text.length);
    }
    let end = -1;
    for (let start = from; start <= text.length; start++) {
      start = nextOccurrence(segment, text, start);
      if (start === -1 || (isFirst && anchored && start > 0)) break;
      if (isFirst && !mayStart(start)) continue;
      end = endOfSegment(segment, text, start);
      if (end !== -1 && (!isLast || mayEnd(end))) break;
      end = -1;
    }
    if (end === -1) return false;
    cursor = end;
  }
  return true;
};

/** The first index from `start` on where the segment may begin, -1 if there is none. */
const nextOccurrence = ({ text: literal, hasAnyChar }: Segment, text: string, start: number) =>
  hasAnyChar ? (isInsidePair(text, start) ? start + 1 : start) : text.indexOf(literal, start);

/** Where the segment ends if it begins at `start`, -1 if it does not match there. */
const endOfSegment = (segment: Segment, text: string, start: number): number => {
  if (!segment.hasAnyChar) return start + segment.text.length;
  let index = start;
  for (let position = 0; position < segment.text.length; position++) {
    if (index >= text.length) return -1;
    if (segment.text.charCodeAt(position) === QUESTION_MARK) {
      // One character is one code point.
      index += isInsidePair(text, index + 1) ? 2 : 1;
    } else if (segment.text.charCodeAt(position) === text.charCodeAt(index)) index += 1;
    else return -1;
  }
  return index;
};

const QUESTION_MARK = '?'.charCodeAt(0);

/** Whether `index` lies between the halves of a surrogate pair. */
const isInsidePair = (text: string, index: number): boolean =>
  index > 0 &&
  index < text.length &&
  (text.charCodeAt(index) & 0xfc00) === 0xdc00 &&
  (text.charCodeAt(index - 1) & 0xfc00) === 0xd800;
