/**
 * Links to users, rooms and events: `matrix:` URIs and matrix.to links.
 *
 * Specification: https://spec.matrix.org/v1.19/appendices/#uris
 */
import {
  type EventId,
  isEventId,
  isRoomAlias,
  isRoomId,
  isServerName,
  isUserId,
  type RoomAlias,
  type RoomId,
  type ServerName,
  type UserId,
} from './identifiers.ts';

export interface MatrixLink {
  readonly target: UserId | RoomId | RoomAlias;
  /** Of the room that `target` names. */
  readonly eventId?: EventId | undefined;
  /** Servers through which the room may be reached. */
  readonly via?: readonly ServerName[];
  /** Only in `matrix:` URIs. */
  readonly action?: 'join' | 'chat' | undefined;
}

const MATRIX_TO = 'https://matrix.to/#/';

/** The types of `matrix:` URIs by sigil; the longer ones are no longer written, but still read. */
const TYPE_OF_SIGIL: Readonly<Record<string, string>> = {
  '@': 'u',
  '#': 'r',
  '!': 'roomid',
  $: 'e',
};
const SIGIL_OF_TYPE: ReadonlyMap<string, string> = new Map([
  ['u', '@'],
  ['user', '@'],
  ['r', '#'],
  ['room', '#'],
  ['roomid', '!'],
  ['e', '$'],
  ['event', '$'],
]);

/** RFC 3986 leaves `:` and the sigils usable in a segment; only what could mislead is escaped. */
const encodeSegment = (text: string): string =>
  encodeURIComponent(text).replaceAll('%3A', ':').replaceAll('%40', '@').replaceAll('%24', '$');

export const toMatrixUri = ({ target, eventId, via = [], action }: MatrixLink): string => {
  const descriptor = (id: string) => `${TYPE_OF_SIGIL[id[0] ?? '']}/${encodeSegment(id.slice(1))}`;
  const path = [target, ...(eventId === undefined ? [] : [eventId])].map(descriptor).join('/');
  const query = [
    ...via.map((server) => `via=${encodeURIComponent(server)}`),
    ...(action === undefined ? [] : [`action=${action}`]),
  ];
  return `matrix:${path}${query.length === 0 ? '' : `?${query.join('&')}`}`;
};

export const toMatrixToUri = ({ target, eventId, via = [] }: MatrixLink): string => {
  const path = [target, ...(eventId === undefined ? [] : [eventId])].map(encodeSegment).join('/');
  const query = via.map((server) => `via=${encodeURIComponent(server)}`).join('&');
  return `${MATRIX_TO}${path}${query === '' ? '' : `?${query}`}`;
};

/** Reads a link of either kind; `undefined` if it is neither, or names nothing valid. */
export const parseMatrixLink = (uri: string): MatrixLink | undefined => {
  if (uri.startsWith(MATRIX_TO)) return parseMatrixTo(uri.slice(MATRIX_TO.length));
  if (uri.startsWith('matrix:')) return parseMatrixUri(uri.slice('matrix:'.length));
  return undefined;
};

const parseMatrixUri = (rest: string): MatrixLink | undefined => {
  const [beforeFragment = ''] = rest.split('#', 1);
  const [path, query] = splitQuery(beforeFragment);
  // An authority, `//server/`, is reserved.
  if (path.startsWith('/')) return undefined;
  const [type1, id1, type2, id2] = path.split('/');
  const target = identifierFrom(type1, id1);
  const eventId = type2 === undefined ? undefined : identifierFrom(type2, id2);
  if (target === undefined || (type2 !== undefined && eventId === undefined)) return undefined;
  return checkedLink(target, eventId, query);
};

const identifierFrom = (type = '', encoded = ''): string | undefined => {
  const sigil = SIGIL_OF_TYPE.get(type);
  const id = decode(encoded);
  return sigil === undefined || id === undefined ? undefined : sigil + id;
};

const parseMatrixTo = (rest: string): MatrixLink | undefined => {
  const [path, query] = splitQuery(rest);
  const slash = path.indexOf('/');
  const target = decode(slash === -1 ? path : path.slice(0, slash));
  // Old event ids contain slashes that clients often leave as they are.
  const eventId = slash === -1 ? undefined : decode(path.slice(slash + 1));
  return target === undefined ? undefined : checkedLink(target, eventId || undefined, query);
};

const checkedLink = (
  target: string,
  eventId: string | undefined,
  query: URLSearchParams,
): MatrixLink | undefined => {
  const isRoom = isRoomId(target) || isRoomAlias(target);
  if (!isRoom && !isUserId(target)) return undefined;
  if (eventId !== undefined && !(isRoom && isEventId(eventId))) return undefined;
  const action = query.get('action');
  const fits = action === (isRoom ? 'join' : 'chat');
  return {
    target: target as MatrixLink['target'],
    ...(eventId !== undefined && { eventId: eventId as EventId }),
    via: query.getAll('via').filter(isServerName),
    ...(fits && { action: action as 'join' | 'chat' }),
  };
};

const splitQuery = (text: string): [path: string, query: URLSearchParams] => {
  const mark = text.indexOf('?');
  return mark === -1
    ? [text, new URLSearchParams()]
    : [text.slice(0, mark), new URLSearchParams(text.slice(mark + 1))];
};

const decode = (text: string): string | undefined => {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
};
