import { type AccountServer, accountServer, type Person } from '../testing/account-server.ts';

let server: AccountServer;
let alice: Person;
let bob: Person;
beforeAll(async () => {
  server = await accountServer();
  alice = await server.person('alice');
  bob = await server.person('bob');
});
afterAll(() => server.stop());

// Cases are listed before alice has registered, so they name her.
const globally = (type: string) =>
  `/_matrix/client/v3/user/@alice:parley.test/account_data/${encodeURIComponent(type)}`;
const inRoom = (room: string, type: string) =>
  `/_matrix/client/v3/user/@alice:parley.test/rooms/${encodeURIComponent(room)}/account_data/${type}`;
const ROOM = '!room:parley.test';

describe('account data', () => {
  it.each([
    ['globally', globally('org.example/x y')],
    ['in a room', inRoom(ROOM, 'org.example')],
  ])('is kept %s', async (_, path) => {
    const { token } = alice;
    const missing = await server.request('GET', path, { token });
    expect(missing).toMatchObject({ status: 404, body: { errcode: 'M_NOT_FOUND' } });
    const put = await server.request('PUT', path, { token, body: { a: [1, { b: null }] } });
    expect(put).toMatchObject({ status: 200, body: {} });
    expect((await server.request('GET', path, { token })).body).toEqual({ a: [1, { b: null }] });
    await server.request('PUT', path, { token, body: {} });
    expect((await server.request('GET', path, { token })).body).toEqual({});
  });

  it.each([
    ['PUT', globally('m.push_rules'), 405, 'M_BAD_JSON'],
    ['PUT', globally('m.fully_read'), 405, 'M_BAD_JSON'],
    ['PUT', inRoom(ROOM, 'm.fully_read'), 405, 'M_BAD_JSON'],
    ['PUT', inRoom('nonsense', 'x'), 400, 'M_INVALID_PARAM'],
    ['GET', inRoom('nonsense', 'x'), 400, 'M_INVALID_PARAM'],
    ['PUT', globally('x'.repeat(256)), 400, 'M_INVALID_PARAM'],
  ])('refuses %s %s', async (method, path, status, errcode) => {
    const body = method === 'PUT' ? { body: {} } : {};
    const answer = await server.request(method, path, { token: alice.token, ...body });
    expect(answer).toMatchObject({ status, body: { errcode } });
  });

  it.each([
    ['[]', 'M_BAD_JSON'],
    ['{', 'M_NOT_JSON'],
  ])('refuses %s as content', async (body, errcode) => {
    const answer = await server.request('PUT', globally('x'), { token: alice.token, body });
    expect(answer).toMatchObject({ status: 400, body: { errcode } });
  });

  it.each([
    ['GET', globally('x')],
    ['PUT', globally('x')],
    ['GET', inRoom(ROOM, 'x')],
    ['PUT', inRoom(ROOM, 'x')],
  ])('is its owner’s alone: %s %s', async (method, path) => {
    const body = method === 'PUT' ? { body: {} } : {};
    expect(await server.request(method, path, { token: bob.token, ...body })).toMatchObject({
      status: 403,
      body: { errcode: 'M_FORBIDDEN' },
    });
    expect((await server.request(method, path, body)).status).toBe(401);
  });
});
