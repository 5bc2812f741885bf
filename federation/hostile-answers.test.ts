/**
 * Every request this server makes to others, answered by one that wants to hurt it. The table names
 * every path in the sources; a request added without an entry fails.
 */
import { readdirSync, readFileSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { join } from 'node:path';
import { createGzip } from 'node:zlib';
import type { LiveRoom } from '../homeserver/rooms/live-room.ts';
import type { JsonObject, MatrixEvent } from '../spec/event.ts';
import type { EventId, RoomAlias, RoomId, ServerName, UserId } from '../spec/identifiers.ts';
import type { RoomVersionRules } from '../spec/room-versions.ts';
import { FederatedKeys } from './encryption/remote-keys.ts';
import { fetchFromNotary } from './keys/key-sources.ts';
import { FederatedPolicyServers } from './policy-servers.ts';
import { FederationEvents } from './remote-events.ts';
import { Guest } from './testing/guest.ts';
import { until } from './testing/memory-log.ts';
import type { RoomPeer } from './testing/room-peer.ts';
import { type NetworkServer, TestNetwork } from './testing/test-network.ts';

const MEBIBYTE = 1024 * 1024;
/** Of processor time that nothing else can run in. Wall time says what other programs do. */
const MAX_TURN_MS = 200;
const MAX_MEMORY_BYTES = 100 * MEBIBYTE;

/** `count` times the same text, compressed without ever being there as a whole. */
const bomb = async (start: string, text: string, bytes: number): Promise<Buffer> => {
  const gzip = createGzip({ level: 9 });
  const chunks: Buffer[] = [];
  gzip.on('data', (chunk: Buffer) => chunks.push(chunk));
  const ended = new Promise((resolve) => gzip.once('end', resolve));
  gzip.write(start);
  const piece = text.repeat(Math.ceil(MEBIBYTE / text.length));
  for (let written = 0; written < bytes; written += piece.length) {
    if (!gzip.write(piece)) await new Promise((resolve) => gzip.once('drain', resolve));
  }
  gzip.end();
  await ended;
  return Buffer.concat(chunks);
};

const compressed = (body: Buffer) => (outgoing: ServerResponse) => {
  outgoing.setHeader('content-encoding', 'gzip');
  outgoing.end(body);
};

const endless = (start: string, text: string) => (outgoing: ServerResponse) => {
  const piece = Buffer.from(text.repeat(Math.ceil(65_536 / text.length)));
  outgoing.write(start);
  const more = () => {
    while (!outgoing.destroyed && outgoing.write(piece));
  };
  outgoing.on('drain', more);
  more();
};

type Attack = readonly [string, (outgoing: ServerResponse) => void];

const attacks = async (): Promise<Attack[]> => {
  const all: Attack[] = [
    ['endless text', endless('{"x":"', 'x')],
    ['endless white space', endless('{', ' ')],
    ['endless numbers', endless('{"pdus":[0', ',0')],
    ['endless objects', endless('[200,{"x":[{}', ',{}')],
    [
      'a length it does not keep',
      (outgoing) => {
        outgoing.setHeader('content-length', '1000');
        outgoing.write('{"x":1');
        setTimeout(() => outgoing.destroy(), 10);
      },
    ],
    [
      'a length beyond all bounds',
      (outgoing) => {
        outgoing.setHeader('content-length', '100000000000');
        outgoing.write('{"x":1');
      },
    ],
    [
      'an endless refusal',
      (outgoing) => {
        outgoing.statusCode = 403;
        endless('{"errcode":"M_FORBIDDEN","x":[0', ',0')(outgoing);
      },
    ],
  ];
  for (const list of ['x', 'pdus', 'events', 'state', 'auth_chain', 'pdu_ids', 'device_keys']) {
    const body = await bomb(`{"${list}":[{}`, ',{}', 132 * MEBIBYTE);
    all.push([`44 million values in ${list}`, compressed(body)]);
  }
  for (const text of ['[', '{"a":', '[{"a":']) {
    all.push([`nested ${text}`, compressed(await bomb('', text, 132 * MEBIBYTE))]);
  }
  const gaps = await bomb('{"x":"', 'x', 132 * MEBIBYTE);
  all.push(['132 MB of one letter', compressed(gaps)]);
  return all;
};

/** The longest processor time between two turns of the event loop, and the most memory, of some work. */
const costOf = async (work: () => Promise<unknown>) => {
  const memory = () => {
    const { heapUsed, external } = process.memoryUsage();
    return heapUsed + external;
  };
  let longestMs = 0;
  let mostBytes = 0;
  let isOver = false;
  const idleBytes = memory();
  const watch = async () => {
    let before = process.cpuUsage();
    for (let turn = 0; !isOver; turn++) {
      await new Promise((resolve) => setImmediate(resolve));
      const { user, system } = process.cpuUsage(before);
      before = process.cpuUsage();
      longestMs = Math.max(longestMs, (user + system) / 1000);
      if (turn % 16 === 0) mostBytes = Math.max(mostBytes, memory() - idleBytes);
    }
  };
  const watching = watch();
  await work().catch(() => undefined);
  isOver = true;
  await watching;
  return { longestMs, mostBytes };
};

describe('hostile answers', () => {
  let network: TestNetwork;
  let here: NetworkServer;
  let peer: RoomPeer;
  let alice: UserId;
  let hostile: Attack[];

  beforeAll(async () => {
    network = await TestNetwork.open();
    here = await network.server({ request_timeout_ms: 5_000, join_timeout_ms: 5_000 });
    alice = await here.user('alice');
    peer = await network.peer();
    hostile = await attacks();
  }, 120_000);
  afterAll(() => network.close());

  const remote = () => new FederationEvents(here.federation.transport);
  const keys = () => new FederatedKeys(here.federation.transport.client);
  const rooms = () => here.federation.remoteRooms;
  const room = () => {
    const rules = { version: '11', eventIdFormat: 'reference' } as unknown as RoomVersionRules;
    return { id: `!room:${peer.name}` as RoomId, rules };
  };
  const eventId = `$${'a'.repeat(43)}` as EventId;
  const template = (membership: string) => ({
    room_version: '11',
    event: {
      type: 'm.room.member',
      room_id: room().id,
      sender: alice,
      state_key: alice,
      content: { membership },
      auth_events: [eventId],
      prev_events: [eventId],
      depth: 7,
    },
  });
  const entry = () => ({
    userId: alice,
    roomId: room().id,
    servers: [peer.name],
    content: { membership: 'join' },
  });
  const ours = async () => {
    const roomId = await here.rooms.roomCreator.create(alice, { preset: 'public_chat' });
    return { roomId, guest: await Guest.join(peer, here.name, roomId) };
  };

  /** By path as it stands in the sources, `*` for what is filled in. */
  const table: Record<string, () => Promise<unknown>> = {
    '/_matrix/federation/v1/get_missing_events/*': () =>
      remote().missingEvents(peer.name, room(), {
        latest: [eventId],
        earliest: [],
        limit: 10,
        minDepth: 0,
      }),
    '/_matrix/federation/v1/event/*': () => remote().events(peer.name, room(), [eventId]),
    '/_matrix/federation/v1/state_ids/*': () => remote().stateIds(peer.name, room(), eventId),
    '/_matrix/federation/v1/state/*': () => remote().state(peer.name, room(), eventId),
    '/_matrix/federation/v1/event_auth/*/*': () => remote().eventAuth(peer.name, room(), eventId),
    '/_matrix/federation/v1/backfill/*': () => remote().backfill(peer.name, room(), [eventId], 10),
    '/_matrix/federation/v1/timestamp_to_event/*': async () => {
      const { roomId } = await ours();
      const live = (await here.core.registry.find(roomId)) as LiveRoom;
      const gap = { eventId, place: { streamPos: 1, backfillPos: 0 } };
      const direction = 'forwards';
      const wanted = { asker: alice, gap, timestampMs: 1, direction, withinMs: 1e9 } as const;
      await here.federation.historyFiller.fetchNear(live, wanted);
    },
    '/_matrix/federation/v1/user/keys/query': () =>
      keys().query(peer.name, { [peer.user('x')]: [] }, alice, 5_000),
    '/_matrix/federation/v1/user/keys/claim': () =>
      keys().claim(peer.name, { [peer.user('x')]: { D: 'a' } }, alice, 5_000),
    '/_matrix/federation/v1/user/devices/*': () => keys().devices(peer.user('x'), 5_000, alice),
    '/_matrix/federation/v1/query/profile': () =>
      here.federation.remoteProfiles.profile(peer.user('x'), alice),
    '/_matrix/federation/v1/query/directory': () =>
      rooms().resolveAlias(`#a:${peer.name}` as RoomAlias, alice),
    '/_matrix/federation/v1/publicRooms': () => rooms().publicRooms(peer.name, {}, alice),
    '/_matrix/federation/v1/hierarchy/*': () => rooms().space(room().id, [peer.name], alice, 5_000),
    '/_matrix/federation/v1/make_**': () => rooms().join(entry()),
    '/_matrix/federation/v2/send_join/*/*': () => rooms().join(entry()),
    '/_matrix/federation/v1/send_join/*/*': () => rooms().join(entry()),
    '/_matrix/federation/*/send_*': () => rooms().knock(entry()),
    '/_matrix/federation/v2/invite/*/*': async () => {
      const { roomId } = await ours();
      await here.rooms.membership.invite(alice, roomId, peer.user('x'));
    },
    '/_matrix/federation/v1/invite/*/*': async () => {
      const roomId = await here.rooms.roomCreator.create(alice, { version: '1' });
      await here.rooms.membership.invite(alice, roomId, peer.user('x'));
    },
    '/_matrix/federation/v1/exchange_third_party_invite/*': () =>
      rooms().exchangeThirdPartyInvite(room().id, peer.user('x'), {}),
    '/_matrix/federation/v1/send/*': async () => {
      const { roomId } = await ours();
      const sent = () => peer.received.filter(({ url }) => url.includes('/v1/send/')).length;
      const before = sent();
      await here.say(alice, roomId, 'hello');
      await until(() => {
        // It may be left alone since the last attack.
        network.clock.advance(6_000);
        here.federation.transport.health.heardFrom(peer.name);
        return sent() > before && here.federation.transport.health.isFailing(peer.name);
      });
    },
    '/_matrix/policy/v1/sign': async () => {
      const { guest } = await ours();
      const { event } = guest.make({ type: 'm.room.message', content: {} });
      const policy = new FederatedPolicyServers(here.federation.transport);
      await policy.sign(peer.name, event as MatrixEvent, { forClient: true });
    },
    '/_matrix/key/v2/server': () => here.federation.transport.keyRing.refresh(peer.name),
    '/_matrix/key/v2/query': () => {
      const wish = { serverName: 'x.test' as ServerName, keyIds: ['ed25519:a'], validAtMs: 1 };
      return fetchFromNotary(here.federation.transport.client, peer.name, [wish], network.clock);
    },
  };
  /** Answered as it should be, so that the request in question comes about. */
  const honest: readonly [RegExp, (path: string) => JsonObject][] = [
    [/make_(join|knock|leave)/, (path) => template(/make_(\w+)/.exec(path)?.[1] as string)],
    [/v2\/send_(join|leave)/, () => ({ status: 404, body: '{"errcode":"M_UNRECOGNIZED"}' })],
    [/v2\/invite/, () => ({ status: 404, body: '{"errcode":"M_UNRECOGNIZED"}' })],
  ];

  it('are expected of every request in the sources', () => {
    const paths = new Set<string>();
    for (const file of readdirSync(import.meta.dirname, { recursive: true }) as string[]) {
      if (!file.endsWith('.ts') || /\.test\.ts$|^(routes|testing|auth)\//.test(file)) continue;
      const text = readFileSync(join(import.meta.dirname, file), 'utf8');
      for (const [, path = ''] of text.matchAll(/[`'](\/_matrix\/[^`']*)[`']/g)) {
        if (!path.includes('...')) paths.add(path.replaceAll(/\$\{[^}]*\}?/g, '*'));
      }
    }
    expect([...paths].sort()).toEqual(Object.keys(table).sort());
  });

  it.each(Object.keys(table))(
    'to %s cost little',
    async (path) => {
      const pattern = new RegExp(
        `^\\w+ ${path.replaceAll('/', '\\/').replaceAll('**', '.*').replaceAll('*', '[^?]*')}`,
      );
      const { health } = here.federation.transport;
      for (const [name, attack] of hostile) {
        let answered = 0;
        for (const [honestPath, answer] of honest) {
          peer.on(honestPath, ({ url }) => answer(url));
        }
        peer.on(pattern, () => {
          answered += 1;
          return attack;
        });
        if (path === '/_matrix/key/v2/server') {
          peer.peer.keyDocument = () => {
            answered += 1;
            return attack;
          };
        }
        network.clock.advance(3_600_000);
        const { longestMs, mostBytes } = await costOf(table[path] as () => Promise<unknown>);
        peer.peer.keyDocument = undefined;
        health.succeeded(peer.name);
        expect({ name, answered: answered > 0 }).toEqual({ name, answered: true });
        expect({ name, tooLong: longestMs > MAX_TURN_MS && longestMs }).toEqual({
          name,
          tooLong: false,
        });
        expect({ name, tooMuch: mostBytes > MAX_MEMORY_BYTES && mostBytes }).toEqual({
          name,
          tooMuch: false,
        });
      }
    },
    120_000,
  );
});
