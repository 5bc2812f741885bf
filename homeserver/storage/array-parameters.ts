/**
 * Arrays as PostgreSQL reads them, written for speed: a busy log sends thousands of rows a second,
 * and the driver's own encoding of them costs more than hashing the events.
 */

export const braces = (numbers: readonly number[]): string => `{${numbers.join(',')}}`;

/** A column of numbers; null stays null. */
export const numberArray = <Row>(
  rows: readonly Row[],
  column: (row: Row) => number | null,
): string => {
  let text = '{';
  for (const row of rows) {
    if (text.length > 1) text += ',';
    text += column(row) ?? 'NULL';
  }
  return `${text}}`;
};

export const booleanArray = <Row>(rows: readonly Row[], column: (row: Row) => boolean): string => {
  let text = '{';
  for (const row of rows) {
    if (text.length > 1) text += ',';
    text += column(row) ? 't' : 'f';
  }
  return `${text}}`;
};

// biome-ignore lint/suspicious/noControlCharactersInRegex: the one character that no text column holds.
const special = /["\\\u0000]/;
const specials = /["\\]/g;

/** With NUL, which would have the whole batch refused, made visible. */
const escaped = (text: string): string =>
  text.replace(specials, '\\$&').replaceAll('\u0000', '\ufffd');

export const textArray = <Row>(
  rows: readonly Row[],
  column: (row: Row) => string | null,
): string => {
  let text = '{';
  for (const row of rows) {
    if (text.length > 1) text += ',';
    const value = column(row);
    if (value === null) text += 'NULL';
    else text += `"${special.test(value) ? escaped(value) : value}"`;
  }
  return `${text}}`;
};

/**
 * Texts that hold no control characters, such as JSON, parted by the record separator: nothing in
 * them has to be escaped. Read with `string_to_array($n, E'\\x1e')`.
 */
export const records = <Row>(rows: readonly Row[], column: (row: Row) => string): string =>
  rows.map(column).join('\u001e');
