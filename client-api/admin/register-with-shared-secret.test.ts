import { createHmac } from 'node:crypto';
import { type AccountServer, accountServer } from '../testing/account-server.ts';

const PATH = '/_synapse/admin/v1/register';
const SECRET = 'a-shared-secret';

const mac = (...parts: string[]) =>
  createHmac('sha1', SECRET).update(parts.join('\0')).digest('hex');

describe('registration with the shared secret', () => {
  let server: AccountServer;
  beforeAll(async () => {
    server = await accountServer({ registration: { enabled: false, sharedSecret: SECRET } });
  });
  afterAll(() => server.stop());
  const nonce = async () => (await server.request('GET', PATH)).body.nonce as string;
  const claim = (body: object) => server.request('POST', PATH, { body });

  it('makes an administrator, or not, though registration is closed', async () => {
    const first = await nonce();
    const admin = await claim({
      nonce: first,
      username: 'root',
      password: 'pw',
      admin: true,
      mac: mac(first, 'root', 'pw', 'admin'),
    });
    expect(admin).toMatchObject({ status: 200, body: { user_id: '@root:parley.test' } });
    expect((await server.accounts.users.get(admin.body.user_id))?.isAdmin).toBe(true);
    const second = await nonce();
    const user = await claim({
      nonce: second,
      username: 'user',
      password: 'pw',
      displayname: 'U',
      mac: mac(second, 'user', 'pw', 'notadmin'),
    });
    expect((await server.accounts.users.get(user.body.user_id))?.isAdmin).toBe(false);
    expect(await server.accounts.profiles.of(user.body.user_id)).toEqual({ displayname: 'U' });
  });

  it('refuses a wrong HMAC, an old nonce, a used nonce, a taken name', async () => {
    const one = await nonce();
    const body = {
      nonce: one,
      username: 'x',
      password: 'pw',
      mac: mac(one, 'x', 'pw', 'notadmin'),
    };
    expect((await claim({ ...body, admin: true })).status).toBe(403);
    expect(await claim(body)).toMatchObject({ status: 400, body: { error: 'Unknown nonce' } });
    const late = await nonce();
    server.clock.advance(60_000);
    const lateMac = mac(late, 'x', 'pw', 'notadmin');
    expect((await claim({ ...body, nonce: late, mac: lateMac })).status).toBe(400);
    const taken = await nonce();
    const again = { nonce: taken, username: 'root', password: 'p' };
    const answer = await claim({ ...again, mac: mac(taken, 'root', 'p', 'notadmin') });
    expect(answer.body.errcode).toBe('M_USER_IN_USE');
    expect((await claim({})).body.errcode).toBe('M_MISSING_PARAM');
  });
});

it('registration with the shared secret is refused where there is none', async () => {
  const server = await accountServer();
  expect((await server.request('GET', PATH)).status).toBe(400);
  await server.stop();
});
