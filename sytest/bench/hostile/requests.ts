/**
 * What hostile servers ask of ours, by kind: without a right to, under a wrong signature, and rightly
 * signed but as much as one request may be. Every operation that takes a body is asked.
 */
import { type HostileRequest, hostileBodies } from '../../lib/hostile-request.ts';
import { pathOf } from '../../lib/malformed.ts';
import { authorization } from '../../lib/peer/x-matrix.ts';
import { loadOperations, type Operation } from '../../sweep/operations.ts';
import type { HostileServer } from './server.ts';

/** What requests are about: all of it is known to the servers that ask. */
export interface Scene {
  /** The name of the server under test. */
  readonly destination: string;
  /** A public room of it, and somebody in it. */
  readonly room: string;
  readonly user: string;
}

/** The `index`-th request of a kind; those with the same signature are made once. */
export type HostileRequests = (index: number) => HostileRequest;

const PART_BYTES = 64 * 1024;
const MEGABYTE = 1024 * 1024;
/** Rightly signed requests that differ; the next ones repeat them. */
const SIGNED = 100;
/** A name of which nothing can be found: nobody listens there. */
const UNKNOWN_PORTS = 1_000;

const operations = loadOperations().operations.filter(
  ({ method, api, id }) =>
    api === 'server-server' &&
    (method === 'POST' || method === 'PUT') &&
    id !== 'askPolicyServerToSign',
);

const inParts = (body: Buffer): Pick<HostileRequest, 'declared' | 'next'> => {
  let at = 0;
  return {
    declared: body.length,
    next: () => {
      if (at >= body.length) return undefined;
      const part = body.subarray(at, at + PART_BYTES);
      at += PART_BYTES;
      return part;
    },
  };
};

const pick = <T>(list: readonly T[], index: number): T => list[index % list.length] as T;

type Signer = (
  operation: Pick<Operation, 'method'>,
  path: string,
  index: number,
) => Readonly<Record<string, string>>;

/** Every operation with every body that must be refused. */
const everywhere =
  (values: Readonly<Record<string, string>>, signer: Signer): HostileRequests =>
  (index) => {
    const operation = pick(operations, index);
    const path = pathOf(operation, values);
    const body = pick(hostileBodies, Math.floor(index / operations.length));
    return {
      method: operation.method,
      path,
      headers: signer(operation, path, index),
      ...body.body(),
    };
  };

/** `body` is JSON in its canonical form; the same for all, the path differs. */
const signed = (
  servers: readonly HostileServer[],
  destination: string,
  method: 'PUT' | 'POST',
  pathFor: (index: number) => string,
  bodyFor: (server: HostileServer) => string,
): HostileRequests => {
  const bodies = new Map<HostileServer, { text: string; bytes: Buffer }>();
  const made: { path: string; headers: Record<string, string>; bytes: Buffer }[] = [];
  const make = (index: number) => {
    const server = pick(servers, index);
    let body = bodies.get(server);
    if (body === undefined) {
      const text = bodyFor(server);
      body = { text, bytes: Buffer.from(text) };
      bodies.set(server, body);
    }
    const path = pathFor(index);
    const sig = server.key.signatureOf(
      `{"content":${body.text},"destination":"${destination}","method":"${method}",` +
        `"origin":"${server.name}","uri":"${path}"}`,
    );
    const credentials = `origin="${server.name}",destination="${destination}",key="${server.key.id}"`;
    return {
      path,
      headers: { Authorization: `X-Matrix ${credentials},sig="${sig}"` },
      bytes: body.bytes,
    };
  };
  for (let index = 0; index < SIGNED; index++) made.push(make(index));
  return (index) => {
    const { path, headers, bytes } = pick(made, index);
    return { method, path, headers, ...inParts(bytes) };
  };
};

const listOf = (count: number, entry: (index: number) => string): string =>
  `[${Array.from({ length: count }, (_, index) => entry(index)).join(',')}]`;

const transaction = (server: HostileServer, pdus: string, edus: string): string =>
  `{"edus":${edus},"origin":"${server.name}","origin_server_ts":1,"pdus":${pdus}}`;

const edusOf = (count: number, type: string, content: (index: number) => string): string =>
  listOf(count, (index) => `{"content":${content(index)},"edu_type":"${type}"}`);

/** Events as large as they may be, which nobody has signed. */
const pdu = ({ room }: Scene, server: HostileServer, content: string): string =>
  `{"auth_events":[],"content":${content},"depth":1,"hashes":{"sha256":"x"},"origin_server_ts":1,` +
  `"prev_events":[],"room_id":"${room}","sender":"@x:${server.name}",` +
  `"signatures":{"${server.name}":{"${server.key.id}":"x"}},"type":"m.room.message"}`;

const values = (count: number): string => `[${'{},'.repeat(count - 1)}{}]`;
const letters = (count: number): string => `"${'a'.repeat(count)}"`;

/** Makes a kind when its turn has come: the bodies are large. */
export const hostileRequests = (
  scene: Scene,
  servers: readonly HostileServer[],
): Readonly<Record<string, () => HostileRequests>> => {
  const { destination, room, user } = scene;
  const segment = encodeURIComponent;
  const names = {
    ...{ roomId: segment(room), eventId: segment('$x'), userId: segment(user), txnId: 'x' },
    ...{ serverName: destination, roomAlias: segment(`#x:${destination}`) },
  };
  const wrongly =
    (origin: string, server: HostileServer): Signer =>
    ({ method }, uri) => ({
      Authorization: authorization({ method, uri, origin, destination, content: {} }, server.key),
    });
  let transactions = 0;
  const send = (bodyFor: (server: HostileServer) => string) => () => {
    const run = ++transactions;
    const path = (index: number) => `/_matrix/federation/v1/send/h${run}-${index}`;
    return signed(servers, destination, 'PUT', path, bodyFor);
  };
  const edus = (type: string, content: (server: HostileServer, index: number) => string) =>
    send((server) =>
      transaction(
        server,
        '[]',
        edusOf(100, type, (index) => content(server, index)),
      ),
    );
  const post = (path: string, body: string) => () =>
    signed(
      servers,
      destination,
      'POST',
      () => path,
      () => body,
    );
  const put = (path: string, bodyFor: (server: HostileServer) => string) => () =>
    signed(servers, destination, 'PUT', (index) => `${path}${index}`, bodyFor);

  return {
    unsigned: () => everywhere(names, () => ({})),
    'of unknown servers': () =>
      everywhere(names, (operation, path, index) =>
        wrongly(`localhost:${1 + (index % UNKNOWN_PORTS)}`, pick(servers, index))(
          operation,
          path,
          index,
        ),
      ),
    'wrongly signed': () =>
      everywhere(names, (operation, path, index) => {
        const server = pick(servers, index);
        return wrongly(server.name, server)(operation, path, index);
      }),
    'wrongly signed, as large as allowed': () => {
      // Another form than the canonical one: every way of reading a signature is tried.
      const body = Buffer.from(
        `{ "x": 1e3, "pdus": ${listOf(50, () => `{"content":[${values(1_900)},${letters(200_000)}]}`)}}`,
      );
      return (index) => {
        const server = pick(servers, index);
        const path = `/_matrix/federation/v1/send/w${index}`;
        const headers = wrongly(server.name, server)({ method: 'PUT' }, path, index);
        return { method: 'PUT', path, headers, ...inParts(body) };
      };
    },
    slow: () => (index) => {
      const server = pick(servers, index);
      const path = `/_matrix/federation/v1/send/s${index}`;
      const headers = wrongly(server.name, server)({ method: 'PUT' }, path, index);
      const part = Buffer.from(' '.repeat(1_000));
      return { method: 'PUT', path, headers, declared: MEGABYTE, next: () => part, pauseMs: 50 };
    },
    compressed: () => (index) => {
      const server = pick(servers, index);
      const path = `/_matrix/federation/v1/send/z${index}`;
      const headers = {
        ...wrongly(server.name, server)({ method: 'PUT' }, path, index),
        'Content-Encoding': 'gzip',
      };
      return { method: 'PUT', path, headers, ...inParts(Buffer.alloc(MEGABYTE, 0x1f)) };
    },
    'events, large': send((server) =>
      transaction(
        server,
        listOf(50, () => pdu(scene, server, `{"body":${letters(60_000)}}`)),
        '[]',
      ),
    ),
    'events, beyond their size': send((server) =>
      transaction(
        server,
        listOf(50, () => pdu(scene, server, `{"body":${letters(190_000)}}`)),
        '[]',
      ),
    ),
    'events, of values': send((server) =>
      transaction(
        server,
        listOf(50, () => pdu(scene, server, `{"x":${values(1_900)}}`)),
        '[]',
      ),
    ),
    'events, nested': send((server) =>
      transaction(
        server,
        listOf(50, () => pdu(scene, server, `{"x":${'['.repeat(900)}${']'.repeat(900)}}`)),
        '[]',
      ),
    ),
    'to-device messages': edus('m.direct_to_device', (server, index) => {
      const devices = listOf(50, (device) => `"D${device}":{"body":${letters(1_000)}}`).slice(
        1,
        -1,
      );
      return (
        `{"message_id":"m${index}-${server.name}","messages":{"${user}":{${devices}}},` +
        `"sender":"@x:${server.name}","type":"m.x"}`
      );
    }),
    receipts: edus('m.receipt', (server) => {
      const readers = listOf(
        180,
        (reader) => `"@r${reader}:${server.name}":{"data":{"ts":1},"event_ids":["$x"]}`,
      ).slice(1, -1);
      return `{"${room}":{"m.read":{${readers}}}}`;
    }),
    presence: edus('m.presence', (server) => {
      const push = listOf(
        200,
        (one) =>
          `{"presence":"online","status_msg":${letters(200)},"user_id":"@p${one}:${server.name}"}`,
      );
      return `{"push":${push}}`;
    }),
    'device lists': edus(
      'm.device_list_update',
      (server, index) =>
        `{"device_id":"D${index}","keys":{"x":${letters(50_000)}},"prev_id":[],"stream_id":${index + 1},` +
        `"user_id":"@d${index}:${server.name}"}`,
    ),
    typing: edus(
      'm.typing',
      (server, index) =>
        `{"room_id":"${room}","typing":true,"user_id":"@t${index}:${server.name}"}`,
    ),
    'key queries': post(
      '/_matrix/federation/v1/user/keys/query',
      `{"device_keys":{${listOf(30_000, (one) => `"@k${one}:${destination}":[]`).slice(1, -1)}}}`,
    ),
    'one-time key claims': post(
      '/_matrix/federation/v1/user/keys/claim',
      `{"one_time_keys":{${listOf(
        15_000,
        (one) => `"@k${one}:${destination}":{"D":"signed_curve25519"}`,
      ).slice(1, -1)}}}`,
    ),
    'public rooms': post(
      '/_matrix/federation/v1/publicRooms',
      `{"filter":{"generic_search_term":${letters(60_000)}},"limit":10000}`,
    ),
    'missing events': post(
      `/_matrix/federation/v1/get_missing_events/${segment(room)}`,
      `{"earliest_events":${listOf(100, (one) => `"$e${one}${'e'.repeat(240)}"`)},` +
        `"latest_events":${listOf(100, (one) => `"$l${one}${'l'.repeat(240)}"`)},"limit":1000000}`,
    ),
    'keys of others': () => {
      const asked = listOf(256, (one) => `"localhost:${1 + one}":{}`).slice(1, -1);
      const body = Buffer.from(`{"server_keys":{${asked}}}`);
      return () => ({
        ...{ method: 'POST', path: '/_matrix/key/v2/query', headers: {} },
        ...inParts(body),
      });
    },
    'keys of hostile servers': () => {
      const asked = servers.map(({ name }) => `"${name}":{}`).join(',');
      const body = Buffer.from(`{"server_keys":{${asked}}}`);
      return () => ({
        ...{ method: 'POST', path: '/_matrix/key/v2/query', headers: {} },
        ...inParts(body),
      });
    },
    invites: put(
      `/_matrix/federation/v2/invite/${segment(`!x:${servers[0]!.name}`)}/${segment('$x')}`,
      (server) =>
        `{"event":${pdu(scene, server, `{"membership":"invite","x":${values(5_000)}}`)},` +
        `"invite_room_state":${listOf(9, () => pdu(scene, server, `{"x":${values(3_000)}}`))},"room_version":"11"}`,
    ),
    joins: put(`/_matrix/federation/v2/send_join/${segment(room)}/${segment('$x')}`, (server) =>
      pdu(scene, server, `{"membership":"join","x":${values(32_000)}}`),
    ),
    knocks: put(`/_matrix/federation/v1/send_knock/${segment(room)}/${segment('$x')}`, (server) =>
      pdu(scene, server, `{"membership":"knock","x":${letters(250_000)}}`),
    ),
    departures: put(
      `/_matrix/federation/v2/send_leave/${segment(room)}/${segment('$x')}`,
      (server) => pdu(scene, server, `{"membership":"leave","x":${values(32_000)}}`),
    ),
  };
};
