/**
 * How the table `events` keeps the JSON of an event: without what its other columns say and without
 * what most events have in common. Each piece left out is a control character in the text, of which
 * JSON has none, so that the text comes back character by character, in every room version. An event
 * that is not put together as canonical JSON is, or an old one, is kept as it is; one that is so at its
 * beginning is packed as far as it goes.
 */

/** The columns that a packed text is read with. */
export interface PackedWith {
  readonly roomId: string;
  readonly type: string;
  readonly sender: string;
  readonly depth: number;
  readonly originServerTs: number;
}

/** The same from the database, whose numbers are text there. */
type Columns = Readonly<
  Omit<PackedWith, 'depth' | 'originServerTs'> & Record<'depth' | 'originServerTs', string | number>
>;

/** A hash as URL-safe or as plain base64. */
const HASH_LENGTH = 43;

// Characters that these codes leave alone: NUL, which no column holds, white space, which JSON may
// have, and the separators of records and of the parts that are read together.
// biome-ignore lint/suspicious/noControlCharactersInRegex: JSON has none of them.
const CODES = /[\u0001-\u0008\u000b\u000c\u000e-\u0016]/g;
const SEPARATOR = '\u001f';

const BEGINNING = '{"auth_events":["$';
const NEXT_ID = '","$';
const CONTENT = '"],"content":{';
const BODY = '"body":"';
const MEGOLM = '"algorithm":"m.megolm.v1.aes-sha2","ciphertext":"';
const NAME = '"displayname":"';
const TEXT_MESSAGE = '","msgtype":"m.text"';
const JOIN = '"membership":"join"';
const NAMED_JOIN = `",${JOIN}`;

/** What people are called who have not chosen a name. */
const localpart = ({ sender }: Columns): string => sender.slice(1, sender.indexOf(':'));
const afterContent = ({ depth }: Columns): string => `},"depth":${depth},"hashes":{"sha256":"`;
const afterHash = ({ originServerTs }: Columns): string =>
  `"},"origin_server_ts":${originServerTs},"prev_events":["$`;
const afterPrev = ({ roomId, sender }: Columns): string =>
  `"],"room_id":"${roomId}","sender":"${sender}","signatures":{"`;
const senderServer = ({ sender }: Columns): string =>
  `${sender.slice(sender.indexOf(':') + 1)}":{"ed25519:`;
const ownState = ({ sender, type }: Columns): string =>
  `"}},"state_key":"${sender}","type":"${type}"}`;
const roomState = ({ type }: Columns): string => `"}},"state_key":"","type":"${type}"}`;
const message = ({ type }: Columns): string => `"}},"type":"${type}"}`;
const ending = ({ type }: Columns): string => `","type":"${type}"}`;

/** What a code stands for. */
const pieceOf = (code: string, row: Columns): string => {
  switch (code) {
    case '\u0001':
      return BEGINNING;
    case '\u0002':
      return NEXT_ID;
    case '\u0003':
      return CONTENT + BODY;
    case '\u0004':
      return CONTENT + MEGOLM;
    case '\u0005':
      return CONTENT;
    case '\u0006':
      return TEXT_MESSAGE + afterContent(row);
    case '\u0007':
      return JOIN + afterContent(row);
    case '\u0008':
      return afterContent(row);
    case '\u000b':
      return afterHash(row);
    case '\u000c':
      return afterPrev(row) + senderServer(row);
    case '\u000e':
      return afterPrev(row);
    case '\u000f':
      return message(row);
    case '\u0010':
      return ownState(row);
    case '\u0011':
      return roomState(row);
    case '\u0012':
      return ending(row);
    case '\u0013':
      return CONTENT + NAME;
    case '\u0014':
      return NAMED_JOIN + afterContent(row);
    case '\u0015':
      return localpart(row);
    default:
      throw new Error(`stored JSON has an unknown code ${code.charCodeAt(0)}`);
  }
};

/** Canonical JSON has ids in three places; at each, how far they go is where the next piece begins. */
const idsAt = (json: string, start: number): number => {
  let end = start + HASH_LENGTH;
  while (json.startsWith(NEXT_ID, end)) end += NEXT_ID.length + HASH_LENGTH;
  return end;
};

const packedIds = (json: string, start: number, end: number): string => {
  let packed = json.slice(start, start + HASH_LENGTH);
  for (let at = start + HASH_LENGTH; at < end; at += NEXT_ID.length + HASH_LENGTH) {
    packed += `\u0002${json.slice(at + NEXT_ID.length, at + NEXT_ID.length + HASH_LENGTH)}`;
  }
  return packed;
};

/** The rest of the content, and what comes after it. */
const packedContentEnd = (json: string, start: number, end: number, row: PackedWith): string => {
  const text = end - TEXT_MESSAGE.length;
  if (text >= start && json.startsWith(TEXT_MESSAGE, text))
    return `${json.slice(start, text)}\u0006`;
  const named = end - NAMED_JOIN.length;
  if (named >= start && json.startsWith(NAMED_JOIN, named)) {
    const name = json.slice(start, named);
    return `${name === localpart(row) ? '\u0015' : name}\u0014`;
  }
  const join = end - JOIN.length;
  if (join >= start && json.startsWith(JOIN, join)) return `${json.slice(start, join)}\u0007`;
  return `${json.slice(start, end)}\u0008`;
};

/** The end of the event from its first signature on. */
const packedEnd = (json: string, start: number, row: PackedWith): string => {
  const { length } = json;
  const plain = message(row);
  if (json.endsWith(plain)) return `${json.slice(start, length - plain.length)}\u000f`;
  const own = ownState(row);
  if (json.endsWith(own)) return `${json.slice(start, length - own.length)}\u0010`;
  const room = roomState(row);
  if (json.endsWith(room)) return `${json.slice(start, length - room.length)}\u0011`;
  const any = ending(row);
  if (json.endsWith(any)) return `${json.slice(start, length - any.length)}\u0012`;
  return json.slice(start);
};

/** What `unpackedJson` makes the same text of, with the same columns. Costs about a microsecond. */
export const packedJson = (json: string, row: PackedWith): string => {
  if (!json.startsWith(BEGINNING)) return json;
  // Where a column has a control character, JSON has an escape, so that no piece with it is found. Only
  // the separator would have the columns taken for one another.
  if (row.type.includes(SEPARATOR) || row.sender.includes(SEPARATOR)) return json;
  const authEnd = idsAt(json, BEGINNING.length);
  if (!json.startsWith(CONTENT, authEnd)) return json;
  let packed = `\u0001${packedIds(json, BEGINNING.length, authEnd)}`;

  let at = authEnd + CONTENT.length;
  if (json.startsWith(BODY, at)) {
    packed += '\u0003';
    at += BODY.length;
  } else if (json.startsWith(MEGOLM, at)) {
    packed += '\u0004';
    at += MEGOLM.length;
  } else if (json.startsWith(NAME, at)) {
    packed += '\u0013';
    at += NAME.length;
  } else {
    packed += '\u0005';
  }

  const toHash = afterContent(row);
  const contentEnd = json.indexOf(toHash, at);
  if (contentEnd < 0) return packed + json.slice(at);
  packed += packedContentEnd(json, at, contentEnd, row);
  at = contentEnd + toHash.length;

  const toPrev = afterHash(row);
  if (!json.startsWith(toPrev, at + HASH_LENGTH)) return packed + json.slice(at);
  packed += `${json.slice(at, at + HASH_LENGTH)}\u000b`;
  at += HASH_LENGTH + toPrev.length;

  const prevEnd = idsAt(json, at);
  const toSignatures = afterPrev(row);
  if (!json.startsWith(toSignatures, prevEnd)) return packed + json.slice(at);
  packed += packedIds(json, at, prevEnd);
  at = prevEnd + toSignatures.length;

  const server = senderServer(row);
  if (!json.startsWith(server, at)) return `${packed}\u000e${packedEnd(json, at, row)}`;
  return `${packed}\u000c${packedEnd(json, at + server.length, row)}`;
};

/**
 * SQL for what {@link unpackedJson} reads: of a row `e` of events and the row `r` of its room, neither
 * of which may be missing.
 */
export const packedJsonColumns =
  "concat_ws(E'\\x1f', e.json, e.depth, e.origin_server_ts, e.sender, e.type, r.room_id)";

/** The JSON of an event from what {@link packedJsonColumns} selects. */
export const unpackedJson = (columns: string): string => {
  const end = columns.indexOf(SEPARATOR);
  if (columns.charCodeAt(0) !== 1) return columns.slice(0, end);
  const [depth, originServerTs, sender, type, roomId] = columns.slice(end + 1).split(SEPARATOR);
  const row = { depth, originServerTs, sender, type, roomId } as Columns;
  return columns.slice(0, end).replace(CODES, (code) => pieceOf(code, row));
};
