import type { JsonObject } from '../../spec/event.ts';
import {
  type DeviceUser,
  type EncryptionServer,
  encryptionServer,
} from '../testing/encryption-server.ts';

let server: EncryptionServer;
let alice: DeviceUser;
beforeAll(async () => {
  server = await encryptionServer();
});
beforeEach(async () => {
  alice = await server.person('alice');
});
afterAll(() => server.stop());

const algorithm = 'm.megolm_backup.v1.curve25519-aes-sha2';
const room = encodeURIComponent('!room:here.test');
const create = async (): Promise<string> =>
  (await alice.ok('POST', '/room_keys/version', { algorithm, auth_data: { key: 'a' } })).version;
const keyData = (changes: JsonObject = {}): JsonObject => ({
  first_message_index: 5,
  forwarded_count: 5,
  is_verified: false,
  session_data: { text: 'secret' },
  ...changes,
});
const put = (version: string, data: JsonObject, session = 's') =>
  alice.call('PUT', `/room_keys/keys/${room}/${session}?version=${version}`, data);
const get = (version: string) => alice.ok('GET', `/room_keys/keys/${room}/s?version=${version}`);

describe('backup versions', () => {
  it('count up, are read, changed and deleted', async () => {
    const one = await create();
    const two = await create();
    expect(Number(two)).toBeGreaterThan(Number(one));
    const path = `/room_keys/version/${one}`;
    await alice.ok('PUT', path, { algorithm, auth_data: { key: 'b' }, version: one });
    const info = { algorithm, auth_data: { key: 'b' }, count: 0, etag: '0', version: one };
    expect(await alice.ok('GET', path)).toEqual(info);
    expect((await alice.ok('GET', '/room_keys/version')).version).toBe(two);
    await alice.ok('DELETE', `/room_keys/version/${two}`);
    await alice.ok('DELETE', `/room_keys/version/${two}`);
    expect((await alice.ok('GET', '/room_keys/version')).version).toBe(one);
    expect((await alice.call('GET', `/room_keys/version/${two}`)).body.errcode).toBe('M_NOT_FOUND');
    expect(Number(await create())).toBeGreaterThan(Number(two));
  });

  it.each([
    ['GET', '/room_keys/version', undefined, 404, 'M_NOT_FOUND'],
    ['GET', '/room_keys/version/99', undefined, 404, 'M_NOT_FOUND'],
    ['GET', '/room_keys/version/none', undefined, 404, 'M_NOT_FOUND'],
    ['DELETE', '/room_keys/version/99', undefined, 404, 'M_NOT_FOUND'],
    ['PUT', '/room_keys/version/99', { algorithm, auth_data: {} }, 404, 'M_NOT_FOUND'],
    [
      'PUT',
      '/room_keys/version/9',
      { algorithm, auth_data: {}, version: '8' },
      400,
      'M_INVALID_PARAM',
    ],
    ['GET', '/room_keys/keys?version=9', undefined, 404, 'M_NOT_FOUND'],
    ['GET', '/room_keys/keys', undefined, 400, 'M_MISSING_PARAM'],
    ['PUT', '/room_keys/keys?version=9', { rooms: {} }, 404, 'M_NOT_FOUND'],
  ])('%s %s is refused', async (method, path, body, status, errcode) => {
    expect(await alice.call(method, path, body)).toMatchObject({ status, body: { errcode } });
  });

  it.each([
    ['POST', '/room_keys/version'],
    ['GET', '/room_keys/version'],
    ['GET', '/room_keys/version/1'],
    ['PUT', '/room_keys/version/1'],
    ['DELETE', '/room_keys/version/1'],
    ...['GET', 'PUT', 'DELETE'].flatMap((method) =>
      ['', `/${room}`, `/${room}/s`].map((rest) => [method, `/room_keys/keys${rest}`]),
    ),
  ])('%s %s asks for a token', async (method = '', path = '') => {
    const answer = await server.server.request(method, `/_matrix/client/v3${path}`);
    expect([answer.status, answer.body.errcode]).toEqual([401, 'M_MISSING_TOKEN']);
  });
});

describe('keys in a backup', () => {
  it('are replaced by better ones only', async () => {
    const version = await create();
    expect((await put(version, keyData())).body).toEqual({ count: 1, etag: '1' });
    for (const worse of [{}, { first_message_index: 6 }, { forwarded_count: 6 }]) {
      const { body } = await put(version, keyData({ ...worse, session_data: { text: 'worse' } }));
      expect(body).toEqual({ count: 1, etag: '1' });
    }
    const better = [
      keyData({ forwarded_count: 4 }),
      keyData({ first_message_index: 4, forwarded_count: 9 }),
      keyData({ is_verified: true, first_message_index: 9 }),
    ];
    for (const [index, data] of better.entries()) {
      expect((await put(version, data)).body.etag).toBe(String(index + 2));
      expect(await get(version)).toEqual(data);
    }
    expect((await put(version, keyData())).body.etag).toBe('4');
  });

  it('are stored, listed and deleted by room and all together', async () => {
    const version = await create();
    const other = '!other:here.test';
    const rooms = {
      '!room:here.test': { sessions: { a: keyData(), b: keyData() } },
      [other]: { sessions: { c: keyData() } },
    };
    const all = `/room_keys/keys?version=${version}`;
    const ofRoom = `/room_keys/keys/${room}?version=${version}`;
    expect(await alice.ok('PUT', all, { rooms })).toEqual({ count: 3, etag: '1' });
    expect(await alice.ok('GET', all)).toEqual({ rooms });
    expect(await alice.ok('GET', ofRoom)).toEqual(rooms['!room:here.test']);
    const more = { sessions: { d: keyData() } };
    expect(await alice.ok('PUT', ofRoom, more)).toEqual({ count: 4, etag: '2' });
    const one = `/room_keys/keys/${room}/a?version=${version}`;
    expect(await alice.ok('DELETE', one)).toEqual({ count: 3, etag: '3' });
    expect((await alice.call('GET', one)).body.errcode).toBe('M_NOT_FOUND');
    expect(await alice.ok('DELETE', ofRoom)).toEqual({ count: 1, etag: '4' });
    expect(await alice.ok('GET', ofRoom)).toEqual({ sessions: {} });
    expect(await alice.ok('DELETE', all)).toEqual({ count: 0, etag: '5' });
    expect(await alice.ok('GET', all)).toEqual({ rooms: {} });
  });

  it('go into the newest version only, and nobody else sees them', async () => {
    const one = await create();
    const two = await create();
    const { status, body } = await put(one, keyData());
    expect([status, body.errcode, body.current_version]).toEqual([
      403,
      'M_WRONG_ROOM_KEYS_VERSION',
      two,
    ]);
    await put(two, keyData());
    const bob = await server.person('bob');
    const path = `/room_keys/keys?version=${two}`;
    expect((await bob.call('GET', path)).body.errcode).toBe('M_NOT_FOUND');
    expect((await put(two, { first_message_index: 1 })).body.errcode).toBe('M_MISSING_PARAM');
    expect((await put(two, keyData({ is_verified: 'yes' }))).body.errcode).toBe('M_BAD_JSON');
  });
});
