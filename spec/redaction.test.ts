import fc from 'fast-check';
import type { JsonObject, JsonValue, Pdu } from './event.ts';
import type { EventId } from './identifiers.ts';
import { redactEvent, redactPdu, redactsOf } from './redaction.ts';
import { KNOWN_ROOM_VERSIONS, type RoomVersionRules, rulesOf } from './room-versions.ts';
import { buildRoom } from './testing/room-builder.ts';

const rulesFor = (version: string) => rulesOf(version) as RoomVersionRules;

const everything: JsonObject = {
  event_id: '$1:example.org',
  room_id: '!room:example.org',
  sender: '@alice:example.org',
  state_key: '',
  hashes: { sha256: 'hash' },
  signatures: {},
  depth: 1,
  prev_events: [],
  prev_state: [],
  auth_events: [],
  origin: 'example.org',
  origin_server_ts: 1,
  membership: 'join',
  unsigned: { age: 1 },
  redacts: '$2:example.org',
  custom: true,
};

const redact = (version: string, type: string, content: JsonObject): Pdu =>
  redactPdu({ ...everything, type, content } as unknown as Pdu, rulesFor(version));

const ALWAYS_KEPT = [
  'auth_events',
  'content',
  'depth',
  'event_id',
  'hashes',
  'origin_server_ts',
  'prev_events',
  'room_id',
  'sender',
  'signatures',
  'state_key',
  'type',
];

it.each(KNOWN_ROOM_VERSIONS)('top-level keys in version %s', (version) => {
  const untilVersion10 = Number(version) <= 10 ? ['membership', 'origin', 'prev_state'] : [];
  expect(Object.keys(redact(version, 'custom', {})).sort()).toEqual(
    [...ALWAYS_KEPT, ...untilVersion10].sort(),
  );
});

/** Per event type, each content key with the first and last version in which it survives. */
const KEPT: Record<string, Record<string, [first: number, last: number]>> = {
  'm.room.member': { membership: [1, 12], join_authorised_via_users_server: [9, 12] },
  'm.room.create': { creator: [1, 12], 'm.federate': [11, 12], anything: [11, 12] },
  'm.room.join_rules': { join_rule: [1, 12], allow: [8, 12] },
  'm.room.power_levels': {
    ban: [1, 12],
    events: [1, 12],
    events_default: [1, 12],
    invite: [11, 12],
    kick: [1, 12],
    redact: [1, 12],
    state_default: [1, 12],
    users: [1, 12],
    users_default: [1, 12],
  },
  'm.room.aliases': { aliases: [1, 5] },
  'm.room.history_visibility': { history_visibility: [1, 12] },
  'm.room.redaction': { redacts: [11, 12] },
};
const OTHER_KEYS = ['displayname', 'notifications', 'reason', 'body', 'constructor'];

describe.each(Object.entries(KEPT))('the content of %s', (type, keys) => {
  it.each(KNOWN_ROOM_VERSIONS)('in version %s', (version) => {
    const isCreateKeptWhole = type === 'm.room.create' && Number(version) >= 11;
    const content = Object.fromEntries(
      [...Object.keys(keys), ...(isCreateKeptWhole ? [] : OTHER_KEYS)].map((key) => [key, key]),
    );
    const expected = Object.entries(keys)
      .filter(([, [first, last]]) => first <= Number(version) && Number(version) <= last)
      .map(([key]) => key);
    expect(Object.keys(redact(version, type, content).content).sort()).toEqual(expected.sort());
  });
});

it.each(['m.room.message', 'm.room.topic', 'custom', 'constructor', '__proto__', 'toString'])(
  'nothing is left of the content of %s',
  (type) => {
    for (const version of KNOWN_ROOM_VERSIONS) {
      expect(redact(version, type, { body: 'x', membership: 'join' }).content).toEqual({});
    }
  },
);

describe('third-party invites', () => {
  const invite = (thirdPartyInvite: JsonValue) => ({
    membership: 'invite',
    third_party_invite: thirdPartyInvite,
  });

  it('keep what is signed, from version 11 on', () => {
    const content = invite({ display_name: 'Bob', signed: { token: 'x' } });
    expect(redact('11', 'm.room.member', content).content).toEqual(
      invite({ signed: { token: 'x' } }),
    );
    expect(redact('10', 'm.room.member', content).content).toEqual({ membership: 'invite' });
  });

  it('keep nothing that is not an object', () => {
    expect(redact('12', 'm.room.member', invite({ display_name: 'Bob' })).content).toEqual(
      invite({}),
    );
    expect(redact('12', 'm.room.member', invite('text')).content).toEqual({ membership: 'invite' });
    expect(redact('12', 'm.room.member', invite(['x'])).content).toEqual({ membership: 'invite' });
  });
});

it('happens once, and leaves its input alone', () => {
  const types = fc.constantFrom(...Object.keys(KEPT), 'm.room.message');
  const keys = fc.constantFrom(
    ...OTHER_KEYS,
    'third_party_invite',
    ...Object.values(KEPT).flatMap(Object.keys),
  );
  const content = fc.dictionary(keys, fc.jsonValue() as fc.Arbitrary<JsonValue>, {
    noNullPrototype: true,
  });
  fc.assert(
    fc.property(fc.constantFrom(...KNOWN_ROOM_VERSIONS), types, content, (version, type, value) => {
      const before = structuredClone(value);
      const once = redact(version, type, value);
      expect(redactPdu(once, rulesFor(version))).toEqual(once);
      expect(value).toEqual(before);
    }),
  );
});

it('leaves an event its id and what derives from what is kept', () => {
  const room = buildRoom();
  const event = room.member('@bob:beta.test', 'join', { content: { displayname: 'Bob' } });
  const redacted = redactEvent(event, room.rules);
  expect(redacted.content).toEqual({ membership: 'join' });
  expect(redacted.pdu.content).toBe(redacted.content);
  expect({ ...redacted, content: 0, pdu: 0 }).toEqual({ ...event, content: 0, pdu: 0 });
});

it('finds what is to be redacted where the version writes it', () => {
  const redacts = '$2:example.org' as EventId;
  const redaction = (type: string, pdu: Partial<Pdu>, content: JsonObject) => ({
    type,
    content,
    pdu: pdu as Pdu,
  });
  const old = redaction('m.room.redaction', { redacts }, {});
  const recent = redaction('m.room.redaction', {}, { redacts });
  expect(redactsOf(old, rulesFor('10'))).toBe(redacts);
  expect(redactsOf(recent, rulesFor('10'))).toBeUndefined();
  expect(redactsOf(old, rulesFor('11'))).toBeUndefined();
  expect(redactsOf(recent, rulesFor('11'))).toBe(redacts);
  expect(redactsOf(redaction('m.room.message', { redacts }, {}), rulesFor('1'))).toBeUndefined();
  for (const nonsense of [1, '$2', '$\u0000:example.org']) {
    const nothing = redaction('m.room.redaction', {}, { redacts: nonsense });
    expect(redactsOf(nothing, rulesFor('12'))).toBeUndefined();
  }
});
