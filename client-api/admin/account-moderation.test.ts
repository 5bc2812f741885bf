import { type AccountServer, accountServer, type Person } from '../testing/account-server.ts';

let server: AccountServer;
/** The first account, which is an administrator. */
let alice: Person;
let bob: Person;
beforeAll(async () => {
  server = await accountServer();
  alice = await server.person('alice');
  bob = await server.person('bob');
});
afterAll(() => server.stop());

const path = (what: string, userId: string) =>
  `/_matrix/client/v1/admin/${what}/${encodeURIComponent(userId)}`;
const whoami = (token: string) =>
  server.request('GET', '/_matrix/client/v3/account/whoami', { token });

describe.each([
  ['lock', 'locked'],
  ['suspend', 'suspended'],
] as const)('%s', (what, flag) => {
  const get = (userId: string, token: string) =>
    server.request('GET', path(what, userId), { token });
  const put = (userId: string, token: string, value: boolean) =>
    server.request('PUT', path(what, userId), { token, body: { [flag]: value } });

  it('is set, shown and taken back', async () => {
    expect(await get(bob.userId, alice.token)).toMatchObject({
      status: 200,
      body: { [flag]: false },
    });
    expect(await put(bob.userId, alice.token, true)).toMatchObject({ body: { [flag]: true } });
    expect(await get(bob.userId, alice.token)).toMatchObject({ body: { [flag]: true } });
    expect(await put(bob.userId, alice.token, false)).toMatchObject({ body: { [flag]: false } });
    expect(await get(bob.userId, alice.token)).toMatchObject({ body: { [flag]: false } });
  });

  it('is for administrators, who are asked before anybody is looked for', async () => {
    for (const userId of [alice.userId, '@nobody:parley.test', '@x:elsewhere.test']) {
      expect(await get(userId, bob.token)).toMatchObject({ body: { errcode: 'M_FORBIDDEN' } });
      expect(await put(userId, bob.token, true)).toMatchObject({
        body: { errcode: 'M_FORBIDDEN' },
      });
    }
  });

  it.each([
    ['of other servers', '@x:elsewhere.test', 400, 'M_INVALID_PARAM'],
    ['whom nobody knows', '@nobody:parley.test', 404, 'M_NOT_FOUND'],
  ])('is not for people %s', async (_who, userId, status, errcode) => {
    expect(await put(userId, alice.token, true)).toMatchObject({ status, body: { errcode } });
    expect(await get(userId, alice.token)).toMatchObject({ status, body: { errcode } });
  });

  it('is not for administrators, oneself among them', async () => {
    expect(await put(alice.userId, alice.token, true)).toMatchObject({
      status: 403,
      body: { errcode: 'M_FORBIDDEN' },
    });
  });

  it('wants to be told true or false', async () => {
    const answer = await server.request('PUT', path(what, bob.userId), {
      token: alice.token,
      body: {},
    });
    expect(answer.status).toBe(400);
  });
});

it('locks out the sessions there are, at once, and lets them in again', async () => {
  await server.request('PUT', path('lock', bob.userId), {
    token: alice.token,
    body: { locked: true },
  });
  expect(await whoami(bob.token)).toMatchObject({
    status: 401,
    body: { errcode: 'M_USER_LOCKED', soft_logout: true },
  });
  await server.request('PUT', path('lock', bob.userId), {
    token: alice.token,
    body: { locked: false },
  });
  expect((await whoami(bob.token)).status).toBe(200);
});

it('is told to those who may, and to nobody else', async () => {
  const capabilities = async (token: string) =>
    (await server.request('GET', '/_matrix/client/v3/capabilities', { token })).body.capabilities;
  expect((await capabilities(alice.token))['m.account_moderation']).toEqual({
    suspend: true,
    lock: true,
  });
  expect(await capabilities(bob.token)).not.toHaveProperty('m.account_moderation');
});
