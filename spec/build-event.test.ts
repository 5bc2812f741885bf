import fc from 'fast-check';
import { buildEvent, type EventTemplate, hashAndSignPdu } from './build-event.ts';
import { canonicalJsonFor, exactJson } from './canonical-json.ts';
import type { JsonObject, Pdu } from './event.ts';
import { checkContentHash, InvalidEventError, parsePdu } from './event-format.ts';
import type { EventId, RoomId, UserId } from './identifiers.ts';
import { KNOWN_ROOM_VERSIONS, type RoomVersionRules, rulesOf } from './room-versions.ts';
import { verifyEventSignature } from './signing.ts';
import { testSigningKey } from './testing/room-builder.ts';

const SERVER = 'example.org';
const key = testSigningKey(SERVER);
const rulesFor = (version: string) => rulesOf(version) as RoomVersionRules;

const templateFor = (rules: RoomVersionRules, changes: Partial<EventTemplate>): EventTemplate => ({
  type: 'm.room.message',
  sender: '@alice:example.org' as UserId,
  content: { body: 'hello' },
  roomId: (rules.roomIdIsCreateHash ? `!${'r'.repeat(43)}` : '!room:example.org') as RoomId,
  prev: [],
  auth: [],
  depth: 5,
  ts: 1_700_000_000_000,
  ...(rules.eventIdFormat === 'domain' && { eventId: '$5:example.org' as EventId }),
  ...changes,
});

const build = (version: string, changes: Partial<EventTemplate> = {}) => {
  const rules = rulesFor(version);
  return { rules, ...buildEvent(templateFor(rules, changes), rules, SERVER, key) };
};

const reference = (version: string) =>
  ({ '1': '$a:example.org', '2': '$a:example.org' })[version] ?? `$${'a'.repeat(43)}`;

describe.each(KNOWN_ROOM_VERSIONS)('an event built for version %s', (version) => {
  const content = fc.dictionary(
    fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.constantFrom('membership', 'users', 'allow', 'redacts', 'third_party_invite', 'creator'),
    ),
    fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.maxSafeInteger().map((n) => n + 0),
      fc.constant({ signed: { token: 'x' }, display_name: 'y' }),
    ),
    { noNullPrototype: true },
  ) as fc.Arbitrary<JsonObject>;
  const types = fc.constantFrom(
    'm.room.message',
    'm.room.member',
    'm.room.power_levels',
    'm.room.redaction',
    'm.room.join_rules',
    'type "quoted" \u{1f600}',
  );
  const stateKeys = fc.option(
    fc.string({ unit: 'binary', maxLength: 20 }).filter((stateKey) => !stateKey.includes('\u0000')),
    { nil: undefined },
  );
  const redacts = fc.option(fc.constant('$other' as EventId), { nil: undefined });

  it('is what the plain algorithms make of the same PDU', () => {
    fc.assert(
      fc.property(types, stateKeys, content, redacts, (type, stateKey, value, redacted) => {
        const { event, json, rules } = build(version, {
          type,
          stateKey,
          content: value,
          redacts: redacted,
          prev: [reference(version) as EventId],
          auth: [reference(version) as EventId],
          referenceHash: () => 'hash',
        });
        const { hashes: _hashes, signatures: _signatures, ...unsigned } = event.pdu;
        const expected = hashAndSignPdu(unsigned as Partial<Pdu>, rules, SERVER, key);
        expect(event.pdu).toEqual(expected);
        expect(json).toBe(canonicalJsonFor(rules)(expected as JsonObject));
        expect(parsePdu(JSON.parse(json), rules)).toEqual(event);
      }),
      { numRuns: 40 },
    );
  });

  it('is hashed and signed', async () => {
    const { event, rules } = build(version);
    expect(checkContentHash(event, rules)).toBe(true);
    const { keyId, publicKey } = key;
    expect(verifyEventSignature(event, rules, SERVER, keyId, publicKey)).toBe(true);
  });

  it('is the same for the same template', () => {
    expect(build(version)).toEqual(build(version));
    expect(build(version, { ts: 2 }).json).not.toBe(build(version).json);
  });
});

it('carries redacts where its version writes it', () => {
  const redacts = '$other' as EventId;
  expect(build('10', { type: 'm.room.redaction', redacts }).event.pdu.redacts).toBe(redacts);
  expect(build('11', { type: 'm.room.redaction', redacts }).event.pdu.redacts).toBeUndefined();
});

it('refuses what no server would accept', () => {
  const reasonOf = (changes: Partial<EventTemplate>): string => {
    try {
      build('12', changes);
    } catch (error) {
      if (error instanceof InvalidEventError) return error.reason;
    }
    return 'accepted';
  };
  expect(reasonOf({ content: { body: 'x'.repeat(65_536) } })).toBe('too_large');
  expect(reasonOf({ content: { body: 'é'.repeat(33_000) } })).toBe('too_large');
  expect(reasonOf({ type: 'x'.repeat(256) })).toBe('too_large');
  expect(reasonOf({ stateKey: 'x'.repeat(256) })).toBe('too_large');
  expect(reasonOf({ stateKey: '\u0000' })).toBe('malformed');
  expect(reasonOf({ content: { level: 0.5 } })).toBe('malformed');
  expect(reasonOf({ content: { body: '\ud800' } })).toBe('malformed');
  expect(reasonOf({})).toBe('accepted');
});

it('lets floats into rooms that do', () => {
  const { event, rules } = build('5', { content: { level: 0.5 } });
  expect(checkContentHash(event, rules)).toBe(true);
});

it('writes numbers as every other server does, and reads them as they are', () => {
  const { event, rules } = build('5', { content: { level: 1e-7 } });
  expect(exactJson(event.pdu)).toContain('"content":{"level":1e-07}');
  expect(event.content).toEqual({ level: 1e-7 });
  expect(checkContentHash(event, rules)).toBe(true);
});

it('needs an id and reference hashes where the version has them', () => {
  expect(() => build('1', { eventId: undefined })).toThrow(TypeError);
  expect(() => build('2', { prev: ['$a:example.org' as EventId] })).toThrow(TypeError);
  const { event } = build('2', {
    prev: ['$a:example.org' as EventId],
    referenceHash: (eventId) => `hash of ${eventId}`,
  });
  expect(event.pdu.prev_events).toEqual([['$a:example.org', { sha256: 'hash of $a:example.org' }]]);
});
