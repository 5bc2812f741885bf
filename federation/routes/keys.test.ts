import { serve, type TestServer } from '../../homeserver/http/testing/serve.ts';
import { createTestAuthority } from '../../homeserver/outbound/testing/test-authority.ts';
import { canonicalJson } from '../../spec/canonical-json.ts';
import type { JsonObject } from '../../spec/event.ts';
import { signingKeyIdsOf, verifySignedJson } from '../../spec/signing.ts';
import { Notary } from '../keys/notary.ts';
import { HERE, TestFederation } from '../testing/test-federation.ts';
import { newKey, TestPeer } from '../testing/test-peer.ts';
import { getServerKey, getServerKeyById } from './get-server-key.ts';
import { getVersion } from './get-version.ts';
import {
  bulkPerspectivesKeyQuery,
  perspectivesKeyQuery,
  perspectivesKeyQueryById,
} from './key-query.ts';

const authority = createTestAuthority();

describe('key and version routes', () => {
  let our: TestFederation;
  let peer: TestPeer;
  let server: TestServer;

  beforeEach(async () => {
    our = await TestFederation.start({ authority });
    peer = await TestPeer.start(authority, () => our.clock.nowMs());
    const deps = {
      notary: new Notary(our.database, our.keyRing, our.signingKeys),
      clock: our.clock,
    };
    server = await serve([
      getServerKey(our.signingKeys),
      getServerKeyById(our.signingKeys),
      perspectivesKeyQuery(deps),
      perspectivesKeyQueryById(deps),
      bulkPerspectivesKeyQuery(deps),
      getVersion({ name: 'Parley', version: '1.2.3' }),
    ]);
  });
  afterEach(async () => {
    await server.stop();
    await peer.stop();
    await our.stop();
  });

  const keyRequests = () => peer.requests.length;
  const get = async (path: string): Promise<JsonObject[]> => {
    const { status, body } = await server.request('GET', path);
    expect(status).toBe(200);
    return body.server_keys;
  };
  const post = async (keyId: string, minimum?: number): Promise<JsonObject[]> => {
    const criteria = minimum === undefined ? {} : { minimum_valid_until_ts: minimum };
    const { status, body } = await server.request('POST', '/_matrix/key/v2/query', {
      body: { server_keys: { [peer.name]: { [keyId]: criteria } } },
    });
    expect(status).toBe(200);
    return body.server_keys;
  };

  it('say what implementation this is', async () => {
    const { body } = await server.request('GET', '/_matrix/federation/v1/version');
    expect(body).toEqual({ server: { name: 'Parley', version: '1.2.3' } });
  });

  it.each(['', '/', '/ed25519%3Aany'])('publish our keys: /server%s', async (suffix) => {
    const { status, body, text } = await server.request('GET', `/_matrix/key/v2/server${suffix}`);
    expect(text).toBe(canonicalJson(body));
    expect(status).toBe(200);
    const { keyId, publicKey } = our.signingKeys.current;
    expect(body).toMatchObject({ server_name: HERE, verify_keys: { [keyId]: { key: publicKey } } });
    expect(verifySignedJson(body, HERE, keyId, publicKey)).toBe(true);
    expect(body.valid_until_ts).toBeGreaterThan(our.clock.nowMs() + 3_600_000);
  });

  describe('as a notary', () => {
    it('add our signature to what a server publishes', async () => {
      const { keyId, publicKey } = our.signingKeys.current;
      for (const documents of [
        await get(`/_matrix/key/v2/query/${peer.name}`),
        await get(`/_matrix/key/v2/query/${peer.name}/${peer.key.keyId}`),
        await post(peer.key.keyId),
      ]) {
        expect(documents).toHaveLength(1);
        const document = documents[0] as JsonObject;
        expect(signingKeyIdsOf(document, HERE)).toEqual([keyId]);
        expect(verifySignedJson(document, HERE, keyId, publicKey)).toBe(true);
        expect(verifySignedJson(document, peer.name, peer.key.keyId, peer.key.publicKey)).toBe(
          true,
        );
      }
      expect(keyRequests()).toBe(1);
    });

    it('answer for ourselves with our own document', async () => {
      const documents = await get(`/_matrix/key/v2/query/${HERE}`);
      expect(documents).toEqual([our.signingKeys.document()]);
    });

    it('give an expired key rather than none, and ask again each time', async () => {
      peer.validForMs = -86_400_000;
      const expired = our.clock.nowMs() - 86_400_000;
      for (let times = 1; times <= 3; times++) {
        if (times === 3) peer.keyDocument = () => ({ status: 400, body: '{}' });
        const [document] = await post(peer.key.keyId, expired + 1000);
        expect(document).toMatchObject({
          server_name: peer.name,
          valid_until_ts: expired,
          verify_keys: { [peer.key.keyId]: {} },
        });
        expect(keyRequests()).toBe(times);
      }
    });

    it('ask once more at once where a server failed, and then not for a while', async () => {
      peer.keyDocument = () => ({ status: 400, body: '{}' });
      for (const asked of [1, 2, 2]) {
        expect(await post(peer.key.keyId)).toEqual([]);
        expect(keyRequests()).toBe(asked);
      }
    });

    it('never forget a key, whatever its server says later', async () => {
      const first = peer.key;
      const validUntil = our.clock.nowMs() + peer.validForMs;
      await post(first.keyId);
      peer.key = newKey('p_2');
      our.clock.advance(1);
      expect(await post(first.keyId, validUntil + 1)).toHaveLength(1);
      expect(keyRequests()).toBe(2);
      const [document] = await post(first.keyId, validUntil);
      expect(document).toMatchObject({ verify_keys: { [first.keyId]: { key: first.publicKey } } });
      expect(keyRequests()).toBe(2);
      expect(await get(`/_matrix/key/v2/query/${peer.name}`)).toHaveLength(2);
    });

    it('leave out servers that cannot be reached', async () => {
      const { status, body } = await server.request('POST', '/_matrix/key/v2/query', {
        body: { server_keys: { '127.0.0.1:9': {}, [peer.name]: {} } },
      });
      expect(status).toBe(200);
      expect(body.server_keys.map(({ server_name }: JsonObject) => server_name)).toEqual([
        peer.name,
      ]);
      const none = await server.request('POST', '/_matrix/key/v2/query', {
        body: { server_keys: {} },
      });
      expect(none.body).toEqual({ server_keys: [] });
    });

    it.each([
      [{}],
      [{ server_keys: [] }],
      [{ server_keys: { 'not a name': {} } }],
      [{ server_keys: { 'a.test': { 'ed25519:1': { minimum_valid_until_ts: 'soon' } } } }],
      [
        {
          server_keys: Object.fromEntries(
            Array.from({ length: 257 }, (_, n) => [`a${n}.test`, {}]),
          ),
        },
      ],
    ])('refuse a malformed query', async (body) => {
      const answer = await server.request('POST', '/_matrix/key/v2/query', { body });
      expect(answer.status).toBe(400);
      expect(keyRequests()).toBe(0);
    });

    it('refuse a malformed server name in the path', async () => {
      expect((await server.request('GET', '/_matrix/key/v2/query/a%20b')).status).toBe(400);
    });
  });
});
