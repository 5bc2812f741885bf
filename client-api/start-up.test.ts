/** What clients ask for as they start: calls, other networks, proofs of identity. */
import { createHmac } from 'node:crypto';
import { OpenIdTokens } from '../homeserver/accounts/openid-tokens.ts';
import type { TurnPolicy } from '../homeserver/accounts/turn-credentials.ts';
import { serve, type TestServer } from '../homeserver/http/testing/serve.ts';
import { localUser, type TestCore, testCore } from '../homeserver/testing/test-core.ts';
import { requestOpenIdToken } from './openid/request-open-id-token.ts';
import { tokenIsUser as auth } from './testing/token-is-user.ts';
import { getProtocols } from './third-party-networks/get-protocols.ts';
import { thirdPartyLookups } from './third-party-networks/lookups.ts';
import { getTurnServer } from './voip/get-turn-server.ts';

const alice = localUser('alice');
const turn: TurnPolicy = {
  uris: ['turn:turn.example.org?transport=udp'],
  sharedSecret: 'north',
  lifetimeMs: 3_600_000,
};

let test: TestCore;
let server: TestServer;
let without: TestServer;
let openIdTokens: OpenIdTokens;
beforeAll(async () => {
  test = await testCore();
  const { clock, serverName } = test.core;
  openIdTokens = new OpenIdTokens(test.core);
  server = await serve([
    getTurnServer({ auth, clock, turn }),
    getProtocols({ auth }),
    ...thirdPartyLookups({ auth }),
    requestOpenIdToken({ auth, openIdTokens, serverName }),
  ]);
  without = await serve([getTurnServer({ auth, clock, turn: undefined })]);
});
afterAll(async () => {
  await server.stop();
  await without.stop();
  await test.close();
});

const get = (path: string, from = server) =>
  from.request('GET', `/_matrix/client/v3${path}`, { token: alice });

describe('GET /voip/turnServer', () => {
  it('gives credentials that the TURN server can check', async () => {
    const { body } = await get('/voip/turnServer');
    const expiryS = Math.floor(test.clock.nowMs() / 1000) + 3600;
    const username = `${expiryS}:${alice}`;
    expect(body).toEqual({
      username,
      password: createHmac('sha1', 'north').update(username).digest('base64'),
      uris: turn.uris,
      ttl: 3600,
    });
  });

  it('is empty where there is none', async () => {
    expect((await get('/voip/turnServer', without)).body).toEqual({});
  });

  it('asks for a token', async () => {
    const answer = await server.request('GET', '/_matrix/client/v3/voip/turnServer');
    expect(answer.body.errcode).toBe('M_MISSING_TOKEN');
  });
});

describe('other networks', () => {
  it('are none', async () => {
    expect((await get('/thirdparty/protocols')).body).toEqual({});
  });

  it.each([
    '/thirdparty/protocol/irc',
    '/thirdparty/location/irc?channel=matrix',
    '/thirdparty/user/irc',
    '/thirdparty/location?alias=%23a:b',
    '/thirdparty/user?userid=@a:b',
  ])('have nothing at %s', async (path) => {
    const answer = await get(path);
    expect([answer.status, answer.body.errcode]).toEqual([404, 'M_NOT_FOUND']);
  });

  it('need to be asked about something', async () => {
    expect((await get('/thirdparty/location')).body.errcode).toBe('M_MISSING_PARAM');
    expect((await get('/thirdparty/user')).body.errcode).toBe('M_MISSING_PARAM');
  });
});

describe('OpenID', () => {
  const request = (userId: string) =>
    server.request('POST', `/_matrix/client/v3/user/${userId}/openid/request_token`, {
      token: alice,
      body: {},
    });

  it('gives a token that says who one is, for an hour', async () => {
    const { body } = await request(alice);
    expect(body).toMatchObject({
      token_type: 'Bearer',
      matrix_server_name: test.core.serverName,
      expires_in: 3600,
    });
    expect(await openIdTokens.userOf(body.access_token)).toBe(alice);
    expect(await openIdTokens.userOf('another')).toBeUndefined();
    test.clock.advance(3_600_000);
    expect(await openIdTokens.userOf(body.access_token)).toBeUndefined();
  });

  it('gives none for others', async () => {
    const answer = await request(localUser('bob'));
    expect([answer.status, answer.body.errcode]).toEqual([403, 'M_FORBIDDEN']);
  });
});
