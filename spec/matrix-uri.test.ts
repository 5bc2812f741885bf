import type { EventId, RoomAlias, RoomId, ServerName, UserId } from './identifiers.ts';
import { parseMatrixLink, toMatrixToUri, toMatrixUri } from './matrix-uri.ts';

const via = ['elsewhere.ca' as ServerName];
const alias = '#somewhere:example.org' as RoomAlias;
const roomId = '!somewhere:example.org' as RoomId;
const eventId = '$event:example.org' as EventId;
const userId = '@alice:example.org' as UserId;

// The examples of the appendices.
describe('the links of the specification', () => {
  it.each([
    [{ target: alias }, 'matrix:r/somewhere:example.org'],
    [{ target: roomId, via }, 'matrix:roomid/somewhere:example.org?via=elsewhere.ca'],
    [
      { target: roomId, eventId, via },
      'matrix:roomid/somewhere:example.org/e/event:example.org?via=elsewhere.ca',
    ],
    [{ target: userId, action: 'chat' as const }, 'matrix:u/alice:example.org?action=chat'],
  ])('%j is written and read as a matrix: URI', (link, uri) => {
    expect(toMatrixUri(link)).toBe(uri);
    expect(parseMatrixLink(uri)).toEqual({ via: [], ...link });
  });

  it.each([
    [{ target: alias }, 'https://matrix.to/#/%23somewhere:example.org'],
    [{ target: roomId, via }, 'https://matrix.to/#/!somewhere:example.org?via=elsewhere.ca'],
    [
      { target: roomId, eventId, via },
      'https://matrix.to/#/!somewhere:example.org/$event:example.org?via=elsewhere.ca',
    ],
    [{ target: userId }, 'https://matrix.to/#/@alice:example.org'],
  ])('%j is written and read as a matrix.to link', (link, uri) => {
    expect(toMatrixToUri(link)).toBe(uri);
    expect(parseMatrixLink(uri)).toEqual({ via: [], ...link });
  });

  it.each([
    ['https://matrix.to/#/%23somewhere%3Aexample.org', alias],
    ['https://matrix.to/#/%21somewhere%3Aexample.org/%24event%3Aexample.org', roomId],
    ['https://matrix.to/#/#somewhere:example.org', alias],
    ['matrix:user/alice:example.org', userId],
    ['matrix:room/somewhere:example.org', alias],
  ])('%s is understood too', (uri, target) => {
    expect(parseMatrixLink(uri)?.target).toBe(target);
  });
});

it('keeps the slashes of old event ids', () => {
  const slashed = `$${'a/'.repeat(21)}a` as EventId;
  for (const uri of [
    toMatrixUri({ target: roomId, eventId: slashed }),
    toMatrixToUri({ target: roomId, eventId: slashed }),
    `https://matrix.to/#/${roomId}/${slashed}`,
  ]) {
    expect(parseMatrixLink(uri)?.eventId).toBe(slashed);
  }
});

it.each([
  'https://example.org/',
  'matrix:',
  'matrix://authority/u/alice:example.org',
  'matrix:x/alice:example.org',
  'matrix:u/alice',
  'matrix:u/alice:example.org/e/event:example.org',
  'matrix:roomid/a:example.org/e',
  'https://matrix.to/#/%E0%A4%A',
  'https://matrix.to/#/alice:example.org',
])('%s names nothing', (uri) => {
  expect(parseMatrixLink(uri)).toBeUndefined();
});

it('ignores actions that do not fit and servers that are none', () => {
  expect(parseMatrixLink('matrix:u/alice:example.org?action=join&via=a%20b')).toEqual({
    target: userId,
    via: [],
  });
});
