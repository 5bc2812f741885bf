import type { Appservice, Appservices } from '../homeserver/accounts/appservices.ts';
import { type AccountServer, accountServer } from './testing/account-server.ts';

const bridge: Appservice = {
  id: 'bridge',
  senderUserId: '@bridge:parley.test' as never,
  rateLimited: false,
  claims: (userId) => userId.startsWith('@irc_'),
};
const appservices: Appservices = {
  byToken: (token) => (token === 'as-token' ? bridge : undefined),
  exclusiveOwner: (userId) => (userId.startsWith('@irc_') ? bridge : undefined),
};

describe('an application service', () => {
  let server: AccountServer;
  beforeAll(async () => {
    server = await accountServer({ appservices });
  });
  afterAll(() => server.stop());
  const as = (method: string, path: string, body?: object) =>
    server.request(method, `/_matrix/client/v3${path}`, {
      token: 'as-token',
      ...(body === undefined ? {} : { body }),
    });
  const register = (username: string) =>
    as('POST', '/register', {
      type: 'm.login.application_service',
      username,
      inhibit_login: true,
    });

  it('alone makes accounts in its namespace, and none outside', async () => {
    expect((await register('irc_bob')).body).toMatchObject({ user_id: '@irc_bob:parley.test' });
    expect((await register('alice')).body.errcode).toBe('M_EXCLUSIVE');
    const person = await server.request('POST', '/_matrix/client/v3/register', {
      body: { username: 'irc_eve' },
    });
    expect(person.body.errcode).toBe('M_EXCLUSIVE');
  });

  it('acts as its users, and as nobody else', async () => {
    const whoami = (query: string) => as('GET', `/account/whoami?${query}`);
    expect((await whoami('user_id=@irc_bob:parley.test')).body).toEqual({
      user_id: '@irc_bob:parley.test',
      is_guest: false,
    });
    expect((await whoami('user_id=@irc_nobody:parley.test')).status).toBe(403);
    expect((await whoami('user_id=@alice:parley.test')).status).toBe(403);
    const unknown = await whoami('user_id=@irc_bob:parley.test&device_id=X');
    expect(unknown.body.errcode).toBe('M_UNKNOWN_DEVICE');
  });

  it('makes and deletes devices without confirming', async () => {
    const query = '?user_id=@irc_bob:parley.test';
    const put = await as('PUT', `/devices/BRIDGE${query}`, { display_name: 'Bridge' });
    expect(put.status).toBe(201);
    expect((await as('PUT', `/devices/BRIDGE${query}`, {})).status).toBe(200);
    expect((await as('DELETE', `/devices/BRIDGE${query}`, {})).body).toEqual({});
  });

  it('is not told that its users could change a password', async () => {
    const { body } = await as('GET', '/capabilities?user_id=@irc_bob:parley.test');
    expect(body.capabilities['m.change_password']).toEqual({ enabled: false });
  });

  it('logs its users in', async () => {
    const identifier = { type: 'm.id.user', user: 'irc_bob' };
    const body = { type: 'm.login.application_service', identifier };
    expect((await as('POST', '/login', body)).status).toBe(200);
    const other = { ...body, identifier: { type: 'm.id.user', user: 'alice' } };
    expect((await as('POST', '/login', other)).status).toBe(403);
  });
});
