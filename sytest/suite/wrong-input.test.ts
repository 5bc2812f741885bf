/** Input that is wrong. https://spec.matrix.org/v1.19/client-server-api/#common-error-codes */

import { type RequestOptions, refused, request } from '../lib/http.ts';
import type { Person } from '../lib/person.ts';
import { alpha, someone } from '../lib/world.ts';

let alice: Person;
let room: string;

beforeAll(async () => {
  alice = await someone('alice');
  room = await alice.createsRoom({ preset: 'public_chat' });
});

const inRoom = (rest: string) => `/rooms/${encodeURIComponent(room)}${rest}`;

describe('a body', () => {
  it.each([
    ['cut short', '{"user_id": "@x'],
    ['that is a word', 'hello'],
    ['that is not UTF-8', Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x3a, 0x31, 0x7d])],
  ])('%s is M_NOT_JSON', async (_what, rawBody) => {
    await refused(alice.calls('POST', inRoom('/invite'), { rawBody }), 400, 'M_NOT_JSON');
  });

  it.each([['[]'], ['"text"'], ['7'], ['null'], ['true']])(
    '%s, which is JSON but no object, is M_BAD_JSON',
    async (rawBody) => {
      await refused(alice.calls('POST', inRoom('/invite'), { rawBody }), 400, 'M_BAD_JSON');
    },
  );

  it.each<[string, string, string, RequestOptions]>([
    ['a number for a user id', 'POST', '/invite', { body: { user_id: 7 } }],
    ['a list for a reason', 'POST', '/kick', { body: { user_id: '@x:y', reason: [] } }],
    ['nothing at all', 'POST', '/invite', { rawBody: '' }],
    ['no user id', 'POST', '/invite', { body: {} }],
    ['a text for typing', 'PUT', '/typing/ME', { body: { typing: 'yes' } }],
    ['an object for a timeout', 'PUT', '/typing/ME', { body: { typing: true, timeout: {} } }],
  ])('with %s is refused', async (_what, method, path, options) => {
    const answer = await alice.asks(method, inRoom(path.replace('ME', alice.id)), options);
    expect(answer.status).toBe(400);
    expect(answer.body.errcode).toMatch(/^M_(BAD_JSON|NOT_JSON|INVALID_PARAM|MISSING_PARAM)$/);
  });

  it.each([
    ['room_version', 9],
    ['room_version', 'no such version'],
    ['preset', 'no such preset'],
    ['visibility', 'sometimes'],
    ['invite', 'not a list'],
    ['invite', ['not a user id']],
    ['initial_state', [{ type: 7 }]],
    ['initial_state', {}],
    ['creation_content', 'text'],
    ['power_level_content_override', 'text'],
    ['power_level_content_override', { users: { 'not a user id': 50 } }],
    ['room_alias_name', 'has space'],
    ['name', {}],
  ])('of createRoom with %s %j is refused', async (key, value) => {
    const answer = await alice.asks('POST', '/createRoom', { body: { [key]: value } });
    expect(answer.status).toBe(400);
    expect(answer.body.errcode).toMatch(/^M_/);
  });

  it('is taken without a content type', async () => {
    const headers = { 'Content-Type': 'application/x-www-form-urlencoded' };
    const path = inRoom(`/send/org.example.oddly/${Math.random()}`);
    const answer = await alice.asks('PUT', path, { rawBody: '{"body":"typed oddly"}', headers });
    expect(answer.status).toBe(200);
  });

  it('deeper than any event is refused without harm', async () => {
    const depth = 50_000;
    const rawBody = `{"body":${'['.repeat(depth)}${']'.repeat(depth)}}`;
    const answer = await alice.asks('PUT', inRoom('/send/m.room.message/deep'), { rawBody });
    expect(answer.status).toBeGreaterThanOrEqual(400);
  });

  it('larger than the server takes is M_TOO_LARGE', async () => {
    const rawBody = JSON.stringify({ body: 'x'.repeat(60_000_000) });
    const sent = alice.calls('POST', inRoom('/invite'), { rawBody });
    await refused(sent, 413, 'M_TOO_LARGE');
  });
});

describe('an event', () => {
  it('larger than 65,536 bytes is M_TOO_LARGE, one that fits is taken', async () => {
    const sends = (length: number) =>
      alice.sends(room, 'm.room.message', { msgtype: 'm.text', body: 'x'.repeat(length) });
    await refused(sends(66_000), 413, 'M_TOO_LARGE');
    await sends(63_000);
  });

  it.each([
    ['a fraction', '{"body":"x","n":1.5}'],
    ['an exponent', '{"body":"x","n":1e20}'],
    ['an integer beyond 2⁵³', '{"body":"x","n":9007199254740993}'],
    ['an integer below -2⁵³', '{"body":"x","n":-9007199254740993}'],
  ])('holding %s is M_BAD_JSON', async (_what, rawBody) => {
    const path = inRoom(`/send/org.example.numbers/${Math.random()}`);
    await refused(alice.calls('PUT', path, { rawBody }), 400, 'M_BAD_JSON');
  });

  it('type or state key longer than 255 bytes is refused', async () => {
    const long = 'x'.repeat(256);
    const refusal = { errcode: expect.stringMatching(/^M_/) };
    await expect(alice.sends(room, long, {})).rejects.toMatchObject(refusal);
    await expect(alice.sets(room, 'org.example', {}, long)).rejects.toMatchObject(refusal);
  });

  it.each([
    ['m.room.power_levels', { users: { nobody: 'much' } }],
    ['m.room.power_levels', { users_default: 'much' }],
    ['m.room.power_levels', { events: [] }],
    ['m.room.create', { room_version: '11' }],
    ['m.room.member', { membership: 'dancing' }],
  ])('%s %j breaks the room’s rules', async (type, content) => {
    const stateKey = type === 'm.room.member' ? alice.id : '';
    const attempt = alice.sets(room, type, content, stateKey);
    await expect(attempt).rejects.toMatchObject({ errcode: expect.stringMatching(/^M_/) });
  });
});

describe('an address', () => {
  it.each([
    ['GET', '/_matrix/client/v3/no/such/thing'],
    ['POST', '/_matrix/client/v99/login'],
    ['GET', '/_matrix/nothing'],
    ['GET', '/_matrix/client/v3/rooms'],
  ])('%s %s is M_UNRECOGNIZED', async (method, path) => {
    await refused(alice.calls(method, path), 404, 'M_UNRECOGNIZED');
  });

  it.each([
    ['DELETE', '/_matrix/client/v3/login'],
    ['PATCH', '/_matrix/client/v3/sync'],
    ['POST', '/_matrix/client/v3/account/whoami'],
    ['GET', '/_matrix/client/v3/createRoom'],
  ])('%s %s is the wrong method', async (method, path) => {
    await refused(alice.calls(method, path), 405, 'M_UNRECOGNIZED');
  });

  it.each([
    '/rooms/not-a-room/state',
    '/rooms/!unknown%3Aexample.org/state',
    `/rooms/${'!'.padEnd(300, 'x')}/state`,
    '/rooms/%00/state',
    '/rooms/!%F0%9F%8E%89%3Ax/messages?dir=b',
    '/profile/not-a-user',
    '/user/@somebody%3Aelse/account_data/m.direct',
    '/directory/room/not-an-alias',
    '/joined_rooms?access_token=two-tokens',
  ])('%s breaks nothing', async (path) => {
    const answer = await alice.asks('GET', path);
    expect(answer.status).toBeLessThan(500);
  });

  it.each(['%', '%zz', '%E0%A4%A'])('with a bad escape %s breaks nothing', async (broken) => {
    const answer = await alice.asks('GET', `/profile/${broken}`);
    expect([400, 404]).toContain(answer.status);
  });
});

describe('a query', () => {
  it.each([
    ['/sync', { since: 'made up' }],
    ['/sync', { since: 's9999999999999999999999' }],
    ['/sync', { filter: '{not json' }],
    ['/sync', { filter: '{"room": 7}' }],
    ['/sync', { timeout: 'soon' }],
    ['MESSAGES', { dir: 'sideways' }],
    ['MESSAGES', { dir: 'b', from: 'made up' }],
    ['MESSAGES', { dir: 'b', limit: 'many' }],
    ['MESSAGES', { dir: 'b', limit: -3 }],
    ['MESSAGES', { dir: 'b', filter: '[]' }],
  ])('%s %j is refused', async (path, query) => {
    const answer = await alice.asks('GET', path === 'MESSAGES' ? inRoom('/messages') : path, {
      query,
    });
    expect(answer.status).toBe(400);
    expect(answer.body.errcode).toMatch(/^M_/);
  });

  it('that asks for very much gets a bounded answer', async () => {
    const page = await alice.messages(room, { limit: 1_000_000 });
    expect(page.chunk.length).toBeLessThanOrEqual(1_000);
  });
});

describe('browsers', () => {
  it('may call from any page', async () => {
    const preflight = await request(alpha.clientUrl, 'OPTIONS', '/_matrix/client/v3/sync');
    expect([200, 204]).toContain(preflight.status);
    const answer = await request(alpha.clientUrl, 'GET', '/_matrix/client/versions');
    for (const { headers } of [preflight, answer]) {
      expect(headers.get('access-control-allow-origin')).toBe('*');
    }
    const allowed = preflight.headers.get('access-control-allow-headers')?.toLowerCase();
    expect(allowed).toContain('authorization');
    expect(allowed).toContain('content-type');
  });
});
