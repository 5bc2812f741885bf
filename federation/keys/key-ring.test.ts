import { createTestAuthority } from '../../homeserver/outbound/testing/test-authority.ts';
import type { JsonObject, MatrixEvent, Pdu } from '../../spec/event.ts';
import type { EventId, RoomId, ServerName, UserId } from '../../spec/identifiers.ts';
import { type RoomVersionRules, rulesOf } from '../../spec/room-versions.ts';
import { type SigningKey, signEvent, signJson } from '../../spec/signing.ts';
import { HERE, TestFederation } from '../testing/test-federation.ts';
import { newKey, TestPeer } from '../testing/test-peer.ts';
import { verifyEvents } from './verify-events.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const authority = createTestAuthority();
const v4 = rulesOf('4') as RoomVersionRules;
const v11 = rulesOf('11') as RoomVersionRules;

describe('key ring', () => {
  let our: TestFederation;
  let peer: TestPeer;
  let notary: TestPeer;

  beforeEach(async () => {
    let nowMs = () => 0;
    notary = await TestPeer.start(authority, () => nowMs());
    our = await TestFederation.start({ authority, notaries: [notary.name] });
    nowMs = () => our.clock.nowMs();
    peer = await TestPeer.start(authority, nowMs);
    notary.handler = () => ({ server_keys: [] });
  });
  afterEach(async () => {
    await our.stop();
    await peer.stop();
    await notary.stop();
  });

  const signed = (object: JsonObject = { a: 1 }, by: SigningKey = peer.key) =>
    signJson(object, peer.name, by);
  const verify = (object: JsonObject, validAtMs = our.clock.nowMs(), ring = our.keyRing) =>
    ring.verifyJson(peer.name, object, validAtMs);
  const keyRequests = () => peer.requests.length - peer.received.length;

  it('fetches a key once, for everyone who waits, and finds it again after a restart', async () => {
    await Promise.all([verify(signed()), verify(signed({ b: 2 })), verify(signed({ c: 3 }))]);
    await verify(signed());
    await verify(signed(), our.clock.nowMs(), our.newKeyRing());
    expect(keyRequests()).toBe(1);
    expect(peer.requests[0]?.headers.authorization).toBeUndefined();
  });

  it('takes keys of any version the grammar allows', async () => {
    peer.key = newKey('a'.repeat(1_000));
    await verify(signed());
  });

  it('refuses what is unsigned, wrongly signed or signed with an unknown key', async () => {
    await expect(verify({ a: 1 })).rejects.toMatchObject({ reason: 'unsigned' });
    await expect(verify(signJson({}, 'other.test', peer.key))).rejects.toMatchObject({
      reason: 'unsigned',
    });
    await expect(verify({ ...signed(), a: 2 })).rejects.toMatchObject({ reason: 'wrong' });
    await expect(verify(signed({}, newKey('p_2')))).rejects.toMatchObject({ reason: 'no_key' });
    await expect(verify(signed({}, { ...newKey('p_1') }))).rejects.toMatchObject({
      reason: 'wrong',
    });
  });

  it('does not let strangers make it ask a server again and again', async () => {
    for (let i = 0; i < 30; i++) {
      await expect(verify(signed({}, newKey(`x_${i}`)))).rejects.toMatchObject({
        reason: 'no_key',
      });
    }
    expect(keyRequests()).toBe(10);
    our.clock.advance(30_000);
    await expect(verify(signed({}, newKey('y')))).rejects.toMatchObject({ reason: 'no_key' });
    expect(keyRequests()).toBe(11);
  });

  it('leaves a server that fails alone, longer each time', async () => {
    peer.keyDocument = () => ({ status: 500, body: '{}' });
    for (const [advanceMs, requests] of [
      [0, 1],
      // Failing once may be chance.
      [0, 2],
      [999, 2],
      [1, 3],
      [1999, 3],
      [1, 4],
    ] as const) {
      our.clock.advance(advanceMs);
      await expect(verify(signed())).rejects.toMatchObject({ reason: 'no_key' });
      expect(keyRequests()).toBe(requests);
    }
    peer.keyDocument = undefined;
    our.clock.advance(4000);
    await verify(signed());
  });

  it('knows its own keys without asking anyone', async () => {
    const object = signJson({}, HERE, our.signingKeys.current);
    await our.keyRing.verifyJson(HERE, object, our.clock.nowMs());
    await expect(
      our.keyRing.verifyJson(HERE, signJson({}, HERE, newKey('z')), 0),
    ).rejects.toThrow();
  });

  describe('validity', () => {
    it('asks again when a key is no longer valid', async () => {
      await verify(signed());
      our.clock.advance(DAY_MS + 1);
      await verify(signed());
      expect(keyRequests()).toBe(2);
    });

    it('refuses a key past its time, unless the time does not matter', async () => {
      peer.validForMs = -HOUR_MS;
      await expect(verify(signed())).rejects.toMatchObject({ reason: 'no_key' });
      await verify(signed(), our.clock.nowMs() - 2 * HOUR_MS);
      await verify(signed(), 0);
    });

    it('believes no key for more than a week', async () => {
      peer.validForMs = 365 * DAY_MS;
      await verify(signed());
      our.clock.advance(7 * DAY_MS + 1);
      await peer.stop();
      await expect(verify(signed())).rejects.toMatchObject({ reason: 'no_key' });
      await verify(signed(), our.clock.nowMs() - HOUR_MS);
      peer = await TestPeer.start(authority, () => our.clock.nowMs());
    });

    it('accepts a retired key only for what it signed while in use', async () => {
      const old = peer.key;
      await verify(signed());
      peer.key = newKey('p_2');
      const expired = our.clock.nowMs() - HOUR_MS;
      peer.keyDocument = () =>
        peer.usualKeyDocument({
          old_verify_keys: { [old.keyId]: { key: old.publicKey, expired_ts: expired } },
        });
      await verify(signed());
      await verify(signed({}, old), expired);
      await expect(verify(signed({}, old), expired + 1)).rejects.toMatchObject({
        reason: 'no_key',
      });
      await expect(verify(signed({}, old))).rejects.toMatchObject({ reason: 'no_key' });
    });

    it('keeps a key the server no longer mentions', async () => {
      const old = peer.key;
      await verify(signed());
      const thenMs = our.clock.nowMs();
      peer.key = newKey('p_2');
      await verify(signed());
      await verify(signed({}, old), thenMs);
    });
  });

  describe('hostile documents', () => {
    const resigned = (document: JsonObject): JsonObject => {
      const { signatures: _, ...rest } = document;
      return signed(rest);
    };
    const cases: [string, (usual: JsonObject) => JsonObject | { status: number; body: string }][] =
      [
        ['unsigned', ({ signatures: _, ...rest }) => rest],
        [
          'changed after signing',
          (usual) => ({ ...usual, valid_until_ts: Number.MAX_SAFE_INTEGER }),
        ],
        ['of another server', (usual) => resigned({ ...usual, server_name: 'other.test' })],
        ['without validity', ({ valid_until_ts: _, ...usual }) => resigned(usual)],
        ['with a float for a time', (usual) => resigned({ ...usual, valid_until_ts: 1.5 })],
        ['signed by a key that is not in it', (usual) => resigned({ ...usual, verify_keys: {} })],
        ['with lists for objects', (usual) => resigned({ ...usual, verify_keys: [] })],
        [
          'with too many keys',
          (usual) =>
            resigned({
              ...usual,
              old_verify_keys: Object.fromEntries(
                Array.from({ length: 64 }, (_, i) => [
                  `ed25519:o${i}`,
                  { key: peer.key.publicKey, expired_ts: 1 },
                ]),
              ),
            }),
        ],
        ['too large', (usual) => ({ ...usual, unsigned: 'x'.repeat(70_000) })],
        ['not JSON', () => ({ status: 200, body: '<html>' })],
        ['a list', () => ({ status: 200, body: '[]' })],
      ];
    it.each(cases)('are refused: %s', async (_what, document) => {
      peer.keyDocument = document;
      await expect(verify(signed())).rejects.toMatchObject({ reason: 'no_key' });
      const { rows } = await our.database.query({ text: 'SELECT 1 FROM remote_keys' });
      expect(rows).toEqual([]);
    });

    it('lose the entries that are not keys, and only those', async () => {
      peer.keyDocument = (usual) =>
        resigned({
          ...usual,
          verify_keys: {
            ...(usual['verify_keys'] as JsonObject),
            'ed25519:short': { key: 'abc' },
            'ed25519:b@d': { key: peer.key.publicKey },
            'rsa:1': { key: peer.key.publicKey },
            'ed25519:none': null,
          },
        });
      await verify(signed());
      const { rows } = await our.database.query({ text: 'SELECT key_id FROM remote_keys' });
      expect(rows).toEqual([{ key_id: peer.key.keyId }]);
    });
  });

  describe('notaries', () => {
    const attested = (document: JsonObject, by = notary) => signJson(document, by.name, by.key);

    it('help with servers that do not answer, all in one request', async () => {
      const document = peer.usualKeyDocument();
      peer.keyDocument = () => ({ status: 502, body: '' });
      notary.handler = () => ({ server_keys: [attested(document)] });
      const other = '127.0.0.1:9' as ServerName;
      const found = await our.keyRing.keysFor([
        { serverName: peer.name, keyIds: [peer.key.keyId], validAtMs: our.clock.nowMs() },
        { serverName: other, keyIds: ['ed25519:1'], validAtMs: our.clock.nowMs() },
      ]);
      expect(found.get(peer.name)?.get(peer.key.keyId)?.publicKey).toBe(peer.key.publicKey);
      expect(notary.received).toHaveLength(1);
      expect(JSON.parse(notary.received[0]?.text ?? '')).toEqual({
        server_keys: {
          [peer.name]: { [peer.key.keyId]: { minimum_valid_until_ts: our.clock.nowMs() } },
          [other]: { 'ed25519:1': { minimum_valid_until_ts: our.clock.nowMs() } },
        },
      });
    });

    it('are not believed without their signature, nor without the one of the server', async () => {
      const document = peer.usualKeyDocument();
      peer.keyDocument = () => ({ status: 502, body: '' });
      const impostor = newKey('p_1');
      const forged = signJson(
        {
          ...document,
          verify_keys: { [impostor.keyId]: { key: impostor.publicKey } },
          signatures: {},
        },
        notary.name,
        notary.key,
      );
      for (const answer of [
        [document],
        [attested(document, peer)],
        [forged],
        'no list',
        [5, null, []],
      ]) {
        notary.handler = () => ({ server_keys: answer as never });
        await expect(verify(signed())).rejects.toMatchObject({ reason: 'no_key' });
        our.clock.advance(HOUR_MS);
      }
      notary.handler = () => ({ server_keys: [attested(document)] });
      await verify(signed());
    });

    it('cannot invent keys of a server that is known, whether it answers or not', async () => {
      const impostor = newKey('p_9');
      const invented = () =>
        attested(
          signJson(
            {
              ...peer.usualKeyDocument(),
              verify_keys: { [impostor.keyId]: { key: impostor.publicKey } },
              signatures: {},
            },
            peer.name,
            impostor,
          ),
        );
      await verify(signed());
      notary.handler = () => ({ server_keys: [invented()] });
      await expect(verify(signed({}, impostor))).rejects.toMatchObject({ reason: 'no_key' });
      expect(notary.received).toHaveLength(1);
      peer.keyDocument = () => ({ status: 502, body: '' });
      our.clock.advance(8 * DAY_MS);
      const restarted = our.newKeyRing([notary.name]);
      await expect(
        verify(signed({}, impostor), our.clock.nowMs(), restarted),
      ).rejects.toMatchObject({ reason: 'no_key' });
      // What the known key has signed goes on.
      const next = newKey('p_2');
      const document = peer.usualKeyDocument({
        verify_keys: {
          [peer.key.keyId]: { key: peer.key.publicKey },
          [next.keyId]: { key: next.publicKey },
        },
      });
      notary.handler = () => ({ server_keys: [attested(document)] });
      await verify(signed({}, next), our.clock.nowMs(), restarted);
    });

    it('cannot bring back an old document', async () => {
      const old = peer.usualKeyDocument();
      const retired = peer.key;
      our.clock.advance(HOUR_MS);
      peer.key = newKey('p_2');
      peer.keyDocument = () =>
        peer.usualKeyDocument({
          old_verify_keys: { [retired.keyId]: { key: retired.publicKey, expired_ts: 5 } },
        });
      await verify(signed());
      notary.handler = () => ({ server_keys: [attested(old)] });
      await expect(verify(signed({}, retired))).rejects.toMatchObject({ reason: 'no_key' });
    });
  });

  describe('events', () => {
    const event = (
      by: SigningKey,
      {
        rules = v11,
        ts = our.clock.nowMs(),
        sender = `@a:${peer.name}`,
        content = {} as JsonObject,
      } = {},
    ): MatrixEvent => {
      const pdu = signEvent(
        {
          type: 'm.room.message',
          room_id: '!r:x',
          sender,
          content,
          origin_server_ts: ts,
          depth: 1,
          prev_events: [],
          auth_events: [],
          hashes: { sha256: 'x' },
        },
        rules,
        peer.name,
        by,
      ) as Pdu;
      return {
        eventId: '$x' as EventId,
        roomId: '!r:x' as RoomId,
        type: pdu.type,
        stateKey: undefined,
        sender: sender as UserId,
        content,
        originServerTs: ts,
        depth: 1,
        prevEventIds: [],
        authEventIds: [],
        pdu,
      };
    };
    const reasons = async (events: MatrixEvent[], rules = v11) =>
      (await verifyEvents(our.keyRing, events, rules)).map((failure) => failure?.reason ?? 'ok');

    it('are judged one by one, with one look-up for all', async () => {
      const good = event(peer.key);
      const tampered = { ...good, pdu: { ...good.pdu, depth: 2 } };
      const unsigned = { ...good, pdu: { ...good.pdu, signatures: {} } };
      const many = Array.from({ length: 70 }, () => good);
      expect(
        await reasons([
          good,
          tampered,
          unsigned,
          event(newKey('q')),
          event(peer.key, { sender: '@a:o.test' }),
          ...many,
        ]),
      ).toEqual(['ok', 'wrong', 'unsigned', 'no_key', 'unsigned', ...many.map(() => 'ok')]);
      expect(keyRequests()).toBe(1);
    });

    it('are refused for one wrong signature of a known key, not for one of an unknown', async () => {
      const second = newKey('p_2');
      const both = {
        verify_keys: {
          [peer.key.keyId]: { key: peer.key.publicKey },
          [second.keyId]: { key: second.publicKey },
        },
      };
      peer.keyDocument = () => peer.usualKeyDocument(both);
      const good = event(peer.key);
      const withSecond = (keyId: string, signature: string): MatrixEvent => ({
        ...good,
        pdu: {
          ...good.pdu,
          signatures: { [peer.name]: { ...good.pdu.signatures[peer.name], [keyId]: signature } },
        },
      });
      const right = event(second).pdu.signatures[peer.name]?.[second.keyId] as string;
      expect(
        await reasons([
          withSecond(second.keyId, right),
          withSecond(second.keyId, 'A'.repeat(86)),
          withSecond('ed25519:unknown', 'A'.repeat(86)),
        ]),
      ).toEqual(['ok', 'wrong', 'ok']);
    });

    it('need a key valid at their time only in room versions that say so', async () => {
      const late = our.clock.nowMs() + 2 * DAY_MS;
      const far = our.clock.nowMs() + 1000 * DAY_MS;
      expect(
        await reasons([
          event(peer.key),
          event(peer.key, { ts: late }),
          event(peer.key, { ts: far }),
        ]),
      ).toEqual(['ok', 'no_key', 'no_key']);
      expect(keyRequests()).toBe(1);
      expect(await reasons([event(peer.key, { ts: late, rules: v4 })], v4)).toEqual(['ok']);
    });
  });
});
