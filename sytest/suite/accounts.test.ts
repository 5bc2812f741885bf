/** Accounts, sessions and tokens. https://spec.matrix.org/v1.19/client-server-api/#client-authentication */

import { call, refused, request } from '../lib/http.ts';
import { logsIn, registers } from '../lib/person.ts';
import { alpha, someone } from '../lib/world.ts';

const V3 = '/_matrix/client/v3';

const nameOf = (userId: string) => userId.slice(1, userId.indexOf(':'));

describe('registering', () => {
  it('asks for a stage first, and names the session to continue', async () => {
    const answer = await request(alpha.clientUrl, 'POST', `${V3}/register`, {
      body: { username: `new-${Date.now()}`, password: 'a long enough password' },
    });
    expect(answer.status).toBe(401);
    expect(answer.body.flows.map((flow: { stages: string[] }) => flow.stages)).toContainEqual([
      'm.login.dummy',
    ]);
    expect(typeof answer.body.session).toBe('string');
  });

  it('gives a user id of this server and a token that works', async () => {
    const alice = await someone('alice');
    expect(alice.id).toMatch(/^@alice-[a-z0-9]+:/);
    expect(alice.id.endsWith(`:${alpha.name}`)).toBe(true);
    expect(await alice.calls('GET', '/account/whoami')).toMatchObject({
      user_id: alice.id,
      device_id: alice.deviceId,
    });
  });

  it('gives each name once', async () => {
    const alice = await someone('alice');
    await refused(registers(alpha, nameOf(alice.id)), 400, 'M_USER_IN_USE');
    const available = call(alpha.clientUrl, 'GET', `${V3}/register/available`, {
      query: { username: nameOf(alice.id) },
    });
    await refused(available, 400, 'M_USER_IN_USE');
  });

  it.each(['has space', 'a!b', 'née', 'x:y', '@at'])('refuses the name %j', async (name) => {
    await refused(registers(alpha, name), 400, 'M_INVALID_USERNAME');
  });

  it('makes no session when asked not to', async () => {
    const body = {
      username: `quiet-${Date.now()}`,
      password: 'a long enough password',
      inhibit_login: true,
      auth: { type: 'm.login.dummy' },
    };
    const account = await call(alpha.clientUrl, 'POST', `${V3}/register`, { body });
    expect(account.user_id).toBe(`@${body.username}:${alpha.name}`);
    expect(account).not.toHaveProperty('access_token');
  });
});

describe('logging in', () => {
  it('offers passwords', async () => {
    const { flows } = await call(alpha.clientUrl, 'GET', `${V3}/login`);
    expect(flows).toContainEqual(expect.objectContaining({ type: 'm.login.password' }));
  });

  it('opens a second session beside the first, by name or by full id', async () => {
    const phone = await someone('alice');
    const laptop = await logsIn(alpha, nameOf(phone.id));
    const tablet = await logsIn(alpha, phone.id);
    expect(new Set([phone.deviceId, laptop.deviceId, tablet.deviceId]).size).toBe(3);
    for (const session of [phone, laptop, tablet]) {
      expect((await session.calls('GET', '/account/whoami')).user_id).toBe(phone.id);
    }
  });

  it('tells a wrong password and an unknown name apart from nothing', async () => {
    const alice = await someone('alice');
    const wrong = await refused(logsIn(alpha, alice.id, 'not it'), 403, 'M_FORBIDDEN');
    const unknown = await refused(logsIn(alpha, 'nobody-at-all', 'not it'), 403, 'M_FORBIDDEN');
    expect(wrong.body).toEqual(unknown.body);
  });

  it('takes a device id and reuses it', async () => {
    const alice = await someone('alice');
    const again = await call(alpha.clientUrl, 'POST', `${V3}/login`, {
      body: {
        type: 'm.login.password',
        identifier: { type: 'm.id.user', user: alice.id },
        password: 'correct horse battery staple',
        device_id: alice.deviceId,
      },
    });
    expect(again.device_id).toBe(alice.deviceId);
    // The device's older token is replaced.
    await refused(alice.calls('GET', '/account/whoami'), 401, 'M_UNKNOWN_TOKEN');
  });

  it('refuses login types it does not know', async () => {
    const login = call(alpha.clientUrl, 'POST', `${V3}/login`, { body: { type: 'm.login.wish' } });
    await refused(login, 400, 'M_UNKNOWN');
  });
});

describe('tokens', () => {
  it('end with the session', async () => {
    const alice = await someone('alice');
    await alice.logsOut();
    await refused(alice.calls('GET', '/account/whoami'), 401, 'M_UNKNOWN_TOKEN');
  });

  it('end everywhere at once', async () => {
    const phone = await someone('alice');
    const laptop = await logsIn(alpha, phone.id);
    await phone.calls('POST', '/logout/all');
    await refused(laptop.calls('GET', '/account/whoami'), 401, 'M_UNKNOWN_TOKEN');
  });

  it('are needed, and missing is told from unknown', async () => {
    const whoami = (token?: string) =>
      call(alpha.clientUrl, 'GET', `${V3}/account/whoami`, { token });
    await refused(whoami(), 401, 'M_MISSING_TOKEN');
    await refused(whoami('made-up'), 401, 'M_UNKNOWN_TOKEN');
  });

  it('may come as a query parameter', async () => {
    const alice = await someone('alice');
    const answer = await call(alpha.clientUrl, 'GET', `${V3}/account/whoami`, {
      query: { access_token: alice.token },
    });
    expect(answer.user_id).toBe(alice.id);
  });
});
