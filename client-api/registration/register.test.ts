import {
  type AccountServer,
  accountServer,
  passwordOf,
  SERVER_NAME,
} from '../testing/account-server.ts';

const REGISTER = '/_matrix/client/v3/register';
const DUMMY = { type: 'm.login.dummy' };

describe('POST /register with an open server', () => {
  let server: AccountServer;
  const register = (body: object, query = '') =>
    server.request('POST', `${REGISTER}${query}`, { body });
  beforeAll(async () => {
    server = await accountServer();
  });
  afterAll(() => server.stop());

  it('asks for the dummy stage, then makes the account with a session', async () => {
    const first = await register({});
    expect(first).toMatchObject({
      status: 401,
      body: { flows: [{ stages: ['m.login.dummy'] }], params: {}, completed: [] },
    });
    const { session } = first.body;
    const made = await register({
      username: 'Alice',
      password: 'alice-password',
      device_id: 'PHONE',
      initial_device_display_name: 'Phone',
      auth: { ...DUMMY, session },
    });
    expect(made).toMatchObject({
      status: 200,
      body: { user_id: `@alice:${SERVER_NAME}`, device_id: 'PHONE', home_server: SERVER_NAME },
    });
    const token = made.body.access_token;
    expect(
      (await server.request('GET', '/_matrix/client/v3/account/whoami', { token })).body,
    ).toEqual({ user_id: `@alice:${SERVER_NAME}`, device_id: 'PHONE', is_guest: false });
    const { body } = await server.request('GET', '/_matrix/client/v3/devices/PHONE', { token });
    expect(body).toMatchObject({ device_id: 'PHONE', display_name: 'Phone' });
  });

  it('gives a client that repeats its last request the same account again', async () => {
    const { session } = (await register({})).body;
    const body = { username: 'again', password: 'again-password', auth: { ...DUMMY, session } };
    const first = await register(body);
    const second = await register(body);
    expect(second.body.user_id).toBe(first.body.user_id);
    expect(second.body.access_token).not.toBe(first.body.access_token);
    expect((await server.logIn('again')).status).toBe(200);
  });

  describe('a session that has made an account', () => {
    const finished = async (username: string) => {
      const { session } = (await register({})).body;
      const request = (password?: string) =>
        register({ username, password, auth: { ...DUMMY, session } });
      const { body } = await request(passwordOf(username));
      return { request, session, userId: body.user_id, token: body.access_token };
    };

    it('is no way in without the password', async () => {
      const { request } = await finished('nopass');
      expect((await request(passwordOf('nopass'))).status).toBe(200);
      expect(await request()).toMatchObject({ status: 403, body: { errcode: 'M_FORBIDDEN' } });
      expect((await request('another-password')).status).toBe(403);
    });

    it('is none with a password that has been changed, or to an account that is gone', async () => {
      const { request, userId } = await finished('changed');
      const { changes } = server.accounts;
      await changes.setPassword(userId, 'another-password', { logoutDevices: true });
      expect((await request(passwordOf('changed'))).status).toBe(403);
      await changes.deactivate(userId, { erase: false });
      expect((await request('another-password')).status).toBe(403);
    });

    it('ends soon, and is stored by its hash', async () => {
      const { request, session } = await finished('ending');
      const { rows } = await server.database.query<Record<string, string>>({
        text: 'SELECT * FROM uia_sessions',
      });
      expect(rows.length).toBeGreaterThan(0);
      expect(JSON.stringify(rows)).not.toContain(session);
      server.clock.advance(600_000);
      const late = await request(passwordOf('ending'));
      expect(late).toMatchObject({ status: 400, body: { errcode: 'M_USER_IN_USE' } });
    });
  });

  it('makes the first account an administrator, and only that, whoever comes at once', async () => {
    const fresh = await accountServer();
    const people = await Promise.all(['a1', 'a2', 'a3', 'a4'].map((name) => fresh.person(name)));
    const users = await Promise.all(
      people.map(({ userId }) => fresh.accounts.users.get(userId as never)),
    );
    expect(users.filter((user) => user?.isAdmin)).toHaveLength(1);
    await fresh.stop();
  });

  it('takes inhibit_login for no session, and makes up a name where none is given', async () => {
    const { body } = await register({
      password: 'long-enough',
      inhibit_login: true,
      auth: DUMMY,
    });
    expect(body.user_id).toMatch(/^@[a-z0-9]{12}:parley\.test$/);
    expect(body).not.toHaveProperty('access_token');
    expect(body).not.toHaveProperty('device_id');
  });

  it.each([
    ['a taken name', { username: 'ALICE' }, 400, 'M_USER_IN_USE'],
    ['a name outside the grammar', { username: 'al ice' }, 400, 'M_INVALID_USERNAME'],
    [
      'a Kelvin sign, which lower case would make a k',
      { username: '\u212A' },
      400,
      'M_INVALID_USERNAME',
    ],
    ['a name too long', { username: 'a'.repeat(250) }, 400, 'M_INVALID_USERNAME'],
    ['a short password', { username: 'new', password: 'short' }, 400, 'M_WEAK_PASSWORD'],
    ['a wrong type', { username: 1 }, 400, 'M_BAD_JSON'],
    ['no password, at the end', { username: 'new', auth: DUMMY }, 400, 'M_MISSING_PARAM'],
    [
      'a device id that cannot be stored',
      { username: 'new', password: 'long-enough', device_id: 'x'.repeat(256), auth: DUMMY },
      400,
      'M_INVALID_PARAM',
    ],
  ])('refuses %s', async (_, body, status, errcode) => {
    expect(await register(body)).toMatchObject({ status, body: { errcode } });
  });

  it('refuses guests and unknown kinds', async () => {
    expect(await register({}, '?kind=guest')).toMatchObject({
      status: 403,
      body: { errcode: 'M_GUEST_ACCESS_FORBIDDEN' },
    });
    expect(await register({}, '?kind=robot')).toMatchObject({
      status: 400,
      body: { errcode: 'M_INVALID_PARAM' },
    });
  });

  it('tells whether a name is free', async () => {
    const available = (name: string) =>
      server.request('GET', `${REGISTER}/available?username=${name}`);
    expect((await available('nobody')).body).toEqual({ available: true });
    expect((await available('Alice')).body).toMatchObject({ errcode: 'M_USER_IN_USE' });
    expect((await available('@x')).body).toMatchObject({ errcode: 'M_INVALID_USERNAME' });
    expect((await server.request('GET', `${REGISTER}/available`)).body).toMatchObject({
      errcode: 'M_MISSING_PARAM',
    });
  });
});

describe('POST /register where a token is required', () => {
  let server: AccountServer;
  const STAGE = 'm.login.registration_token';
  const register = (body: object) => server.request('POST', REGISTER, { body });
  const validity = async (token: string) =>
    (await server.request('GET', `/_matrix/client/v1/register/${STAGE}/validity?token=${token}`))
      .body;
  beforeAll(async () => {
    server = await accountServer({ registration: { requireToken: true } });
  });
  afterAll(() => server.stop());

  it('lets the first person in with the token of the first start, once', async () => {
    const { registrationTokens } = server.accounts;
    const token = (await registrationTokens.ensureFirstStartToken()) as string;
    expect(await registrationTokens.ensureFirstStartToken()).toBe(token);
    expect(await validity(token)).toEqual({ valid: true });

    const { session } = (await register({})).body;
    const person = { username: 'alice', password: passwordOf('alice') };
    const wrong = await register({ ...person, auth: { type: STAGE, token: 'no', session } });
    expect(wrong).toMatchObject({
      status: 401,
      body: { errcode: 'M_UNAUTHORIZED', session, completed: [], flows: [{ stages: [STAGE] }] },
    });
    const dummy = await register({ ...person, auth: { ...DUMMY, session } });
    expect(dummy).toMatchObject({ status: 401, body: { errcode: 'M_FORBIDDEN', completed: [] } });
    const made = await register({ ...person, auth: { type: STAGE, token, session } });
    expect(made.status).toBe(200);
    expect((await server.accounts.users.get(made.body.user_id))?.isAdmin).toBe(true);

    expect(await validity(token)).toEqual({ valid: false });
    expect(await registrationTokens.ensureFirstStartToken()).toBeUndefined();
  });

  it('counts uses when accounts are made: two at once with one use left make one', async () => {
    const { token } = await server.accounts.registrationTokens.create({ usesAllowed: 1 });
    const attempt = (username: string) =>
      register({ username, password: 'long-enough', auth: { type: STAGE, token } });
    const answers = await Promise.all([attempt('bob'), attempt('carol')]);
    expect(answers.map(({ status }) => status).sort()).toContain(200);
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
  });

  it('knows no token that has expired or never was', async () => {
    const { registrationTokens } = server.accounts;
    const expiresAtMs = server.clock.nowMs() + 1_000;
    await registrationTokens.create({ token: 'soon', expiresAtMs });
    expect(await validity('soon')).toEqual({ valid: true });
    server.clock.advance(1_000);
    expect(await validity('soon')).toEqual({ valid: false });
    expect(await validity('')).toEqual({ valid: false });
    await expect(registrationTokens.create({ token: 'soon' })).rejects.toMatchObject({
      errcode: 'M_INVALID_PARAM',
    });
  });

  it('forgets a session after an hour and begins another', async () => {
    const { session } = (await register({})).body;
    server.clock.advance(3_600_000);
    const late = await register({ auth: { type: STAGE, token: 'x', session } });
    expect(late).toMatchObject({ status: 401, body: { errcode: 'M_UNKNOWN' } });
    expect(late.body.session).not.toBe(session);
  });

  it('takes no session of another operation', async () => {
    const { token } = await server.accounts.registrationTokens.create({ usesAllowed: 1 });
    const eve = await register({
      username: 'eve',
      password: passwordOf('eve'),
      auth: { type: STAGE, token },
    });
    const { session } = (await register({})).body;
    const answer = await server.request('POST', '/_matrix/client/v3/account/deactivate', {
      token: eve.body.access_token,
      body: { auth: { type: 'm.login.password', session } },
    });
    expect(answer).toMatchObject({ status: 403, body: { errcode: 'M_FORBIDDEN' } });
  });
});

describe('POST /register elsewhere', () => {
  it('is refused where registration is closed', async () => {
    const server = await accountServer({ registration: { enabled: false } });
    const refused = { status: 403, body: { errcode: 'M_FORBIDDEN' } };
    expect(await server.request('POST', REGISTER, { body: {} })).toMatchObject(refused);
    const path = '/_matrix/client/v1/register/m.login.registration_token/validity?token=x';
    expect(await server.request('GET', path)).toMatchObject(refused);
    await server.stop();
  });

  it('makes guests where they are allowed, who may do little', async () => {
    const server = await accountServer({ registration: { allowGuests: true } });
    const { body } = await server.request('POST', `${REGISTER}?kind=guest`, {
      body: { username: 'ignored', device_id: 'IGNORED' },
    });
    expect(body.user_id).toMatch(/^@guest-/);
    expect(body.device_id).not.toBe('IGNORED');
    const as = (method: string, path: string, content?: object) =>
      server.request(method, `/_matrix/client/v3${path}`, {
        token: body.access_token,
        ...(content === undefined ? {} : { body: content }),
      });
    expect((await as('GET', '/account/whoami')).body).toMatchObject({ is_guest: true });
    const profile = `/profile/${body.user_id}`;
    expect((await as('PUT', `${profile}/displayname`, { displayname: 'G' })).status).toBe(200);
    const forbidden = { status: 403, body: { errcode: 'M_GUEST_ACCESS_FORBIDDEN' } };
    expect(await as('PUT', `${profile}/m.tz`, { 'm.tz': 'x' })).toMatchObject(forbidden);
    expect(await as('GET', `/user/${body.user_id}/account_data/x`)).toMatchObject(forbidden);
    // A guest does not use up the first account's privilege.
    const alice = await server.person('alice');
    expect((await server.accounts.users.get(alice.userId as never))?.isAdmin).toBe(true);
    await server.stop();
  });

  describe('of a guest', () => {
    let server: AccountServer;
    let guest: { user_id: string; access_token: string; device_id: string };
    beforeEach(async () => {
      server = await accountServer({ registration: { allowGuests: true } });
      await server.person('first');
      guest = (await server.request('POST', `${REGISTER}?kind=guest`, { body: {} })).body;
    });
    afterEach(() => server.stop());

    const upgrade = (more: object = {}) =>
      server.request('POST', REGISTER, {
        body: {
          username: guest.user_id.slice(1).split(':')[0],
          password: 'correct horse',
          guest_access_token: guest.access_token,
          ...more,
        },
      });
    const whoami = (token: string) =>
      server.request('GET', '/_matrix/client/v3/account/whoami', { token });

    it('makes the account a full one, with its sessions', async () => {
      // Remembered as a guest's.
      expect((await whoami(guest.access_token)).body.is_guest).toBe(true);
      const first = await upgrade();
      expect(first.status).toBe(401);
      const auth = { type: 'm.login.dummy', session: first.body.session };
      const { status, body } = await upgrade({ auth });
      expect([status, body.user_id]).toEqual([200, guest.user_id]);
      for (const token of [guest.access_token, body.access_token]) {
        expect((await whoami(token)).body).toMatchObject({
          user_id: guest.user_id,
          is_guest: false,
        });
      }
      const identifier = { type: 'm.id.user', user: guest.user_id };
      const login = { type: 'm.login.password', identifier, password: 'correct horse' };
      const path = '/_matrix/client/v3/login';
      expect((await server.request('POST', path, { body: login })).status).toBe(200);
      expect((await server.accounts.users.get(guest.user_id as never))?.isAdmin).toBe(false);
      // The same request again has the same answer, and once it is over nothing is left to upgrade.
      expect((await upgrade({ auth })).body.user_id).toBe(guest.user_id);
      expect((await upgrade()).body.errcode).toBe('M_FORBIDDEN');
    });

    it('is that guest’s alone', async () => {
      const other = (await server.request('POST', `${REGISTER}?kind=guest`, { body: {} })).body;
      const { token: person } = await server.person('person');
      for (const [more, errcode] of [
        [{ guest_access_token: other.access_token }, 'M_FORBIDDEN'],
        [{ guest_access_token: 'nonsense' }, 'M_FORBIDDEN'],
        [{ guest_access_token: person, username: 'person' }, 'M_FORBIDDEN'],
        [{ username: 'free' }, 'M_FORBIDDEN'],
        [{ username: undefined }, 'M_MISSING_PARAM'],
        [{ guest_access_token: undefined }, 'M_USER_IN_USE'],
      ] as const) {
        expect((await upgrade(more)).body.errcode).toBe(errcode);
      }
    });

    it('happens once, of two that come at the same moment', async () => {
      const sessions = await Promise.all([upgrade(), upgrade()]);
      const answers = await Promise.all(
        sessions.map(({ body: { session } }, count) =>
          upgrade({ password: `password ${count}`, auth: { type: 'm.login.dummy', session } }),
        ),
      );
      expect(answers.map(({ status }) => status).sort()).toEqual([200, 400]);
    });
  });

  it('limits what one address may try', async () => {
    const limits = {
      general: { perSecond: 1, burst: 100 },
      register: { perSecond: 0.1, burst: 2 },
    };
    const server = await accountServer({ limits });
    await server.request('POST', REGISTER, { body: {} });
    await server.request('POST', REGISTER, { body: {} });
    expect((await server.request('POST', REGISTER, { body: {} })).status).toBe(429);
    await server.stop();
  });
});
