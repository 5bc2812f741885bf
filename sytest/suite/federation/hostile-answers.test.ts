/** Servers that answer wrongly, slowly, endlessly or not at all. */

import { parley } from '../../lib/parley.ts';
import type { PeerRequest } from '../../lib/peer/inbound.ts';
import { finish } from '../../lib/peer/pdu.ts';
import { Peer } from '../../lib/peer/peer.ts';
import { SigningKey } from '../../lib/peer/signing.ts';
import { type Person, registers } from '../../lib/person.ts';
import { Server } from '../../lib/server.ts';
import { authority } from '../../lib/world.ts';

const V1 = '/_matrix/federation/v1';
const V2 = '/_matrix/federation/v2';

let server: Server;
let alice: Person;
let peer: Peer;
let zoe: string;

beforeAll(async () => {
  const recipe = parley({
    federation: { max_response_bytes: 2_000_000 },
  });
  server = await (await Server.create(recipe, authority)).start();
  alice = await registers(server, 'alice');
});
afterAll(() => server.destroy());

beforeEach(async () => {
  peer = await Peer.start(authority);
  zoe = peer.user('zoe');
});
afterEach(() => peer.stop());

/** Resolves with how long the refusal took. */
async function joinFails(room: string): Promise<number> {
  const began = Date.now();
  await expect(alice.joins(room, peer)).rejects.toMatchObject({
    errcode: expect.stringMatching(/^M_/),
  });
  return Date.now() - began;
}

async function serverIsWell(): Promise<void> {
  const room = await alice.createsRoom();
  await alice.sees(room, await alice.says(room, 'still here'));
}

describe('a server that', () => {
  it('never ends its answer is cut off', async () => {
    const room = peer.createsRoom(zoe, '11');
    let sentBytes = 0;
    const flood = ({ raw: { response } }: PeerRequest) => {
      response.writeHead(200, { 'Content-Type': 'application/json' });
      const chunk = Buffer.alloc(65_536, '[');
      const pour = () => {
        while (!response.destroyed && response.write(chunk)) sentBytes += chunk.length;
      };
      response.on('drain', pour);
      pour();
      return undefined;
    };
    peer.answers('GET', `${V1}/make_join/{roomId}/{userId}`, flood);
    expect(await joinFails(room.id)).toBeLessThan(15_000);
    expect(sentBytes).toBeLessThan(30_000_000);
    await serverIsWell();
  });

  it('redirects is not followed', async () => {
    const inner = await Peer.start(authority);
    const room = peer.createsRoom(zoe, '11');
    peer.answers('GET', `${V1}/make_join/{roomId}/{userId}`, ({ path, raw: { response } }) => {
      response.writeHead(302, { Location: `https://${inner.name}${path}` }).end();
      return undefined;
    });
    await joinFails(room.id);
    expect(inner.requests).toEqual([]);
    await inner.stop();
  });

  it.each<[string, unknown]>([
    ['a list', []],
    ['nothing', {}],
    ['a room version nobody knows', { room_version: 'org.example.odd', event: {} }],
    ['no event', { room_version: '11' }],
    [
      'an event of another kind',
      { room_version: '11', event: { type: 'm.room.message', content: {} } },
    ],
  ])('proposes %s as a join is refused', async (_what, answer) => {
    const room = peer.createsRoom(zoe, '11');
    peer.answers('GET', `${V1}/make_join/{roomId}/{userId}`, () => answer as never);
    await joinFails(room.id);
  });

  it.each<[string, string]>([
    ['a web page', '<html>hello</html>'],
    ['half an object', '{"room_version": "11", '],
    ['nothing', ''],
  ])('answers %s is refused', async (_what, text) => {
    const room = peer.createsRoom(zoe, '11');
    peer.answers('GET', `${V1}/make_join/{roomId}/{userId}`, ({ raw: { response } }) => {
      response.writeHead(200, { 'Content-Type': 'application/json' }).end(text);
      return undefined;
    });
    await joinFails(room.id);
  });
});

describe('an answer to a join', () => {
  const stateWithout = (type: string) => {
    const room = peer.createsRoom(zoe, '11');
    peer.answers('PUT', `${V2}/send_join/{roomId}/{eventId}`, ({ body }) => {
      room.adds(body);
      const { state, authChain } = room.stateBefore(room.idOf(body))!;
      return {
        event: body,
        state: state.filter((pdu) => pdu.type !== type),
        auth_chain: authChain.filter((pdu) => pdu.type !== type),
      };
    });
    return room;
  };

  it('without the room’s creation is refused', async () => {
    await joinFails(stateWithout('m.room.create').id);
  });

  it.each<[string, unknown]>([
    ['that is empty', {}],
    ['whose state is no list', { state: {}, auth_chain: [] }],
    ['whose state holds no events', { state: [1, 'x', null], auth_chain: [] }],
  ])('%s is refused', async (_what, answer) => {
    const room = peer.createsRoom(zoe, '11');
    peer.answers('PUT', `${V2}/send_join/{roomId}/{eventId}`, () => answer as never);
    await joinFails(room.id);
    await serverIsWell();
  });

  it('with state nobody signed counts for nothing', async () => {
    const room = peer.createsRoom(zoe, '11');
    room.appends({ type: 'm.room.topic', stateKey: '', sender: zoe, content: { topic: 'true' } });
    peer.answers('PUT', `${V2}/send_join/{roomId}/{eventId}`, ({ body }) => {
      room.adds(body);
      const { state, authChain } = room.stateBefore(room.idOf(body))!;
      const unsigned = state.map((pdu) =>
        pdu.type === 'm.room.topic' ? { ...pdu, content: { topic: 'false' }, signatures: {} } : pdu,
      );
      return { event: body, state: unsigned, auth_chain: authChain };
    });
    await alice.joins(room.id, peer);
    const topics = (await alice.state(room.id)).filter((event) => event.type === 'm.room.topic');
    expect(topics).toEqual([]);
  });
});

describe('keys', () => {
  const transaction = () => ({ origin: peer.name, origin_server_ts: Date.now(), pdus: [] });
  const sendUri = () => `${V1}/send/${Date.now()}-${Math.random()}`;
  const keysOf = (server_name: string, key: SigningKey, valid_until_ts: number) =>
    key.signJson(
      {
        server_name,
        verify_keys: { [key.id]: { key: key.publicKey } },
        old_verify_keys: {},
        valid_until_ts,
      },
      server_name,
    );
  const tomorrow = () => Date.now() + 24 * 3600 * 1000;

  it('that the server did not sign itself are not believed', async () => {
    const other = new SigningKey('peer');
    peer.answers('GET', '/_matrix/key/v2/server', () => ({
      ...keysOf(peer.name, peer.key, tomorrow()),
      signatures: keysOf(peer.name, other, tomorrow())['signatures'],
    }));
    const answer = await peer.asks(server, 'PUT', sendUri(), transaction());
    expect([answer.status, answer.body.errcode]).toEqual([401, 'M_UNAUTHORIZED']);
  });

  it('published under another name are not believed', async () => {
    peer.answers('GET', '/_matrix/key/v2/server', () =>
      keysOf('someone.else', peer.key, tomorrow()),
    );
    const answer = await peer.asks(server, 'PUT', sendUri(), transaction());
    expect(answer.status).toBe(401);
  });

  it('that expired before an event was made do not vouch for it', async () => {
    const room = await alice.createsRoom({ preset: 'public_chat', version: '11' });
    const hourAgo = Date.now() - 3600 * 1000;
    const old = new SigningKey('old');
    peer.answers('GET', '/_matrix/key/v2/server', () =>
      peer.key.signJson(
        {
          server_name: peer.name,
          verify_keys: { [peer.key.id]: { key: peer.key.publicKey } },
          old_verify_keys: { [old.id]: { key: old.publicKey, expired_ts: hourAgo } },
          valid_until_ts: tomorrow(),
        },
        peer.name,
      ),
    );
    const copy = await peer.joins(room, zoe, server);
    const says = (body: string, key: SigningKey, origin_server_ts: number) => {
      const content = { msgtype: 'm.text', body };
      const draft = copy.drafts({ type: 'm.room.message', sender: zoe, content });
      return finish({ ...draft, origin_server_ts }, copy.rules, peer.name, key);
    };
    const stale = says('signed with the old key', old, Date.now());
    const inTime = says('signed while the key was good', old, hourAgo - 1_000);
    const fresh = says('signed with the new key', peer.key, Date.now());
    await peer.sends(server, [stale, inTime, fresh]);
    await alice.sees(room, copy.idOf(fresh));
    await alice.sees(room, copy.idOf(inTime));
    const ids = (await alice.history(room)).map((event) => event.event_id);
    expect(ids).not.toContain(copy.idOf(stale));
  });
});

describe('private addresses', () => {
  it('are not asked, whoever names them, unless the operator allows it', async () => {
    const guarded = await (
      await Server.create(parley({ federation: { allow_private_addresses: false } }), authority)
    ).start();
    try {
      const bob = await registers(guarded, 'bob');
      const room = peer.createsRoom(zoe, '11');
      await expect(bob.joins(room.id, peer)).rejects.toMatchObject({
        errcode: expect.stringMatching(/^M_/),
      });
      const profile = await bob.asks('GET', `/profile/${encodeURIComponent(zoe)}`);
      expect(profile.status).toBeGreaterThanOrEqual(400);
      expect(peer.requests).toEqual([]);
    } finally {
      await guarded.destroy();
    }
  });
});
