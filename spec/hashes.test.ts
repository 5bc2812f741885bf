import fc from 'fast-check';
import { decodeBase64 } from './base64.ts';
import { hashAndSignPdu } from './build-event.ts';
import type { JsonObject, Pdu } from './event.ts';
import { contentHash, eventIdOf, referenceHash, signedJson } from './hashes.ts';
import { redactPdu } from './redaction.ts';
import { KNOWN_ROOM_VERSIONS, type RoomVersionRules, rulesOf } from './room-versions.ts';
import { signingKeyFromSeed } from './signing.ts';

const rulesFor = (version: string) => rulesOf(version) as RoomVersionRules;

// https://spec.matrix.org/v1.19/appendices/#event-signing
describe('the vectors of the specification', () => {
  const key = signingKeyFromSeed(
    '1',
    decodeBase64('YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA1') as Buffer,
  );
  // The vectors were made when `origin` survived redaction, as it does up to version 10.
  const rules = rulesFor('1');

  it('a minimal event is hashed and signed', () => {
    const event = {
      room_id: '!x:domain',
      sender: '@a:domain',
      origin: 'domain',
      origin_server_ts: 1000000,
      signatures: {},
      hashes: {} as Pdu['hashes'],
      type: 'X',
      content: {},
      prev_events: [],
      auth_events: [],
      depth: 3,
      unsigned: { age_ts: 1000000 },
    };
    expect(hashAndSignPdu(event, rules, 'domain', key)).toEqual({
      ...event,
      hashes: { sha256: '5jM4wQpv6lnBo7CLIghJuHdW+s2CMBJPUOGOC89ncos' },
      signatures: {
        domain: {
          'ed25519:1':
            'KxwGjPSDEtvnFgU00fwFz+l6d2pJM6XBIaMEn81SXPTRl16AqLAYqfIReFGZlHi5KLjAWbOoMszkwsQma+lYAg',
        },
      },
    });
  });

  it('an event with redactable content is hashed and signed', () => {
    const event = {
      content: { body: 'Here is the message content' },
      event_id: '$0:domain',
      origin: 'domain',
      origin_server_ts: 1000000,
      type: 'm.room.message',
      room_id: '!r:domain',
      sender: '@u:domain',
      signatures: {},
      unsigned: { age_ts: 1000000 },
    };
    expect(hashAndSignPdu(event, rules, 'domain', key)).toEqual({
      ...event,
      hashes: { sha256: 'onLKD1bGljeBWQhWZ1kaP9SorVmRQNdN5aM2JYU2n/g' },
      signatures: {
        domain: {
          'ed25519:1':
            'Wm+VzmOUOz08Ds+0NTWb1d4CZrVsJSikkeRxh6aCcUwu6pNC78FunoD7KNWzqFn241eYHYMGCA5McEiVPdhzBA',
        },
      },
    });
  });
});

const message: Pdu = {
  auth_events: [],
  content: { body: 'hello', msgtype: 'm.text' },
  depth: 7,
  hashes: { sha256: 'TtXHWZSLRMCAGZ5pIbNrKmMXmfw0PCgcXKAQu5Zmtyk' },
  origin: 'example.org',
  origin_server_ts: 1_700_000_000_000,
  prev_events: [],
  room_id: '!room:example.org',
  sender: '@alice:example.org',
  signatures: { 'example.org': { 'ed25519:1': 'c2lnbmF0dXJl' } },
  type: 'm.room.message',
  unsigned: { age: 3 },
};

describe('the reference hash', () => {
  // Written out by hand from the redaction rules; the hash itself is checked below by its effects.
  const upTo10 =
    '{"auth_events":[],"content":{},"depth":7,"hashes":{"sha256":"TtXHWZSLRMCAGZ5pIbNrKmMXmfw0PCgcXKAQu5Zmtyk"},"origin":"example.org","origin_server_ts":1700000000000,"prev_events":[],"room_id":"!room:example.org","sender":"@alice:example.org","type":"m.room.message"}';
  const from11 = upTo10.replace('"origin":"example.org",', '');

  it.each(KNOWN_ROOM_VERSIONS)('covers the redacted event in version %s', (version) => {
    expect(signedJson(message, rulesFor(version))).toBe(Number(version) < 11 ? upTo10 : from11);
  });

  // `printf '%s' '<the JSON above>' | openssl dgst -sha256 -binary | base64`
  it.each([
    ['3', '$0xVjHJfz/RzvOxKff0U69wq/z9gmrxFU/U0bJ/lCbYI'],
    ['4', '$0xVjHJfz_RzvOxKff0U69wq_z9gmrxFU_U0bJ_lCbYI'],
    ['10', '$0xVjHJfz_RzvOxKff0U69wq_z9gmrxFU_U0bJ_lCbYI'],
    ['11', '$9wUjMgfQCuF_Xst_-_Rtt2S5ydvLyJ2zr6fsoz-yDBs'],
    ['12', '$9wUjMgfQCuF_Xst_-_Rtt2S5ydvLyJ2zr6fsoz-yDBs'],
  ])('makes the event id in version %s', (version, eventId) => {
    expect(eventIdOf(message, rulesFor(version))).toBe(eventId);
  });

  it('is not the event id in versions 1 and 2', () => {
    const pdu = { ...message, event_id: '$1:example.org' };
    expect(eventIdOf(pdu, rulesFor('1'))).toBe('$1:example.org');
    expect(referenceHash(pdu, rulesFor('1'))).not.toBe(referenceHash(message, rulesFor('1')));
  });
});

describe.each(KNOWN_ROOM_VERSIONS)('in version %s', (version) => {
  const rules = rulesFor(version);
  const json = fc.jsonValue({ noUnicodeString: false }) as fc.Arbitrary<JsonObject>;
  const content = fc.dictionary(fc.string(), fc.oneof(fc.string(), fc.maxSafeInteger()), {
    noNullPrototype: true,
  });

  it('the content hash ignores signatures, unsigned and hashes, and nothing else', () => {
    const hash = contentHash(message, rules);
    fc.assert(
      fc.property(json, (value) => {
        const changed = { ...message, signatures: value, unsigned: value, hashes: value } as Pdu;
        expect(contentHash(changed, rules)).toBe(hash);
      }),
      { numRuns: 20 },
    );
    expect(contentHash({ ...message, depth: 8 }, rules)).not.toBe(hash);
    expect(contentHash({ ...message, custom: 1 } as Pdu, rules)).not.toBe(hash);
    expect(contentHash({ ...message, content: {} }, rules)).not.toBe(hash);
  });

  it('the reference hash ignores signatures, unsigned and what redaction takes', () => {
    const hash = referenceHash(message, rules);
    fc.assert(
      fc.property(json, content, (value, otherContent) => {
        const changed = {
          ...message,
          signatures: value,
          unsigned: value,
          content: otherContent,
          custom: value,
        } as unknown as Pdu;
        expect(referenceHash(changed, rules)).toBe(hash);
        expect(referenceHash(redactPdu(changed, rules), rules)).toBe(hash);
      }),
      { numRuns: 20 },
    );
    expect(referenceHash({ ...message, hashes: { sha256: 'AAAA' } }, rules)).not.toBe(hash);
    expect(referenceHash({ ...message, state_key: '' }, rules)).not.toBe(hash);
  });
});
