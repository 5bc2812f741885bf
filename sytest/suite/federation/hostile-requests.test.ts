/** Requests no honest server makes. https://spec.matrix.org/v1.19/server-server-api/#request-authentication */

import { Peer } from '../../lib/peer/peer.ts';
import { alpha, authority, someone } from '../../lib/world.ts';

let peer: Peer;
let other: Peer;
let zoe: string;

beforeAll(async () => {
  [peer, other] = await Promise.all([Peer.start(authority), Peer.start(authority)]);
  zoe = peer.user('zoe');
});
afterAll(async () => {
  await Promise.all([peer.stop(), other.stop()]);
});

const V1 = '/_matrix/federation/v1';
const transaction = (pdus: unknown[] = [], edus: unknown[] = []) => ({
  origin: peer.name,
  origin_server_ts: Date.now(),
  pdus,
  edus,
});
const sendUri = () => `${V1}/send/${Date.now()}-${Math.random()}`;
const segment = encodeURIComponent;

async function publicRoom(version = '11') {
  const alice = await someone('alice');
  return { alice, room: await alice.createsRoom({ preset: 'public_chat', version }) };
}

describe('a request is turned away', () => {
  it('without a signature', async () => {
    const answer = await peer.asks(alpha, 'PUT', sendUri(), transaction(), { unsigned: true });
    expect([answer.status, answer.body.errcode]).toEqual([401, 'M_UNAUTHORIZED']);
  });

  it('in another server’s name', async () => {
    const answer = await peer.asks(alpha, 'PUT', sendUri(), transaction(), { as: other.name });
    expect([answer.status, answer.body.errcode]).toEqual([401, 'M_UNAUTHORIZED']);
  });

  it('in the name of a server that cannot be found', async () => {
    const as = 'nobody.invalid';
    const answer = await peer.asks(alpha, 'PUT', sendUri(), transaction(), { as });
    expect([answer.status, answer.body.errcode]).toEqual([401, 'M_UNAUTHORIZED']);
  });

  it('meant for another server', async () => {
    const destination = other.name;
    const answer = await peer.asks(alpha, 'PUT', sendUri(), transaction(), { destination });
    expect(answer.status).toBe(401);
  });

  it('with another body than the signed one', async () => {
    const signedBody = transaction([{ anything: 'else' }]);
    const answer = await peer.asks(alpha, 'PUT', sendUri(), transaction(), { signedBody });
    expect(answer.status).toBe(401);
  });
});

describe('a transaction', () => {
  it.each([
    ['that is no object', () => []],
    ['whose pdus are no list', () => ({ ...transaction(), pdus: {} })],
    ['of more than 50 pdus', () => transaction(Array.from({ length: 51 }, () => ({})))],
    [
      'of more than 100 edus',
      () =>
        transaction(
          [],
          Array.from({ length: 101 }, () => ({ edu_type: 'x', content: {} })),
        ),
    ],
  ])('%s is refused', async (_what, body) => {
    const answer = await peer.asks(alpha, 'PUT', sendUri(), body());
    expect(answer.status).toBe(400);
    expect(answer.body.errcode).toMatch(/^M_/);
  });

  it.each([
    ['pdus that are no objects', () => transaction([7, 'x', null, []])],
    [
      'edus that are nothing known',
      () => transaction([], [{ edu_type: 'org.example.x', content: {} }]),
    ],
    ['edus that are no objects', () => transaction([], [7, null])],
  ])('with %s breaks nothing', async (_what, body) => {
    const answer = await peer.asks(alpha, 'PUT', sendUri(), body());
    expect([200, 400]).toContain(answer.status);
  });
});

describe('joining', () => {
  it('is not prepared for a user of another server', async () => {
    const { room } = await publicRoom();
    const uri = `${V1}/make_join/${segment(room)}/${segment(other.user('yan'))}?ver=11`;
    const answer = await peer.asks(alpha, 'GET', uri);
    expect([answer.status, answer.body.errcode]).toEqual([403, 'M_FORBIDDEN']);
  });

  it('is not prepared for a server that does not know the room version', async () => {
    const { room } = await publicRoom('11');
    const answer = await peer.asks(
      alpha,
      'GET',
      `${V1}/make_join/${segment(room)}/${segment(zoe)}?ver=1`,
    );
    expect([answer.status, answer.body.errcode]).toEqual([400, 'M_INCOMPATIBLE_ROOM_VERSION']);
    expect(answer.body.room_version).toBe('11');
  });

  it('is not prepared for a room nobody here is in', async () => {
    const uri = `${V1}/make_join/${segment(`!nowhere:${alpha.name}`)}/${segment(zoe)}?ver=11`;
    const answer = await peer.asks(alpha, 'GET', uri);
    expect([answer.status, answer.body.errcode]).toEqual([404, 'M_NOT_FOUND']);
  });

  it('takes no event that is not a join of its sender', async () => {
    const { alice, room } = await publicRoom();
    const { join } = await peer.preparesJoin(room, zoe, alpha);
    const uri = `/_matrix/federation/v2/send_join/${segment(room)}/${segment('$whatever')}`;
    const wrong = [
      { ...join, content: { membership: 'leave' } },
      { ...join, type: 'm.room.message' },
      { ...join, state_key: alice.id },
      { ...join, room_id: '!another:room' },
      {},
    ];
    for (const event of wrong) {
      const answer = await peer.asks(alpha, 'PUT', uri, event);
      expect([400, 403]).toContain(answer.status);
    }
    expect(await alice.memberships(room)).toEqual({ [alice.id]: 'join' });
  });
});

describe('reading', () => {
  it('is for servers in the room', async () => {
    const { alice, room } = await publicRoom();
    const said = segment(await alice.says(room, 'among us'));
    const id = segment(room);
    const uris = [
      `${V1}/event/${said}`,
      `${V1}/state/${id}?event_id=${said}`,
      `${V1}/state_ids/${id}?event_id=${said}`,
      `${V1}/backfill/${id}?v=${said}&limit=10`,
      `${V1}/event_auth/${id}/${said}`,
    ];
    for (const uri of uris) {
      const answer = await peer.asks(alpha, 'GET', uri);
      expect([403, 404]).toContain(answer.status);
    }
  });

  it('gives no event of another room', async () => {
    const [open, closed] = await Promise.all([publicRoom(), publicRoom()]);
    await peer.joins(open.room, zoe, alpha);
    const secret = segment(await closed.alice.says(closed.room, 'secret'));
    const id = segment(open.room);
    for (const uri of [
      `${V1}/state_ids/${id}?event_id=${secret}`,
      `${V1}/state/${id}?event_id=${secret}`,
    ]) {
      expect([403, 404]).toContain((await peer.asks(alpha, 'GET', uri)).status);
    }
    const backfill = await peer.asks(alpha, 'GET', `${V1}/backfill/${id}?v=${secret}&limit=10`);
    expect(backfill.text).not.toContain('secret');
  });
});

describe('what is not an event', () => {
  it('is not believed about users of other servers', async () => {
    const { alice, room } = await publicRoom();
    const copy = await peer.joins(room, zoe, alpha);
    await alice.syncs();
    const typing = (user_id: string) => ({
      edu_type: 'm.typing',
      content: { room_id: room, user_id, typing: true },
    });
    await peer.sends(alpha, [], [typing(other.user('yan')), typing(alice.id), typing(zoe)]);
    const typers = await alice.waitsFor(
      'zoe typing',
      (r) =>
        r.rooms?.join?.[copy.id]?.ephemeral?.events.find(
          (event: { type: string }) => event.type === 'm.typing',
        )?.content.user_ids,
    );
    expect(typers).toEqual([zoe]);
  });
});

describe('a server that the room’s access list denies', () => {
  it('sends nothing into it and reads nothing out of it', async () => {
    const { alice, room } = await publicRoom();
    const copy = await peer.joins(room, zoe, alpha);
    const before = copy.appends({
      type: 'm.room.message',
      sender: zoe,
      content: { body: 'before' },
    });
    await peer.sends(alpha, [before]);
    await alice.sees(room, copy.idOf(before));
    await alice.sets(room, 'm.room.server_acl', { allow: ['*'], deny: ['localhost'] });
    // An access list names hosts without their port, so it has denied alpha itself as well.
    const after = copy.appends({ type: 'm.room.message', sender: zoe, content: { body: 'after' } });
    const results = await peer.sends(alpha, [after]);
    expect(results[copy.idOf(after)]?.error).toEqual(expect.any(String));
    const id = segment(room);
    const uris = [
      `${V1}/make_join/${id}/${segment(zoe)}?ver=11`,
      `${V1}/make_leave/${id}/${segment(zoe)}`,
      `${V1}/state_ids/${id}?event_id=${segment(copy.idOf(before))}`,
      `${V1}/backfill/${id}?v=${segment(copy.idOf(before))}&limit=10`,
    ];
    for (const uri of uris) {
      const answer = await peer.asks(alpha, 'GET', uri);
      expect([answer.status, answer.body.errcode]).toEqual([403, 'M_FORBIDDEN']);
    }
  });
});
