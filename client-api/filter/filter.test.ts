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

const path = (id = '') => `/_matrix/client/v3/user/${alice.userId}/filter${id}`;
const define = (body: unknown, token = alice.token) =>
  server.request('POST', path(), { token, body });

describe('filters', () => {
  it('are kept as they came, the same one under the same number', async () => {
    const definition = { room: { timeline: { limit: 5 } }, 'org.example': { x: 1 } };
    const { filter_id: id } = (await define(definition)).body;
    expect(id).toMatch(/^[0-9]+$/);
    expect(
      (await define({ 'org.example': { x: 1 }, room: { timeline: { limit: 5 } } })).body,
    ).toEqual({ filter_id: id });
    const other = (await define({ event_format: 'federation' })).body.filter_id;
    expect(other).not.toBe(id);
    const stored = await server.request('GET', path(`/${id}`), { token: alice.token });
    expect(stored.body).toEqual(definition);
  });

  it('are numbered one by one, however many come at once', async () => {
    const answers = await Promise.all(
      Array.from({ length: 5 }, (_, limit) => define({ room: { timeline: { limit } } })),
    );
    expect(new Set(answers.map(({ body }) => body.filter_id)).size).toBe(5);
  });

  it.each([
    [{ room: 'x' }],
    [{ event_format: 'other' }],
    [{ room: { timeline: { limit: 'many' } } }],
    [[]],
  ])('refuse %j', async (body) => {
    expect(await define(body)).toMatchObject({ status: 400, body: { errcode: 'M_BAD_JSON' } });
  });

  it('are their owner’s alone', async () => {
    expect((await define({}, bob.token)).status).toBe(403);
    expect((await server.request('POST', path(), { body: {} })).status).toBe(401);
    expect((await server.request('GET', path('/1'), { token: bob.token })).status).toBe(403);
    expect((await server.request('GET', path('/1'))).status).toBe(401);
  });

  it.each(['/99999', '/0', '/x', '/999999999999999999'])('are not found: %s', async (id) => {
    expect(await server.request('GET', path(id), { token: alice.token })).toMatchObject({
      status: 404,
      body: { errcode: 'M_NOT_FOUND' },
    });
  });

  it('are bounded together, and the same one is always there', async () => {
    const carol = await server.person('carol');
    const own = (body: unknown) =>
      server.request('POST', `/_matrix/client/v3/user/${carol.userId}/filter`, {
        token: carol.token,
        body,
      });
    const large = (n: number) => ({ 'org.example': `${n} ${'x'.repeat(65_400)}` });
    const statuses = [];
    for (let n = 0; n < 17; n++) statuses.push((await own(large(n))).status);
    expect(statuses.indexOf(403)).toBe(16);
    expect((await own(large(17))).body.errcode).toBe('M_RESOURCE_LIMIT_EXCEEDED');
    expect((await own(large(0))).status).toBe(200);
    expect((await own({ 'org.example': 'x'.repeat(65_600) })).body.errcode).toBe('M_TOO_LARGE');
  });
});
