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

describe('what a backup may hold', () => {
  const errcodeOf = async (answer: Promise<{ body: { errcode: string } }>) =>
    (await answer).body.errcode;
  const setUse = (keys: number, bytes: number) =>
    server.test.core.database.query({
      text: 'UPDATE key_backups SET key_count = $2, key_bytes = $3 WHERE user_id = $1',
      values: [alice.userId, keys, bytes],
    });

  it('is bounded in keys and bytes, over all versions; better keys of one size still go in', async () => {
    const version = await create();
    await put(version, keyData());
    await setUse(250_000, 0);
    expect(await errcodeOf(put(version, keyData(), 'other'))).toBe('M_RESOURCE_LIMIT_EXCEEDED');
    expect((await put(version, keyData({ is_verified: true }))).status).toBe(200);
    expect((await alice.ok('GET', `/room_keys/keys/${room}?version=${version}`)).sessions).toEqual({
      s: keyData({ is_verified: true }),
    });
    await setUse(1, 256 * 1024 * 1024);
    expect(await errcodeOf(put(version, keyData(), 'other'))).toBe('M_RESOURCE_LIMIT_EXCEEDED');
    expect((await alice.ok('GET', '/room_keys/version')).count).toBe(1);
  });

  it('counts what is stored, replaced and deleted', async () => {
    const version = await create();
    const use = async () => {
      const { rows } = await server.test.core.database.query({
        text: `SELECT key_count, key_bytes,
            (SELECT count(*) FROM key_backup_keys k WHERE k.user_id = b.user_id) AS keys,
            (SELECT coalesce(sum(octet_length(room_id) + octet_length(session_id)
              + octet_length(session_data)), 0)::bigint
              FROM key_backup_keys k WHERE k.user_id = b.user_id) AS bytes
          FROM key_backups b WHERE user_id = $1`,
        values: [alice.userId],
      });
      return rows[0] as Record<string, number>;
    };
    for (const step of [
      () => put(version, keyData(), 'a'),
      () => put(version, keyData(), 'b'),
      () => put(version, keyData({ is_verified: true, session_data: { longer: 'secret!' } }), 'a'),
      () => put(version, keyData({ session_data: 'worse' }), 'a'),
      () => alice.call('DELETE', `/room_keys/keys/${room}/a?version=${version}`),
    ]) {
      expect((await step()).status).toBe(200);
      const { key_count: count, key_bytes: bytes, ...real } = await use();
      expect({ keys: count, bytes }).toEqual(real);
    }
    await alice.ok('DELETE', `/room_keys/version/${version}`);
    expect(await use()).toEqual({ key_count: 0, key_bytes: 0, keys: 0, bytes: 0 });
  });

  it('is bounded in size of a key and of what proves the backup', async () => {
    const version = await create();
    const large = 'x'.repeat(65_537);
    expect(await errcodeOf(put(version, keyData({ session_data: large })))).toBe('M_TOO_LARGE');
    const path = '/room_keys/version';
    const backup = { algorithm, auth_data: { large } };
    expect(await errcodeOf(alice.call('POST', path, backup))).toBe('M_TOO_LARGE');
    expect(await errcodeOf(alice.call('PUT', `${path}/${version}`, backup))).toBe('M_TOO_LARGE');
  });

  it('has a bounded number of versions, and forgets old ones that are deleted', async () => {
    const { keyBackups } = server.test.core.encryption;
    for (let n = 0; n < 100; n++) await create();
    const refused = alice.call('POST', '/room_keys/version', { algorithm, auth_data: {} });
    expect(await errcodeOf(refused)).toBe('M_RESOURCE_LIMIT_EXCEEDED');
    for (let n = 1; n <= 250; n++) {
      await keyBackups.delete(alice.userId, String(n));
      expect(await create()).toBe(String(100 + n));
    }
    const { rows } = await server.test.core.database.query({
      text: 'SELECT count(*) AS count FROM key_backups WHERE user_id = $1',
      values: [alice.userId],
    });
    expect(rows).toEqual([{ count: 200 }]);
  });
});

describe('names that clients choose', () => {
  it('may be those of what every object has', async () => {
    const version = await create();
    const names = ['constructor', 'toString', 'hasOwnProperty', 'valueOf'];
    const sessions = Object.fromEntries(names.map((name) => [name, keyData()]));
    const rooms = Object.fromEntries(names.map((name) => [name, { sessions }]));
    const all = `/room_keys/keys?version=${version}`;
    expect((await alice.ok('PUT', all, { rooms })).count).toBe(16);
    expect(await alice.ok('GET', all)).toEqual({ rooms });
    expect(await alice.ok('GET', `/room_keys/keys/constructor?version=${version}`)).toEqual({
      sessions,
    });
    const proto = `/room_keys/keys/__proto__/__proto__?version=${version}`;
    await alice.ok('PUT', proto, keyData());
    expect(await alice.ok('GET', proto)).toEqual(keyData());
    const text = JSON.stringify(await alice.ok('GET', all));
    expect(text).toContain('"__proto__":{"sessions":{"__proto__":');
  });

  it('come back however many there are', async () => {
    const version = await create();
    const sessions = Object.fromEntries(
      Array.from({ length: 1_200 }, (_, n) => [`session ${n}`, keyData()]),
    );
    const rooms = { '!a:here.test': { sessions }, '!b:here.test': { sessions } };
    const all = `/room_keys/keys?version=${version}`;
    expect((await alice.ok('PUT', all, { rooms })).count).toBe(2_400);
    expect(await alice.ok('GET', all)).toEqual({ rooms });
    expect(await alice.ok('GET', `/room_keys/keys/!b:here.test?version=${version}`)).toEqual({
      sessions,
    });
  });
});
