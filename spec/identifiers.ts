/**
 * The identifiers of Matrix: their types, their grammars, and the few ways to take them apart.
 *
 * Identifiers are checked once, where they enter, and carried as branded strings ever after.
 * Specification: https://spec.matrix.org/v1.19/appendices/#identifier-grammar
 */
import { isIPv4, isIPv6 } from 'node:net';

export type UserId = string & { readonly __brand: 'UserId' };
export type RoomId = string & { readonly __brand: 'RoomId' };
export type EventId = string & { readonly __brand: 'EventId' };
export type RoomAlias = string & { readonly __brand: 'RoomAlias' };
export type ServerName = string & { readonly __brand: 'ServerName' };
export type DeviceId = string & { readonly __brand: 'DeviceId' };

/** The limit on every sigil identifier, and on the type and state key of an event, in UTF-8 bytes. */
export const MAX_IDENTIFIER_BYTES = 255;

/** Whether `text` takes at most `maxBytes` in UTF-8; short strings are answered without encoding. */
export const fitsInBytes = (text: string, maxBytes: number): boolean =>
  text.length * 3 <= maxBytes ||
  (text.length <= maxBytes && Buffer.byteLength(text, 'utf8') <= maxBytes);

const ANY_SURROGATE = /[\ud800-\udfff]/;
const LONE_SURROGATE = /\p{Surrogate}/u;

/** Whether every surrogate in `text` is part of a pair, so that it can be written as UTF-8. */
export const isWellFormedText = (text: string): boolean =>
  // The first is much the faster, and nearly always enough.
  !ANY_SURROGATE.test(text) || !LONE_SURROGATE.test(text);

// --- Server names: https://spec.matrix.org/v1.19/appendices/#server-name ---

const DNS_OR_IPV4_SERVER_NAME = /^[A-Za-z0-9.-]{1,255}(?::[0-9]{1,5})?$/;
const IPV6_SERVER_NAME = /^\[([0-9A-Fa-f:.]{2,45})\](?::[0-9]{1,5})?$/;

export const isServerName = (value: string): value is ServerName => {
  if (DNS_OR_IPV4_SERVER_NAME.test(value)) return true;
  const literal = IPV6_SERVER_NAME.exec(value)?.[1];
  return literal !== undefined && isIPv6(literal);
};

export interface ServerAddress {
  readonly kind: 'ipv4' | 'ipv6' | 'dns';
  /** Without the brackets of an IPv6 literal. */
  readonly host: string;
  readonly port: number | undefined;
}

const DOTTED_QUAD = /^[0-9]{1,3}(?:\.[0-9]{1,3}){3}$/;
const MAX_PORT = 65_535;

/**
 * Takes a server name apart for connecting to it. Stricter than {@link isServerName}, which follows
 * the grammar alone: an IPv4 literal has numbers up to 255 and a port is 1 to 65535.
 */
export const parseServerName = (value: string): ServerAddress | undefined => {
  if (!isServerName(value)) return undefined;
  const ipv6 = IPV6_SERVER_NAME.exec(value)?.[1];
  const colon = value.lastIndexOf(':');
  const hasPort = colon > value.lastIndexOf(']');
  const port = hasPort ? Number(value.slice(colon + 1)) : undefined;
  if (port !== undefined && (port === 0 || port > MAX_PORT)) return undefined;
  if (ipv6 !== undefined) return { kind: 'ipv6', host: ipv6, port };
  const host = hasPort ? value.slice(0, colon) : value;
  if (!DOTTED_QUAD.test(host)) return { kind: 'dns', host, port };
  return isIPv4(host) ? { kind: 'ipv4', host, port } : undefined;
};

// --- Sigil identifiers: https://spec.matrix.org/v1.19/appendices/#common-identifier-format ---

/** `&localpart:domain`, where the localpart has any code points except `:`, NUL and surrogates. */
const isDomainIdentifier = (value: string, sigil: string): boolean => {
  if (value[0] !== sigil || !fitsInBytes(value, MAX_IDENTIFIER_BYTES)) return false;
  const colon = value.indexOf(':');
  if (colon === -1 || !isServerName(value.slice(colon + 1))) return false;
  return !value.includes('\u0000') && isWellFormedText(value);
};

/** A user id as it must be accepted from other servers: historical character sets included. */
export const isUserId = (value: string): value is UserId => isDomainIdentifier(value, '@');

const STRICT_LOCALPART = /^[a-z0-9._=/+-]+$/;

/** The grammar for the localparts of new users. The length of the whole user id is not checked. */
export const isStrictLocalpart = (localpart: string): boolean => STRICT_LOCALPART.test(localpart);

/** A user id that a new account may be given: the current grammar. */
export const isStrictUserId = (value: string): value is UserId =>
  isUserId(value) && STRICT_LOCALPART.test(localpartOf(value));

const VISIBLE_ASCII_LOCALPART = /^[\u0021-\u007e]+$/;

/**
 * Whether a user id is compliant in the sense of "Historical User IDs": others are accepted inside
 * events, but not forwarded to clients outside of them.
 */
export const isCompliantUserId = (userId: UserId): boolean =>
  VISIBLE_ASCII_LOCALPART.test(localpartOf(userId));

/** `@localpart:serverName`, unless that is not a strictly valid user id. */
export const userIdFrom = (localpart: string, serverName: ServerName): UserId | undefined => {
  const userId = `@${localpart}:${serverName}`;
  return isStrictUserId(userId) ? userId : undefined;
};

/**
 * The specification's suggested mapping of any name to a valid localpart: ASCII is lowercased, and
 * every byte outside the grammar, and `=`, becomes `=` and two hexadecimal digits. With
 * `keepCase`, names differing only by case stay apart (`A` becomes `_a`, `_` becomes `__`).
 */
export const localpartFromName = (name: string, { keepCase = false } = {}): string => {
  let localpart = '';
  for (const byte of Buffer.from(name, 'utf8')) {
    const char = String.fromCharCode(byte);
    if (byte >= 0x41 && byte <= 0x5a) localpart += (keepCase ? '_' : '') + char.toLowerCase();
    else if (char === '_') localpart += keepCase ? '__' : '_';
    else if (char !== '=' && STRICT_LOCALPART.test(char)) localpart += char;
    else localpart += `=${byte.toString(16).padStart(2, '0')}`;
  }
  return localpart;
};

/** The domain of a user id or room alias, and of a room or event id whose format has one. */
export const serverNameOf = (id: UserId | RoomAlias): ServerName =>
  id.slice(id.indexOf(':') + 1) as ServerName;

/** The part between the sigil and the first `:`. */
export const localpartOf = (id: UserId | RoomAlias): string => id.slice(1, id.indexOf(':'));

/** The domain of a room or event id; `undefined` for the formats that are only a hash. */
export const domainOf = (id: RoomId | EventId): ServerName | undefined => {
  const colon = id.indexOf(':');
  return colon === -1 ? undefined : (id.slice(colon + 1) as ServerName);
};

export const isRoomAlias = (value: string): value is RoomAlias => isDomainIdentifier(value, '#');

/** 32 bytes in unpadded base64, in either alphabet: the whole of a hash-made identifier. */
const STANDARD_HASH = /^[A-Za-z0-9+/]{43}$/;
const URL_SAFE_HASH = /^[A-Za-z0-9_-]{43}$/;

/** A room id of room versions 1 to 11: `!opaque:domain`. */
export const isDomainRoomId = (value: string): value is RoomId => isDomainIdentifier(value, '!');

/** A room id of room version 12: the create event's id with `!` as sigil. */
export const isHashRoomId = (value: string): value is RoomId =>
  value[0] === '!' && URL_SAFE_HASH.test(value.slice(1));

/** A room id in the format of any room version. */
export const isRoomId = (value: string): value is RoomId =>
  isHashRoomId(value) || isDomainRoomId(value);

export type EventIdFormat = 'domain' | 'base64' | 'url-safe-base64';

/** An event id in the format of one family of room versions. */
export const isEventIdInFormat = (value: string, format: EventIdFormat): value is EventId => {
  if (format === 'domain') return isDomainIdentifier(value, '$');
  return (
    value[0] === '$' && (format === 'base64' ? STANDARD_HASH : URL_SAFE_HASH).test(value.slice(1))
  );
};

/** An event id in the format of any room version. */
export const isEventId = (value: string): value is EventId =>
  isEventIdInFormat(value, 'url-safe-base64') ||
  isEventIdInFormat(value, 'base64') ||
  isEventIdInFormat(value, 'domain');

/** The create event's id of a room whose id is a hash, and back. */
export const createEventIdOf = (roomId: RoomId): EventId => `$${roomId.slice(1)}` as EventId;
export const roomIdOfCreateEvent = (eventId: EventId): RoomId => `!${eventId.slice(1)}` as RoomId;

/**
 * The specification gives device ids no grammar; we bound them so that they can be stored and
 * indexed.
 */
export const isDeviceId = (value: string): value is DeviceId =>
  value !== '' &&
  fitsInBytes(value, MAX_IDENTIFIER_BYTES) &&
  !value.includes('\u0000') &&
  isWellFormedText(value);

// --- Grammars without a sigil ---

const OPAQUE_ID = /^[0-9A-Za-z\-._~]{1,255}$/;

/** https://spec.matrix.org/v1.19/appendices/#opaque-identifiers */
export const isOpaqueId = (value: string): boolean => OPAQUE_ID.test(value);

const COMMON_NAMESPACED_ID = /^[a-z][a-z0-9\-_.]{0,254}$/;

/** https://spec.matrix.org/v1.19/appendices/#common-namespaced-identifier-grammar */
export const isCommonNamespacedId = (value: string): boolean => COMMON_NAMESPACED_ID.test(value);

const ROOM_VERSION_ID = /^[a-z0-9.-]{1,32}$/;

/** https://spec.matrix.org/v1.19/rooms/#room-version-grammar */
export const isRoomVersionId = (value: string): boolean => ROOM_VERSION_ID.test(value);
