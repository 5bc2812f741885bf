import { type AccountServer, accountServer, type Person } from '../testing/account-server.ts';

let server: AccountServer;
let alice: Person;
beforeAll(async () => {
  server = await accountServer();
  alice = await server.person('alice');
});
afterAll(() => server.stop());

const post = (path: string, body: object, token: string | undefined = alice.token) =>
  server.request('POST', `/_matrix/client/v3/account/3pid${path}`, { token, body });

const email = { medium: 'email', address: 'alice@example.org' };

it.each([
  [
    '/email/requestToken',
    { client_secret: 'x', email: 'a@b.org', send_attempt: 1 },
    403,
    'M_THREEPID_DENIED',
  ],
  [
    '/msisdn/requestToken',
    { client_secret: 'x', country: 'GB', phone_number: '1', send_attempt: 1 },
    403,
    'M_THREEPID_DENIED',
  ],
  ['/email/requestToken', {}, 400, 'M_MISSING_PARAM'],
  ['/add', { client_secret: 'x', sid: '1' }, 400, 'M_NO_VALID_SESSION'],
  [
    '/bind',
    { client_secret: 'x', sid: '1', id_server: 'id.org', id_access_token: 't' },
    400,
    'M_SERVER_NOT_TRUSTED',
  ],
  ['/delete', { medium: 'pigeon', address: 'x' }, 400, 'M_INVALID_PARAM'],
])('answers POST %s %j honestly', async (path, body, status, errcode) => {
  const answer = await post(path, body);
  expect([answer.status, answer.body.errcode]).toEqual([status, errcode]);
});

it('removes an address from the account it belongs to, and tells no identity server', async () => {
  const bob = await server.person('bob');
  await server.database.query({
    text: `INSERT INTO threepids (user_id, medium, address, validated_at_ms, added_at_ms)
      VALUES ($1, $2, $3, 1, 1)`,
    values: [alice.userId, email.medium, email.address],
  });
  const threepids = async () => {
    const { body } = await server.request('GET', '/_matrix/client/v3/account/3pid', {
      token: alice.token,
    });
    return body.threepids.length;
  };
  const answer = { id_server_unbind_result: 'no-support' };
  expect((await post('/delete', email, bob.token)).body).toEqual(answer);
  expect((await post('/unbind', email)).body).toEqual(answer);
  expect(await threepids()).toBe(1);
  expect((await post('/delete', email)).body).toEqual(answer);
  expect(await threepids()).toBe(0);
});
