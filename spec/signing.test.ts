import fc from 'fast-check';
import nacl from 'tweetnacl';
import { decodeBase64, encodeBase64 } from './base64.ts';
import type { JsonObject } from './event.ts';
import type { EventId, UserId } from './identifiers.ts';
import { rulesOf } from './room-versions.ts';
import {
  isPublicKey,
  requiredSigners,
  signatureOf,
  signingKeyFromSeed,
  signingKeyIdsOf,
  signJson,
  signText,
  verifySignedJson,
  verifyText,
} from './signing.ts';

// https://spec.matrix.org/v1.19/appendices/#cryptographic-test-vectors
const seed = decodeBase64('YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA1') as Buffer;
const key = signingKeyFromSeed('1', seed);

describe('the vectors of the specification', () => {
  it.each([
    [{}, 'K8280/U9SSy9IVtjBuVeLr+HpOB4BQFWbg+UZaADMtTdGYI7Geitb76LTrr5QV/7Xg4ahLwYGYZzuHGZKM5ZAQ'],
    [
      { one: 1, two: 'Two' },
      'KqmLSbO39/Bzb0QIYE82zqLwsA+PDzYIpIRA2sRQ4sL53+sN6/fpNSoqE7BP7vBZhG6kYdD13EIMJpvhJI+6Bw',
    ],
  ])('%j is signed', (object, signature) => {
    expect(key.keyId).toBe('ed25519:1');
    expect(signJson(object, 'domain', key)).toEqual({
      ...object,
      signatures: { domain: { 'ed25519:1': signature } },
    });
  });
});

describe('signed JSON', () => {
  const object = { a: 1, unsigned: { age: 5 } };
  const signed = signJson(signJson(object, 'one.test', key), 'two.test', key);

  it('keeps earlier signatures and what is unsigned', () => {
    expect(Object.keys(signed.signatures)).toEqual(['one.test', 'two.test']);
    expect(signed.unsigned).toEqual({ age: 5 });
    expect(object).toEqual({ a: 1, unsigned: { age: 5 } });
    for (const entity of ['one.test', 'two.test']) {
      expect(verifySignedJson(signed, entity, key.keyId, key.publicKey)).toBe(true);
      expect(signingKeyIdsOf(signed, entity)).toEqual(['ed25519:1']);
    }
  });

  it('does not verify for another entity, key, value or algorithm', () => {
    const other = signingKeyFromSeed('1', Buffer.alloc(32, 7));
    expect(verifySignedJson(signed, 'three.test', key.keyId, key.publicKey)).toBe(false);
    expect(verifySignedJson(signed, 'one.test', 'ed25519:2', key.publicKey)).toBe(false);
    expect(verifySignedJson(signed, 'one.test', key.keyId, other.publicKey)).toBe(false);
    expect(verifySignedJson({ ...signed, a: 2 }, 'one.test', key.keyId, key.publicKey)).toBe(false);
    const renamed = { ...signed, signatures: { 'one.test': { 'rsa:1': 'AAAA' } } };
    expect(verifySignedJson(renamed, 'one.test', 'rsa:1', key.publicKey)).toBe(false);
    expect(signingKeyIdsOf(renamed, 'one.test')).toEqual([]);
  });

  it.each<[string, JsonObject]>([
    ['no signatures', { a: 1 }],
    ['signatures that are text', { signatures: 'x' }],
    ['an entity that is null', { signatures: { 'one.test': null } }],
    ['a signature that is a number', { signatures: { 'one.test': { 'ed25519:1': 1 } } }],
    ['a signature that is not base64', { signatures: { 'one.test': { 'ed25519:1': '!' } } }],
    ['a signature that is too short', { signatures: { 'one.test': { 'ed25519:1': 'AAAA' } } }],
    ['a number without canonical form', { ...signed, a: Number.NaN }],
  ])('does not verify with %s', (_what, hostile) => {
    expect(verifySignedJson(hostile, 'one.test', 'ed25519:1', key.publicKey)).toBe(false);
  });

  it('finds nothing under the names of Object’s own properties', () => {
    expect(signatureOf({ signatures: {} }, 'constructor', 'name')).toBeUndefined();
    expect(signingKeyIdsOf({}, 'toString')).toEqual([]);
  });
});

it('rejects keys that are not 32 bytes', () => {
  expect(isPublicKey(key.publicKey)).toBe(true);
  expect(isPublicKey('AAAA')).toBe(false);
  expect(isPublicKey('not base64!')).toBe(false);
  expect(verifyText('text', signText('text', key), 'AAAA')).toBe(false);
  expect(() => signingKeyFromSeed('1', Buffer.alloc(31))).toThrow(RangeError);
});

it('agrees with another implementation of Ed25519', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 32, maxLength: 32 }),
      fc.string({ unit: 'grapheme' }),
      (randomSeed, text) => {
        const randomKey = signingKeyFromSeed('x', randomSeed);
        const { secretKey } = nacl.sign.keyPair.fromSeed(randomSeed);
        const signature = signText(text, randomKey);
        expect(signature).toBe(encodeBase64(nacl.sign.detached(Buffer.from(text), secretKey)));
        expect(verifyText(text, signature, randomKey.publicKey)).toBe(true);
        expect(verifyText(`${text}.`, signature, randomKey.publicKey)).toBe(false);
      },
    ),
    { numRuns: 10 },
  );
});

it('a signature depends neither on the order of keys nor on what is unsigned', () => {
  const values = fc.oneof(fc.string(), fc.maxSafeInteger(), fc.boolean(), fc.constant(null));
  fc.assert(
    fc.property(fc.dictionary(fc.string(), values, { noNullPrototype: true }), (object) => {
      const { signatures: _signatures, unsigned: _unsigned, ...plain } = object as JsonObject;
      const reversed = Object.fromEntries(Object.entries(plain).reverse());
      const signed = signJson(plain, 'one.test', key);
      expect(signJson({ ...reversed, unsigned: { a: 1 } }, 'one.test', key).signatures).toEqual(
        signed.signatures,
      );
    }),
    { numRuns: 50 },
  );
});

describe('required signers', () => {
  const event = (content: JsonObject, type = 'm.room.member') => ({
    eventId: '$1:eventid.test' as EventId,
    sender: '@a:sender.test' as UserId,
    type,
    content,
  });
  const signers = (version: string, content: JsonObject, type?: string) => {
    const rules = rulesOf(version);
    if (rules === undefined) throw new Error('unknown room version');
    return requiredSigners(event(content, type), rules);
  };
  const restricted = {
    membership: 'join',
    join_authorised_via_users_server: '@b:authoriser.test',
  };

  it.each([
    ['1', {}, ['sender.test', 'eventid.test']],
    ['2', {}, ['sender.test', 'eventid.test']],
    ['3', {}, ['sender.test']],
    ['1', { membership: 'invite', third_party_invite: {} }, ['eventid.test']],
    ['12', { membership: 'invite', third_party_invite: {} }, []],
    ['12', { membership: 'join', third_party_invite: {} }, ['sender.test']],
    ['7', restricted, ['sender.test']],
    ['8', restricted, ['sender.test', 'authoriser.test']],
    ['12', restricted, ['sender.test', 'authoriser.test']],
    ['12', { ...restricted, join_authorised_via_users_server: 1 }, ['sender.test']],
  ])('in version %s for %j are %j', (version, content, expected) => {
    expect(signers(version, content as JsonObject)).toEqual(expected);
  });

  it('of other events are not named by their content', () => {
    expect(signers('12', restricted, 'm.room.message')).toEqual(['sender.test']);
  });
});
