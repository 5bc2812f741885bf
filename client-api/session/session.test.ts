import { createHash } from 'node:crypto';
import {
  type AccountServer,
  accountServer,
  passwordOf,
  SERVER_NAME,
} from '../testing/account-server.ts';

const V3 = '/_matrix/client/v3';
const ALICE = `@alice:${SERVER_NAME}`;

let server: AccountServer;
const whoami = (token: string | undefined) =>
  server.request('GET', `${V3}/account/whoami`, token === undefined ? {} : { token });

beforeAll(async () => {
  server = await accountServer();
  await server.person('alice');
  await server.person('bob');
});
afterAll(() => server.stop());

describe('access tokens', () => {
  it('are taken from the header or the query, and refused as the specification says', async () => {
    const { body } = await server.logIn('alice');
    const token = body.access_token;
    expect((await whoami(token)).body).toMatchObject({ user_id: ALICE, device_id: body.device_id });
    const inQuery = await server.request('GET', `${V3}/account/whoami?access_token=${token}`);
    expect(inQuery.status).toBe(200);
    expect(await whoami(undefined)).toMatchObject({
      status: 401,
      body: { errcode: 'M_MISSING_TOKEN' },
    });
    const unknown = await whoami(`${token}x`);
    expect(unknown).toMatchObject({ status: 401, body: { errcode: 'M_UNKNOWN_TOKEN' } });
    expect(unknown.body.soft_logout ?? false).toBe(false);
    const basic = await server.request('GET', `${V3}/account/whoami`, {
      headers: { Authorization: 'Basic abc' },
    });
    expect(basic.body).toMatchObject({ errcode: 'M_MISSING_TOKEN' });
  });

  it('are stored only as hashes', async () => {
    const { body } = await server.logIn('alice', { refresh_token: true });
    for (const [table, token, kind] of [
      ['access_tokens', body.access_token, 'access'],
      ['refresh_tokens', body.refresh_token, 'refresh'],
    ]) {
      expect(token).toMatch(new RegExp(`^parley_${kind}_[A-Za-z0-9_-]{43}$`));
      const { rows } = await server.database.query({ text: `SELECT token_hash FROM ${table}` });
      const hash = createHash('sha256').update(token).digest('base64url');
      expect(rows).toContainEqual({ token_hash: hash });
      expect(JSON.stringify(rows)).not.toContain(token);
    }
  });
});

describe('POST /login', () => {
  const login = (body: object) => server.request('POST', `${V3}/login`, { body });
  const password = passwordOf('alice');

  it.each([
    ['a user id', { identifier: { type: 'm.id.user', user: ALICE } }],
    ['a localpart, case folded', { identifier: { type: 'm.id.user', user: 'ALICE' } }],
    ['the deprecated user', { user: 'alice' }],
  ])('accepts %s', async (_, who) => {
    const answer = await login({ type: 'm.login.password', ...who, password });
    expect(answer).toMatchObject({ status: 200, body: { user_id: ALICE } });
  });

  const wrong = { status: 403, errcode: 'M_FORBIDDEN' };
  const person = (user: string) => ({ identifier: { type: 'm.id.user', user } });
  it.each([
    ['a wrong password', { ...person('alice'), password: 'wrong' }, wrong],
    ['nobody', { ...person('nobody'), password }, wrong],
    ['a user of another server', { ...person('@alice:elsewhere.test'), password }, wrong],
    [
      'an address nobody has',
      { identifier: { type: 'm.id.thirdparty', medium: 'email', address: 'a@b.c' }, password },
      wrong,
    ],
    ['no password', person('alice'), { status: 400, errcode: 'M_MISSING_PARAM' }],
    ['no identifier', { password }, { status: 400, errcode: 'M_MISSING_PARAM' }],
    [
      'an unknown kind of identifier',
      { identifier: { type: 'm.id.what' }, password },
      { status: 400, errcode: 'M_UNKNOWN' },
    ],
    ['an unknown type', { type: 'm.login.what' }, { status: 400, errcode: 'M_UNKNOWN' }],
  ])('refuses %s', async (_, body, { status, errcode }) => {
    const answer = await login({ type: 'm.login.password', ...body });
    expect(answer).toMatchObject({ status, body: { errcode } });
  });

  it('gives a device back its name and revokes the tokens it had', async () => {
    const first = await server.logIn('alice', {
      device_id: 'SAME',
      initial_device_display_name: 'One',
    });
    expect((await whoami(first.body.access_token)).status).toBe(200);
    const second = await server.logIn('alice', {
      device_id: 'SAME',
      initial_device_display_name: 'Two',
    });
    expect((await whoami(first.body.access_token)).status).toBe(401);
    const device = await server.request('GET', `${V3}/devices/SAME`, {
      token: second.body.access_token,
    });
    expect(device.body.display_name).toBe('One');
  });

  it('lists its flows', async () => {
    const { body } = await server.request('GET', `${V3}/login`);
    expect(body.flows).toContainEqual({ type: 'm.login.password' });
  });
});

describe('POST /refresh', () => {
  const refresh = (token: string) =>
    server.request('POST', `${V3}/refresh`, { body: { refresh_token: token } });

  it('gives new tokens; the old ones last until a new one is used', async () => {
    const old = (await server.logIn('bob', { refresh_token: true })).body;
    expect(old.expires_in_ms).toBe(3_600_000);
    const lost = (await refresh(old.refresh_token)).body;
    const fresh = (await refresh(old.refresh_token)).body;
    expect((await whoami(old.access_token)).status).toBe(200);
    // The answer that was lost is replaced by the one that was not.
    expect((await whoami(lost.access_token)).status).toBe(401);
    expect((await whoami(fresh.access_token)).body).toMatchObject({ device_id: old.device_id });
    expect((await whoami(old.access_token)).status).toBe(401);
    expect(await refresh(old.refresh_token)).toMatchObject({
      status: 401,
      body: { errcode: 'M_UNKNOWN_TOKEN', soft_logout: true },
    });
  });

  it('counts the use of the new refresh token as a use', async () => {
    const old = (await server.logIn('bob', { refresh_token: true })).body;
    const second = (await refresh(old.refresh_token)).body;
    const third = (await refresh(second.refresh_token)).body;
    expect((await refresh(old.refresh_token)).status).toBe(401);
    expect((await whoami(third.access_token)).status).toBe(200);
  });

  it('is what an expired access token asks for, softly', async () => {
    const session = (await server.logIn('bob', { refresh_token: true })).body;
    expect((await whoami(session.access_token)).status).toBe(200);
    server.clock.advance(3_600_000);
    expect(await whoami(session.access_token)).toMatchObject({
      status: 401,
      body: { errcode: 'M_UNKNOWN_TOKEN', soft_logout: true },
    });
    const { access_token } = (await refresh(session.refresh_token)).body;
    expect((await whoami(access_token)).status).toBe(200);
  });

  it('refuses what is no token', async () => {
    expect((await refresh('nonsense')).status).toBe(401);
    const { body } = await server.request('POST', `${V3}/refresh`, { body: {} });
    expect(body.errcode).toBe('M_MISSING_PARAM');
  });
});

describe('logging out', () => {
  it('ends one session and deletes its device', async () => {
    const one = (await server.logIn('alice')).body;
    const other = (await server.logIn('alice')).body;
    await whoami(one.access_token);
    const out = await server.request('POST', `${V3}/logout`, { token: one.access_token });
    expect(out).toMatchObject({ status: 200, body: {} });
    expect((await whoami(one.access_token)).status).toBe(401);
    const path = `${V3}/devices/${one.device_id}`;
    const gone = await server.request('GET', path, { token: other.access_token });
    expect(gone).toMatchObject({ status: 404, body: { errcode: 'M_NOT_FOUND' } });
    expect((await server.request('POST', `${V3}/logout`)).status).toBe(401);
  });

  it('ends all of them', async () => {
    const carol = await server.person('carol');
    const second = (await server.logIn('carol')).body;
    await whoami(second.access_token);
    await server.request('POST', `${V3}/logout/all`, { token: carol.token });
    expect((await whoami(carol.token)).status).toBe(401);
    expect((await whoami(second.access_token)).status).toBe(401);
    expect((await server.logIn('carol')).status).toBe(200);
  });

  it('is open to a locked account, which nothing else is', async () => {
    const dave = await server.person('dave');
    await whoami(dave.token);
    await server.accounts.changes.setFlags(dave.userId as never, { locked: true });
    const locked = { status: 401, body: { errcode: 'M_USER_LOCKED', soft_logout: true } };
    expect(await whoami(dave.token)).toMatchObject(locked);
    expect(await server.logIn('dave')).toMatchObject(locked);
    await server.accounts.changes.setFlags(dave.userId as never, { locked: false });
    expect((await whoami(dave.token)).status).toBe(200);
    await server.accounts.changes.setFlags(dave.userId as never, { locked: true });
    expect((await server.request('POST', `${V3}/logout`, { token: dave.token })).status).toBe(200);
  });
});

describe('POST /login/get_token', () => {
  it('logs another client in, once, soon, after the password', async () => {
    const { token, userId } = await server.person('erin');
    const path = '/_matrix/client/v1/login/get_token';
    const first = await server.request('POST', path, { token, body: {} });
    expect(first).toMatchObject({
      status: 401,
      body: { flows: [{ stages: ['m.login.password'] }] },
    });
    const auth = {
      type: 'm.login.password',
      identifier: { type: 'm.id.user', user: 'erin' },
      password: passwordOf('erin'),
      session: first.body.session,
    };
    const issue = await server.request('POST', path, { token, body: { auth } });
    expect(issue.body).toMatchObject({ expires_in_ms: 120_000 });
    const login = { type: 'm.login.token', token: issue.body.login_token };
    const used = await server.request('POST', `${V3}/login`, { body: login });
    expect(used).toMatchObject({ status: 200, body: { user_id: userId } });
    expect((await server.request('POST', `${V3}/login`, { body: login })).status).toBe(403);
    // The session has served its one call.
    const again = await server.request('POST', path, { token, body: { auth } });
    expect(again.status).toBe(401);
    const late = await server.request('POST', path, {
      token,
      body: { auth: { ...auth, session: undefined } },
    });
    server.clock.advance(120_000);
    const body = { type: 'm.login.token', token: late.body.login_token };
    expect((await server.request('POST', `${V3}/login`, { body })).status).toBe(403);
  });
});
