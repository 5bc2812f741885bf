/** Guessing passwords, as a stranger would: many at once, from many places, through every door. */
import { noteLoginAddress } from '../../homeserver/storage/login-addresses.ts';
import type { UserId } from '../../spec/identifiers.ts';
import { type AccountServer, accountServer, passwordOf } from '../testing/account-server.ts';

const V3 = '/_matrix/client/v3';
const BURST = 10;
const limits = {
  general: { perSecond: 1_000, burst: 1_000 },
  login: { perSecond: 0.1, burst: BURST },
  login_address: { perSecond: 0.1, burst: 30 },
  login_account: { perSecond: 0.1, burst: 20 },
};

let server: AccountServer;
beforeEach(async () => {
  server = await accountServer({ limits, trustedProxies: ['127.0.0.1'] });
});
afterEach(() => server.stop());

const from = (ip: string) => ({ 'X-Forwarded-For': ip });
const logIn = (name: string, password: string, ip: string) =>
  server.request('POST', `${V3}/login`, {
    headers: from(ip),
    body: { type: 'm.login.password', identifier: { type: 'm.id.user', user: name }, password },
  });
const guessing = (count: number, name: string, ip: string | ((n: number) => string)) =>
  Promise.all(
    Array.from({ length: count }, (_, n) =>
      logIn(name, `guess ${n}`, typeof ip === 'string' ? ip : ip(n)),
    ),
  );
const count = (answers: readonly { readonly status: number }[], status: number) =>
  answers.filter((answer) => answer.status === status).length;

describe('guesses at the same moment', () => {
  it('cannot pass the burst', async () => {
    await server.person('alice');
    const answers = await guessing(200, 'alice', '203.0.113.1');
    expect([count(answers, 403), count(answers, 429)]).toEqual([BURST, 200 - BURST]);
    expect(answers.find(({ status }) => status === 429)?.body.retry_after_ms).toBe(10_000);
  });

  it('are counted for an address, whoever is named', async () => {
    const answers = await Promise.all(
      Array.from({ length: 60 }, (_, n) => logIn(`person${n}`, 'x', '203.0.113.1')),
    );
    expect([count(answers, 403), count(answers, 429)]).toEqual([30, 30]);
  });

  it('are counted for an account, wherever they come from', async () => {
    await server.person('alice');
    const answers = await guessing(60, 'alice', (n) => `203.0.113.${n}`);
    expect([count(answers, 403), count(answers, 429)]).toEqual([20, 40]);
  });

  it('are counted for names nobody has as for others', async () => {
    const answers = await guessing(30, 'nobody', '203.0.113.1');
    expect([count(answers, 403), count(answers, 429)]).toEqual([BURST, 20]);
    const [one] = await guessing(1, '@x:elsewhere.test', '203.0.113.1');
    expect(one?.status).toBe(403);
  });
});

describe('a refusal', () => {
  it('says nothing of the guess: the right password is refused alike', async () => {
    await server.person('alice');
    await guessing(BURST, 'alice', '203.0.113.1');
    const right = await logIn('alice', passwordOf('alice'), '203.0.113.1');
    const wrong = await logIn('alice', 'wrong', '203.0.113.1');
    expect(right.status).toBe(429);
    expect(wrong.body).toEqual(right.body);
  });

  it('is the same for an account that is there and one that is not', async () => {
    await server.person('alice');
    const there = await guessing(BURST + 1, 'alice', '203.0.113.1');
    const absent = await guessing(BURST + 1, 'nobody', '203.0.113.2');
    expect(absent.map(({ status, body }) => [status, body])).toEqual(
      there.map(({ status, body }) => [status, body]),
    );
  });
});

describe('the owner', () => {
  it('logs in from where they did before, however much others guess', async () => {
    await server.request('POST', `${V3}/register`, {
      headers: from('198.51.100.7'),
      body: { username: 'alice', password: passwordOf('alice'), auth: { type: 'm.login.dummy' } },
    });
    await guessing(60, 'alice', (n) => `203.0.113.${n}`);
    const elsewhere = await logIn('alice', passwordOf('alice'), '192.0.2.1');
    expect(elsewhere.status).toBe(429);
    for (let n = 0; n < 2 * BURST; n++) {
      expect((await logIn('alice', passwordOf('alice'), '198.51.100.7')).status).toBe(200);
    }
    // A known address is no licence to guess.
    expect(count(await guessing(30, 'alice', '198.51.100.7'), 403)).toBe(BURST);
  });

  it('is not kept out by others at the same address', async () => {
    await server.person('alice');
    expect((await logIn('alice', passwordOf('alice'), '203.0.113.1')).status).toBe(200);
    await Promise.all(
      Array.from({ length: 60 }, (_, n) => logIn(`person${n}`, 'x', '203.0.113.1')),
    );
    expect((await logIn('nobody', 'x', '203.0.113.1')).status).toBe(429);
    expect((await logIn('alice', passwordOf('alice'), '203.0.113.1')).status).toBe(200);
  });

  it('uses up nothing by being right', async () => {
    await server.person('alice');
    for (let n = 0; n < 3 * BURST; n++) {
      expect((await logIn('alice', passwordOf('alice'), '203.0.113.1')).status).toBe(200);
    }
    expect(count(await guessing(30, 'alice', '203.0.113.1'), 403)).toBe(BURST);
  });

  it('is known at a bounded number of addresses, for a time', async () => {
    const { userId } = await server.person('alice');
    await server.database.transaction(async (tx) => {
      for (let n = 0; n < 50; n++) await noteLoginAddress(tx, userId as UserId, `a${n}`, n);
    });
    const addresses = async () =>
      (
        await server.database.query<{ address: string }>({
          text: 'SELECT address FROM login_addresses WHERE user_id = $1 ORDER BY last_used_ms DESC',
          values: [userId],
        })
      ).rows.map(({ address }) => address);
    expect(await addresses()).toHaveLength(20);
    server.clock.advance(91 * 86_400_000);
    expect((await logIn('alice', passwordOf('alice'), '203.0.113.9')).status).toBe(200);
    expect(await addresses()).toEqual(['203.0.113.9']);
  });
});

describe('the password stage of User-Interactive Authentication', () => {
  const stage = (user: string, password: string) => ({
    type: 'm.login.password',
    identifier: { type: 'm.id.user', user },
    password,
  });

  it('looks at nobody’s password but the requester’s', async () => {
    const alice = await server.person('alice');
    await server.person('bob');
    const remove = (auth: object) =>
      server.request('DELETE', `${V3}/devices/NONE`, {
        token: alice.token,
        headers: from('203.0.113.1'),
        body: { auth },
      });
    const answers = [];
    for (let n = 0; n < 3 * BURST; n++) {
      answers.push(await remove(stage('bob', n % 2 === 0 ? passwordOf('bob') : 'wrong')));
    }
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([401]));
    expect(new Set(answers.map(({ body }) => body.errcode))).toEqual(new Set(['M_FORBIDDEN']));
    // Nothing was computed, and nothing of what Bob may try is gone.
    expect(count(await guessing(30, 'bob', '203.0.113.1'), 403)).toBe(BURST);
  });

  it.each([
    ['DELETE', '/devices/NONE', {}],
    ['POST', '/delete_devices', { devices: [] }],
    ['POST', '/account/password', { new_password: 'another-password' }],
    ['POST', '/account/deactivate', {}],
    ['POST', '/login/get_token', {}],
  ])('counts with the other doors: %s %s', async (method, path, body) => {
    const alice = await server.person('alice');
    const prefix = path === '/login/get_token' ? '/_matrix/client/v1' : V3;
    const attempt = (password: string) =>
      server.request(method, `${prefix}${path}`, {
        token: alice.token,
        headers: from('203.0.113.1'),
        body: { ...body, auth: stage('alice', password) },
      });
    const answers = await Promise.all(Array.from({ length: 40 }, (_, n) => attempt(`guess ${n}`)));
    expect([count(answers, 401), count(answers, 429)]).toEqual([BURST, 40 - BURST]);
    expect((await attempt(passwordOf('alice'))).status).toBe(429);
    expect((await logIn('alice', passwordOf('alice'), '203.0.113.1')).status).toBe(429);
  });
});
