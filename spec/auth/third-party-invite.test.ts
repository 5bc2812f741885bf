/** Rule 4.1 on memberships: invites that answer an `m.room.third_party_invite`. */
import type { JsonObject } from '../event.ts';
import { KNOWN_ROOM_VERSIONS } from '../room-versions.ts';
import { signJson } from '../signing.ts';
import { buildRoom, type RoomBuilder, testSigningKey } from '../testing/room-builder.ts';
import { verdict } from '../testing/verdict.ts';

const ALICE = '@alice:alpha.test';
const BOB = '@bob:beta.test';
const CAROL = '@carol:gamma.test';
const DAVE = '@dave:delta.test';

describe.each(KNOWN_ROOM_VERSIONS)('in version %s', (version) => {
  const v = Number(version);
  const invite = `${v >= 6 && v < 12 ? 4 : 5}.${v >= 8 ? 4 : 3}`;
  /** A room where Bob is joined but may not invite, and Carol has a membership. */
  const makeRoom = (carol?: string) => {
    const room = buildRoom({ version, joinRule: 'invite', powerLevels: { invite: 100 } });
    room.member(BOB, 'join');
    if (carol !== undefined) room.member(CAROL, carol);
    return room;
  };
  const identityKey = testSigningKey('identity.test');
  const otherKey = testSigningKey('other.test');
  const signed = signJson({ mxid: CAROL, token: 'token' }, 'identity.test', identityKey);
  const makeWith = (pending: JsonObject, carol?: string) => {
    const room = makeRoom(carol);
    room.setState('m.room.third_party_invite', pending, { sender: BOB, stateKey: 'token' });
    return room;
  };
  const pending = { public_key: identityKey.publicKey };
  const inviteWith = (
    room: RoomBuilder,
    thirdPartyInvite: unknown,
    { sender = BOB, target = CAROL } = {},
  ): string => {
    const [before] = room.extremities;
    const content = { third_party_invite: thirdPartyInvite as JsonObject };
    const event = room.member(target, 'invite', { sender, content });
    return verdict(event, room.rules, { createEvent: room.create, state: room.lookup(before) });
  };

  it.each<[string, JsonObject]>([
    ['the public key', pending],
    ['a listed public key', { public_keys: [{ public_key: identityKey.publicKey }] }],
    [
      'any of several',
      {
        public_key: otherKey.publicKey,
        public_keys: [{ key_validity_url: 'x' }, null, { public_key: identityKey.publicKey }],
      },
    ],
  ])('.1.7: is allowed if signed by %s, whatever the invite level', (_what, content) => {
    expect(inviteWith(makeWith(content), { signed, display_name: 'Carol' })).toBe('allow');
  });

  it('.1.1: is not for who is banned', () => {
    expect(inviteWith(makeWith(pending, 'ban'), { signed })).toBe(`${invite}.1.1`);
  });

  it.each([{}, 'text', null, { signed: null }, { signed: 'text' }, { signed: [] }])(
    '.1.2: is signed, unlike %j',
    (thirdPartyInvite) => {
      expect(inviteWith(makeWith(pending), thirdPartyInvite)).toBe(`${invite}.1.2`);
    },
  );

  it.each([
    { mxid: CAROL },
    { token: 'token' },
    { mxid: 1, token: 'token' },
    { mxid: CAROL, token: 1 },
  ])('.1.3: has an mxid and a token, unlike %j', (incomplete) => {
    expect(inviteWith(makeWith(pending), { signed: incomplete })).toBe(`${invite}.1.3`);
  });

  it('.1.4: is for the user it was signed for', () => {
    expect(inviteWith(makeWith(pending), { signed }, { target: DAVE })).toBe(`${invite}.1.4`);
  });

  it('.1.5: answers a pending one', () => {
    expect(inviteWith(makeRoom(), { signed })).toBe(`${invite}.1.5`);
  });

  it('.1.6: comes from who sent that one', () => {
    expect(inviteWith(makeWith(pending), { signed }, { sender: ALICE })).toBe(`${invite}.1.6`);
  });

  it.each<[string, JsonObject, JsonObject]>([
    ['no signature', { ...signed, signatures: {} }, pending],
    ['no signatures at all', { mxid: CAROL, token: 'token' }, pending],
    ['something changed after signing', { ...signed, extra: 1 }, pending],
    ['the signature of another', signed, { public_key: otherKey.publicKey }],
    ['no key to check by', signed, {}],
    ['keys that are none', signed, { public_key: 1, public_keys: [{ public_key: 'AAAA' }] }],
  ])('.1.8: is refused with %s', (_what, signedPart, content) => {
    expect(inviteWith(makeWith(content), { signed: signedPart })).toBe(`${invite}.1.8`);
  });
});

it('a flood of keys and signatures does not keep authorisation busy', () => {
  const room = buildRoom();
  const key = testSigningKey('identity.test');
  const otherKeys = Array.from({ length: 700 }, (_, i) => ({
    public_key: Buffer.alloc(32, i % 251).toString('base64'),
  }));
  room.setState('m.room.third_party_invite', { public_keys: otherKeys }, { stateKey: 'token' });
  const { signatures } = signJson({ mxid: CAROL, token: 'token' }, 'identity.test', key);
  const signature = signatures['identity.test']?.[key.keyId] ?? '';
  const many = Object.fromEntries(
    Array.from({ length: 400 }, (_, i) => [`ed25519:${i}`, signature]),
  );
  const signed = { mxid: CAROL, token: 'token', signatures: { 'identity.test': many } };
  const event = room.member(CAROL, 'invite', {
    sender: ALICE,
    content: { third_party_invite: { signed } },
  });
  const startedAt = performance.now();
  expect(verdict(event, room.rules, { createEvent: room.create, state: room.lookup() })).toBe(
    '5.4.1.8',
  );
  expect(performance.now() - startedAt).toBeLessThan(2_000);
});
