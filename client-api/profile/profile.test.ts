import { type AccountServer, accountServer, type Person } from '../testing/account-server.ts';

const V3 = '/_matrix/client/v3';

let server: AccountServer;
let alice: Person;
let bob: Person;
const changes: unknown[] = [];
beforeAll(async () => {
  server = await accountServer();
  alice = await server.person('alice');
  bob = await server.person('bob');
  server.accounts.profiles.onChange({
    profileChanged: async (userId, profile) => {
      changes.push([userId, profile]);
    },
  });
});
afterAll(() => server.stop());

const put = (field: string, body: unknown, person = alice) =>
  server.request('PUT', `${V3}/profile/${alice.userId}/${field}`, { token: person.token, body });
const get = (path: string) => server.request('GET', `${V3}/profile/${path}`);

describe('profiles', () => {
  it('begin with the localpart as the name', async () => {
    expect((await get(bob.userId)).body).toEqual({ displayname: 'bob' });
  });

  it('are set field by field, and rooms are told of name and avatar', async () => {
    const avatar_url = 'mxc://parley.test/abc';
    await put('displayname', { displayname: 'Alice' });
    await put('avatar_url', { avatar_url });
    await put('m.tz', { 'm.tz': 'Europe/Berlin' });
    await put('org.example.pets', { 'org.example.pets': ['cat', null] });
    await put('displayname', { displayname: 'Alice' });
    expect((await get(alice.userId)).body).toEqual({
      displayname: 'Alice',
      avatar_url,
      'm.tz': 'Europe/Berlin',
      'org.example.pets': ['cat', null],
    });
    expect((await get(`${alice.userId}/displayname`)).body).toEqual({ displayname: 'Alice' });
    expect(changes).toEqual([
      [alice.userId, { displayname: 'Alice' }],
      [alice.userId, { displayname: 'Alice', avatar_url }],
    ]);
  });

  it('lose a field by DELETE, by an empty name, and say so when it is missing', async () => {
    const path = `${V3}/profile/${alice.userId}/m.tz`;
    expect((await server.request('DELETE', path, { token: alice.token })).body).toEqual({});
    expect((await server.request('DELETE', path, { token: alice.token })).body).toEqual({});
    await put('displayname', { displayname: '' });
    const missing = { status: 404, body: { errcode: 'M_NOT_FOUND' } };
    expect(await get(`${alice.userId}/m.tz`)).toMatchObject(missing);
    expect(await get(`${alice.userId}/displayname`)).toMatchObject(missing);
    expect(await get('@nobody:parley.test')).toMatchObject(missing);
    expect(await get('@somebody:elsewhere.test')).toMatchObject(missing);
    expect(changes.at(-1)).toEqual([alice.userId, { avatar_url: 'mxc://parley.test/abc' }]);
  });

  it('have no fields that every object has', async () => {
    const path = `${V3}/profile/${bob.userId}/constructor`;
    expect((await server.request('GET', path)).status).toBe(404);
    expect((await server.request('DELETE', path, { token: bob.token })).body).toEqual({});
    const put = { token: bob.token, body: { constructor: 1 } };
    expect((await server.request('PUT', path, put)).body).toEqual({});
    expect((await server.request('GET', path)).body).toEqual({ constructor: 1 });
  });

  it.each([
    ['displayname', { other: 1 }, 'M_MISSING_PARAM'],
    ['displayname', { displayname: 1 }, 'M_BAD_JSON'],
    ['displayname', { displayname: null }, 'M_BAD_JSON'],
    ['displayname', { displayname: 'x'.repeat(2_000) }, 'M_INVALID_PARAM'],
    ['avatar_url', { avatar_url: 'https://example.org/a.png' }, 'M_INVALID_PARAM'],
    ['Bad!', { 'Bad!': 1 }, 'M_INVALID_PARAM'],
    ['__proto__', '{"__proto__":{"x":1}}', 'M_BAD_JSON'],
    ['constructor', {}, 'M_MISSING_PARAM'],
    ['m'.repeat(256), { [`${'m'.repeat(256)}`]: 1 }, 'M_KEY_TOO_LARGE'],
    ['org.big', { 'org.big': 'x'.repeat(65_536) }, 'M_PROFILE_TOO_LARGE'],
  ])('refuse %s as %j', async (field, body, errcode) => {
    expect(await put(field, body)).toMatchObject({ status: 400, body: { errcode } });
  });

  it('are changed by nobody else, nor while suspended, nor without token', async () => {
    const forbidden = { status: 403, body: { errcode: 'M_FORBIDDEN' } };
    expect(await put('displayname', { displayname: 'B' }, bob)).toMatchObject(forbidden);
    await server.accounts.changes.setFlags(alice.userId as never, { suspended: true });
    expect((await put('displayname', { displayname: 'A' })).body).toMatchObject({
      errcode: 'M_USER_SUSPENDED',
    });
    const path = `${V3}/profile/${alice.userId}/displayname`;
    expect((await server.request('PUT', path, { body: { displayname: 'x' } })).status).toBe(401);
    expect((await server.request('DELETE', path)).status).toBe(401);
  });
});
