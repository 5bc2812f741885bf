import {
  type AccountServer,
  accountServer,
  passwordOf,
  SERVER_NAME,
} from '../testing/account-server.ts';

const V3 = '/_matrix/client/v3';

let server: AccountServer;
beforeAll(async () => {
  server = await accountServer();
});
afterAll(() => server.stop());

const as = (token: string, path: string, body: object) =>
  server.request('POST', `${V3}${path}`, { token, body });
const isKnown = async (token: string) =>
  (await server.request('GET', `${V3}/account/whoami`, { token })).status === 200;
const passwordAuth = (name: string, session?: string) => ({
  type: 'm.login.password',
  user: name,
  password: passwordOf(name),
  ...(session === undefined ? {} : { session }),
});

describe('POST /account/password', () => {
  it('changes it after the old one, and logs the other devices out', async () => {
    const alice = await server.person('alice');
    const other = (await server.logIn('alice')).body.access_token;
    const change = { new_password: 'a-new-password' };
    const { session } = (await as(alice.token, '/account/password', change)).body;
    const done = await as(alice.token, '/account/password', {
      ...change,
      auth: passwordAuth('alice', session),
    });
    expect(done).toMatchObject({ status: 200, body: {} });
    expect(await isKnown(alice.token)).toBe(true);
    expect(await isKnown(other)).toBe(false);
    expect((await server.logIn('alice')).status).toBe(403);
    expect((await server.logIn('alice', { password: 'a-new-password' })).status).toBe(200);
  });

  it('leaves the other devices alone when told to', async () => {
    const bob = await server.person('bob');
    const other = (await server.logIn('bob')).body.access_token;
    const change = { new_password: 'a-new-password', logout_devices: false };
    await as(bob.token, '/account/password', { ...change, auth: passwordAuth('bob') });
    expect(await isKnown(other)).toBe(true);
  });

  it('refuses what is weak, missing or nobody’s', async () => {
    const { token } = await server.person('carol');
    expect((await as(token, '/account/password', { new_password: 'x' })).body).toMatchObject({
      errcode: 'M_WEAK_PASSWORD',
    });
    expect((await as(token, '/account/password', {})).body).toMatchObject({
      errcode: 'M_MISSING_PARAM',
    });
    const nobody = await server.request('POST', `${V3}/account/password`, { body: {} });
    expect(nobody.status).toBe(401);
  });
});

describe('POST /account/deactivate', () => {
  it('ends the account for good, and tells the rest of the server', async () => {
    const departed: unknown[] = [];
    server.accounts.changes.onDeparture({
      depart: async (userId, options) => {
        departed.push([userId, options]);
      },
    });
    const dave = await server.person('dave');
    const filters = `/user/${dave.userId}/filter`;
    expect((await as(dave.token, filters, { room: {} })).status).toBe(200);
    await server.database.transaction(async (tx) => {
      for (const text of [
        `INSERT INTO push_rules (user_id, rules, stream_pos) VALUES ($1, '{}', 1)`,
        `INSERT INTO key_backups (user_id, version, algorithm, auth_data) VALUES ($1, 1, 'x', '{}')`,
      ]) {
        await tx.query({ text, values: [dave.userId] });
      }
    });
    const first = await as(dave.token, '/account/deactivate', { erase: true });
    expect(first.status).toBe(401);
    const auth = passwordAuth('dave', first.body.session);
    // The session was begun with erase.
    expect((await as(dave.token, '/account/deactivate', { auth })).status).toBe(403);
    const done = await as(dave.token, '/account/deactivate', { erase: true, auth });
    expect(done.body).toEqual({ id_server_unbind_result: 'success' });
    expect(departed).toEqual([[dave.userId, { erase: true }]]);
    expect(await isKnown(dave.token)).toBe(false);
    expect((await server.logIn('dave')).status).toBe(403);
    const profile = await server.request('GET', `${V3}/profile/${dave.userId}`);
    expect(profile.body).toEqual({});
    for (const table of ['filters', 'push_rules', 'key_backups']) {
      const text = `SELECT 1 FROM ${table} WHERE user_id = $1`;
      expect((await server.database.query({ text, values: [dave.userId] })).rows).toEqual([]);
    }
    const taken = await server.request('POST', `${V3}/register`, { body: { username: 'dave' } });
    expect(taken.body.errcode).toBe('M_USER_IN_USE');
  });

  it('finishes at the next start what a failure cut short', async () => {
    const erin = await server.person('erin');
    let fails = true;
    const departed: string[] = [];
    server.accounts.changes.onDeparture({
      depart: async (userId) => {
        if (fails) throw new Error('the rooms are not there');
        departed.push(userId);
      },
    });
    const answer = await as(erin.token, '/account/deactivate', { auth: passwordAuth('erin') });
    expect(answer.status).toBe(500);
    fails = false;
    await server.accounts.changes.resumeDepartures();
    await server.accounts.changes.resumeDepartures();
    expect(departed).toEqual([`@erin:${SERVER_NAME}`]);
  });
});

describe('GET /account/3pid', () => {
  it('lists none where none can be added', async () => {
    const { token } = await server.person('frank');
    const answer = await server.request('GET', `${V3}/account/3pid`, { token });
    expect(answer.body).toEqual({ threepids: [] });
    expect((await server.request('GET', `${V3}/account/3pid`)).status).toBe(401);
  });
});
