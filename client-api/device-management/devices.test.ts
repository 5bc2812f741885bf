import {
  type AccountServer,
  accountServer,
  type Person,
  passwordOf,
} from '../testing/account-server.ts';

const V3 = '/_matrix/client/v3';

let server: AccountServer;
let alice: Person;
beforeAll(async () => {
  server = await accountServer();
  alice = await server.person('alice');
});
afterAll(() => server.stop());

const as = (token: string, method: string, path: string, body?: unknown) =>
  server.request(method, `${V3}${path}`, { token, ...(body === undefined ? {} : { body }) });
const passwordAuth = (name: string, session?: string) => ({
  type: 'm.login.password',
  identifier: { type: 'm.id.user', user: name },
  password: passwordOf(name),
  ...(session === undefined ? {} : { session }),
});

describe('devices', () => {
  it('are listed and renamed by their owner', async () => {
    await server.logIn('alice', { device_id: 'TABLET' });
    expect((await as(alice.token, 'PUT', '/devices/TABLET', { display_name: 'T' })).body).toEqual(
      {},
    );
    expect((await as(alice.token, 'GET', '/devices/TABLET')).body).toEqual({
      device_id: 'TABLET',
      display_name: 'T',
      // Some clients refuse a device without them.
      last_seen_ip: expect.any(String),
      last_seen_ts: expect.any(Number),
    });
    const { body } = await as(alice.token, 'GET', '/devices');
    expect(body.devices).toHaveLength(2);
    await server.accounts.activity.flush();
    expect((await as(alice.token, 'GET', `/devices/${alice.deviceId}`)).body).toMatchObject({
      last_seen_ip: '127.0.0.1',
      last_seen_ts: expect.any(Number),
    });
  });

  it.each([
    ['GET', '/devices/NONE', undefined, 404, 'M_NOT_FOUND'],
    ['PUT', '/devices/NONE', { display_name: 'x' }, 404, 'M_NOT_FOUND'],
    ['PUT', '/devices/NONE', {}, 404, 'M_NOT_FOUND'],
    ['PUT', '/devices/TABLET', { display_name: 1 }, 400, 'M_BAD_JSON'],
    ['POST', '/delete_devices', { devices: 'TABLET' }, 400, 'M_BAD_JSON'],
    ['POST', '/delete_devices', { devices: [''] }, 400, 'M_INVALID_PARAM'],
  ])('%s %s with %j is refused', async (method, path, body, status, errcode) => {
    expect(await as(alice.token, method, path, body)).toMatchObject({ status, body: { errcode } });
  });

  it.each([
    ['GET', '/devices'],
    ['GET', '/devices/X'],
    ['PUT', '/devices/X'],
    ['DELETE', '/devices/X'],
    ['POST', '/delete_devices'],
  ])('%s %s needs a token', async (method, path) => {
    const body = method === 'GET' ? {} : { body: {} };
    expect(await server.request(method, `${V3}${path}`, body)).toMatchObject({
      status: 401,
      body: { errcode: 'M_MISSING_TOKEN' },
    });
  });

  it('are deleted after the password, and their tokens with them', async () => {
    const phone = (await server.logIn('alice', { device_id: 'PHONE' })).body;
    const { body } = await as(alice.token, 'DELETE', '/devices/PHONE', {});
    const wrong = { ...passwordAuth('alice', body.session), password: 'wrong' };
    expect(await as(alice.token, 'DELETE', '/devices/PHONE', { auth: wrong })).toMatchObject({
      status: 401,
      body: { errcode: 'M_FORBIDDEN', session: body.session, completed: [] },
    });
    await server.person('bob');
    const bobs = passwordAuth('bob', body.session);
    expect((await as(alice.token, 'DELETE', '/devices/PHONE', { auth: bobs })).status).toBe(401);
    // The session was begun for this device only.
    const right = { auth: passwordAuth('alice', body.session) };
    expect((await as(alice.token, 'DELETE', '/devices/TABLET', right)).status).toBe(403);
    expect((await as(alice.token, 'DELETE', '/devices/PHONE', right)).body).toEqual({});
    expect((await as(phone.access_token, 'GET', '/devices')).status).toBe(401);
  });

  it('are deleted many at once, those that do not exist included', async () => {
    const one = (await server.logIn('alice', { device_id: 'ONE' })).body;
    await server.logIn('alice', { device_id: 'TWO' });
    const devices = ['ONE', 'TWO', 'NONE'];
    const auth = passwordAuth('alice');
    expect((await as(alice.token, 'POST', '/delete_devices', { devices, auth })).body).toEqual({});
    expect((await as(one.access_token, 'GET', '/devices')).status).toBe(401);
    expect((await as(alice.token, 'GET', '/devices/TWO')).status).toBe(404);
  });
});
