import { type AccountServer, accountServer } from './testing/account-server.ts';

describe('what the server says about itself', () => {
  let server: AccountServer;
  const support = { support_page: 'https://example.org/help' };
  beforeAll(async () => {
    const wellKnown = {
      clientBaseUrl: 'https://matrix.example.org',
      support,
      clientExtra: { 'io.element.e2ee': { default: false } },
    };
    server = await accountServer({ wellKnown });
  });
  afterAll(() => server.stop());

  it('versions', async () => {
    const { body } = await server.request('GET', '/_matrix/client/versions');
    expect(body.versions).toEqual(expect.arrayContaining(['r0.6.1', 'v1.1', 'v1.19']));
    // matrix-js-sdk asks for no profile fields without it.
    expect(body.unstable_features['uk.tcpip.msc4133.stable']).toBe(true);
  });

  it('well-known files', async () => {
    expect((await server.request('GET', '/.well-known/matrix/client')).body).toEqual({
      'm.homeserver': { base_url: 'https://matrix.example.org' },
      'io.element.e2ee': { default: false },
    });
    expect((await server.request('GET', '/.well-known/matrix/support')).body).toEqual(support);
    const silent = await accountServer();
    for (const file of ['client', 'support']) {
      const answer = await silent.request('GET', `/.well-known/matrix/${file}`);
      expect(answer).toMatchObject({ status: 404, body: { errcode: 'M_NOT_FOUND' } });
    }
    await silent.stop();
  });

  it('capabilities, to those who may know', async () => {
    const path = '/_matrix/client/v3/capabilities';
    expect((await server.request('GET', path)).status).toBe(401);
    const { token } = await server.person('alice');
    const { body } = await server.request('GET', path, { token });
    expect(body.capabilities['m.change_password']).toEqual({ enabled: true });
    expect(body.capabilities['m.room_versions']).toMatchObject({
      default: '12',
      available: { '1': 'stable', '12': 'stable' },
    });
  });
});
