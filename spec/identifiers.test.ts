import fc from 'fast-check';
import {
  createEventIdOf,
  domainOf,
  type EventId,
  fitsInBytes,
  isCommonNamespacedId,
  isCompliantUserId,
  isDeviceId,
  isDomainRoomId,
  isEventId,
  isEventIdInFormat,
  isHashRoomId,
  isOpaqueId,
  isRoomAlias,
  isRoomId,
  isRoomVersionId,
  isServerName,
  isStrictUserId,
  isUserId,
  localpartFromName,
  localpartOf,
  parseServerName,
  type RoomId,
  roomIdOfCreateEvent,
  type ServerName,
  serverNameOf,
  type UserId,
  userIdFrom,
} from './identifiers.ts';

const HASH = 'Nhcu5BS-UMnFX7hBVfVSoXiD7OgH6iRT-xyIuqDnpYQ';
const STANDARD_HASH = 'acR1l0raoZnm60CBwAVgqbZqoO/mYU81xysh1u7XcJk';

describe('server names', () => {
  // The first six are the examples of the appendices.
  it.each([
    ['matrix.org', { kind: 'dns', host: 'matrix.org', port: undefined }],
    ['matrix.org:8888', { kind: 'dns', host: 'matrix.org', port: 8888 }],
    ['1.2.3.4', { kind: 'ipv4', host: '1.2.3.4', port: undefined }],
    ['1.2.3.4:1234', { kind: 'ipv4', host: '1.2.3.4', port: 1234 }],
    ['[1234:5678::abcd]', { kind: 'ipv6', host: '1234:5678::abcd', port: undefined }],
    ['[1234:5678::abcd]:5678', { kind: 'ipv6', host: '1234:5678::abcd', port: 5678 }],
    ['[::ffff:1.2.3.4]', { kind: 'ipv6', host: '::ffff:1.2.3.4', port: undefined }],
    ['LOCALHOST', { kind: 'dns', host: 'LOCALHOST', port: undefined }],
  ])('%s is taken apart', (name, address) => {
    expect(isServerName(name)).toBe(true);
    expect(parseServerName(name)).toEqual(address);
  });

  it.each([
    '',
    ':80',
    'a:',
    'a:123456',
    'a:b',
    'a_b.org',
    'a b',
    'a.org\n',
    'exämple.org',
    '::1',
    '[::1',
    '[::1]]',
    '[::g]',
    '[1:2:3]',
    '[]',
    `${'a'.repeat(256)}`,
  ])('%j is none', (name) => {
    expect(isServerName(name)).toBe(false);
    expect(parseServerName(name)).toBeUndefined();
  });

  it.each(['256.1.1.1', 'a:0', 'a:65536', '[::1]:99999'])(
    '%s keeps to the grammar but cannot be connected to',
    (name) => {
      expect(isServerName(name)).toBe(true);
      expect(parseServerName(name)).toBeUndefined();
    },
  );
});

describe('user ids', () => {
  it.each(['@alice:example.org', '@a.b_c=d-e/f+0:[::1]:80'])('%s may be new', (userId) => {
    expect(isUserId(userId)).toBe(true);
    expect(isStrictUserId(userId)).toBe(true);
  });

  it.each(['@Alice:example.org', '@é:example.org', '@:example.org', '@a b:x', '@\u0001:x', '@@:x'])(
    '%j is historical',
    (userId) => {
      expect(isUserId(userId)).toBe(true);
      expect(isStrictUserId(userId)).toBe(false);
    },
  );

  it.each([
    '',
    '@',
    'alice:example.org',
    '@alice',
    '@alice:',
    '#alice:example.org',
    '@a\u0000:example.org',
    '@\ud800:example.org',
    '@alice:exa mple.org',
    '@alice:bob:example.org:',
    `@${'a'.repeat(243)}:example.org`,
    `@${'é'.repeat(122)}:example.org`,
  ])('%j is none', (userId) => {
    expect(isUserId(userId)).toBe(false);
  });

  it('may have 255 bytes', () => {
    expect(isUserId(`@${'a'.repeat(242)}:example.org`)).toBe(true);
    expect(isUserId(`@${'é'.repeat(121)}:example.org`)).toBe(true);
  });

  it('are compliant if their localpart is visible ASCII', () => {
    expect(isCompliantUserId('@A!~:x' as UserId)).toBe(true);
    expect(isCompliantUserId('@:x' as UserId)).toBe(false);
    expect(isCompliantUserId('@é:x' as UserId)).toBe(false);
    expect(isCompliantUserId('@a b:x' as UserId)).toBe(false);
  });

  it('come apart at the first colon and go together again', () => {
    const userId = userIdFrom('alice', 'example.org:8448' as ServerName) as UserId;
    expect(userId).toBe('@alice:example.org:8448');
    expect(localpartOf(userId)).toBe('alice');
    expect(serverNameOf(userId)).toBe('example.org:8448');
    expect(userIdFrom('Alice', 'example.org' as ServerName)).toBeUndefined();
  });

  it('can be made of any name', () => {
    expect(localpartFromName('Ann #1')).toBe('ann=20=231');
    expect(localpartFromName('á=_')).toBe('=c3=a1=3d_');
    expect(localpartFromName('A_', { keepCase: true })).toBe('_a__');
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 }), (name) => {
        expect(isStrictUserId(`@${localpartFromName(name)}:x`)).toBe(true);
      }),
    );
  });
});

describe('room ids', () => {
  it.each([
    ['!abc:example.org', true, false],
    [`!${HASH}`, false, true],
    [`!${HASH}:example.org`, true, false],
    [`!${STANDARD_HASH}`, false, false],
    [`!${HASH}A`, false, false],
    ['!:example.org', true, false],
    ['!', false, false],
    ['$abc:example.org', false, false],
  ])('%s', (roomId, withDomain, hash) => {
    expect(isDomainRoomId(roomId)).toBe(withDomain);
    expect(isHashRoomId(roomId)).toBe(hash);
    expect(isRoomId(roomId)).toBe(withDomain || hash);
  });

  it('that are hashes name the create event', () => {
    expect(createEventIdOf(`!${HASH}` as RoomId)).toBe(`$${HASH}`);
    expect(roomIdOfCreateEvent(`$${HASH}` as EventId)).toBe(`!${HASH}`);
    expect(domainOf(`!${HASH}` as RoomId)).toBeUndefined();
    expect(domainOf('!abc:example.org' as RoomId)).toBe('example.org');
  });
});

it.each([
  ['$abc:example.org', ['domain']],
  [`$${STANDARD_HASH}`, ['base64']],
  [`$${HASH}`, ['url-safe-base64']],
  [`$${'a'.repeat(43)}`, ['base64', 'url-safe-base64']],
  [`$${'a'.repeat(42)}`, []],
  [`$${'a'.repeat(44)}`, []],
  [`!${HASH}`, []],
  [`$${'a'.repeat(255)}:x`, []],
])('the event id %s is of the formats %j', (eventId, formats) => {
  const all = ['domain', 'base64', 'url-safe-base64'] as const;
  expect(all.filter((format) => isEventIdInFormat(eventId, format))).toEqual(formats);
  expect(isEventId(eventId)).toBe(formats.length > 0);
});

it.each([
  [isRoomAlias, ['#a:x', '#é b:x', '#:x'], ['a:x', '#a', '#a\u0000:x', `#${'a'.repeat(255)}:x`]],
  [isDeviceId, ['ABC', 'a b', 'é'], ['', '\u0000', 'a'.repeat(256), '\udfff']],
  [isOpaqueId, ['aZ09-._~', 'a'.repeat(255)], ['', 'a/b', 'é', 'a'.repeat(256)]],
  [isCommonNamespacedId, ['m.room', 'a-b_c.0'], ['', '0a', 'A', 'a/b', 'a'.repeat(256)]],
  [isRoomVersionId, ['1', '1.2-beta', 'com.example.version'], ['', 'A', 'a_b', 'a'.repeat(33)]],
])('%p', (check, valid, invalid) => {
  expect(valid.filter((value) => !check(value))).toEqual([]);
  expect(invalid.filter((value) => check(value))).toEqual([]);
});

it('lengths are counted in UTF-8 bytes', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), fc.nat(60), (text, maxBytes) => {
      expect(fitsInBytes(text, maxBytes)).toBe(Buffer.byteLength(text) <= maxBytes);
    }),
  );
});
