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

const whois = (userId: string, token?: string) =>
  server.request(
    'GET',
    `/_matrix/client/v3/admin/whois/${encodeURIComponent(userId)}`,
    token === undefined ? {} : { token },
  );

describe('whois', () => {
  it('tells an administrator where somebody was last seen', async () => {
    await whois(bob.userId, bob.token);
    await server.accounts.activity.flush();
    expect(await whois(bob.userId, alice.token)).toMatchObject({
      status: 200,
      body: {
        user_id: bob.userId,
        devices: {
          [bob.deviceId]: {
            sessions: [{ connections: [{ ip: '127.0.0.1', last_seen: expect.any(Number) }] }],
          },
        },
      },
    });
  });

  it('tells everybody about themselves', async () => {
    expect((await whois(bob.userId, bob.token)).status).toBe(200);
  });

  it('is refused to others, and about nobody', async () => {
    expect(await whois(alice.userId, bob.token)).toMatchObject({
      status: 403,
      body: { errcode: 'M_FORBIDDEN' },
    });
    expect(await whois('@nobody:parley.test', alice.token)).toMatchObject({
      status: 404,
      body: { errcode: 'M_NOT_FOUND' },
    });
    expect((await whois('nobody', alice.token)).status).toBe(400);
    expect((await whois(bob.userId)).status).toBe(401);
  });
});
