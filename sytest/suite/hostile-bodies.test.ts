/**
 * Bodies that are small to send and large to hold, sent to every operation by nobody in particular,
 * by someone with an account, and by another server with a right and with a wrong signature. Every
 * operation of the specification is asked, so one that is added without limits is asked too.
 */

import { type HostileTarget, hostileBodies, sendHostile } from '../lib/hostile-request.ts';
import { pathOf } from '../lib/malformed.ts';
import { parley } from '../lib/parley.ts';
import { Peer } from '../lib/peer/peer.ts';
import { authorization } from '../lib/peer/x-matrix.ts';
import { type Person, registers, segment } from '../lib/person.ts';
import { Server } from '../lib/server.ts';
import { authority } from '../lib/world.ts';
import { loadOperations, type Operation } from '../sweep/operations.ts';

/** Nothing may be swallowed without an end: past this the connection is closed. */
const MAX_SWALLOWED_BYTES = 128 * 1024 * 1024;
const GIVE_UP_MS = 30_000;
const AT_A_TIME = 4;
const SWEEP_TIMEOUT_MS = 300_000;

let server: Server;
let peer: Peer;
let person: Person;
let leavers = 0;
let values: Readonly<Record<string, string>>;

beforeAll(async () => {
  server = await (await Server.create(parley(), authority)).start();
  peer = await Peer.start(authority);
  person = await registers(server, 'mallory');
  const room = await person.createsRoom({ preset: 'public_chat' });
  const event = await person.says(room, 'hello');
  const names = {
    ...{ userId: person.id, roomId: room, roomIdOrAlias: room, eventId: event },
    ...{ roomAlias: `#nowhere:${server.name}`, serverName: server.name, stateKey: '' },
    ...{ deviceId: person.deviceId, eventType: 'm.room.message', receiptType: 'm.read' },
    ...{ kind: 'override', scope: 'global', ruleId: '.m.rule.master', txnId: 'txn' },
    ...{ keyName: 'displayname', version: '1', sessionId: 'x' },
  };
  values = Object.fromEntries(Object.entries(names).map(([name, value]) => [name, segment(value)]));
});
afterAll(async () => {
  await peer.stop();
  await server.destroy();
});

const withBody = loadOperations().operations.filter(
  ({ method, api }) => (method === 'POST' || method === 'PUT') && api !== 'push-gateway',
);

interface Sender {
  readonly who: string;
  readonly operations: readonly Operation[];
  target(): HostileTarget;
  headers(operation: Operation, path: string): Headers | Promise<Headers>;
}
type Headers = Record<string, string>;
/** They take no body, so none can be wrong with them; who asks is a stranger afterwards. */
const ENDS_THE_SESSION = new Set(['logout', 'logout_all']);

const clientTarget = (): HostileTarget => ({
  host: '127.0.0.1',
  port: server.site.clientPort,
});
const serverTarget = (): HostileTarget => ({
  host: 'localhost',
  port: server.site.tlsPort,
  ca: authority.certPem,
});

const forClients = withBody.filter(({ api }) => api === 'client-server');
const forServers = withBody.filter(({ api }) => api === 'server-server');

/** A signature that is right for an empty object: of what is really sent it is wrong. */
const signed = (operation: Operation, path: string, origin: string) => ({
  Authorization: authorization(
    { method: operation.method, uri: path, origin, destination: server.name, content: {} },
    peer.key,
  ),
});

const senders: readonly Sender[] = [
  { who: 'nobody', operations: forClients, target: clientTarget, headers: () => ({}) },
  {
    who: 'someone with an account',
    operations: forClients,
    target: clientTarget,
    headers: async ({ id }) => {
      const who = ENDS_THE_SESSION.has(id)
        ? await registers(server, `leaver-${++leavers}`)
        : person;
      return { Authorization: `Bearer ${who.token}` };
    },
  },
  { who: 'a server unsigned', operations: forServers, target: serverTarget, headers: () => ({}) },
  {
    who: 'a server that nobody knows',
    operations: forServers,
    target: serverTarget,
    headers: (operation, path) => signed(operation, path, 'nobody.invalid'),
  },
  {
    who: 'a known server with a wrong signature',
    operations: forServers,
    target: serverTarget,
    headers: (operation, path) => signed(operation, path, peer.name),
  },
];

const inTurn = async <T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> => {
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let index = next++; index < items.length; index = next++) await work(items[index]!);
  };
  await Promise.all(Array.from({ length: AT_A_TIME }, worker));
};

describe.each(senders)('$who', ({ operations, target, headers }) => {
  it.each(hostileBodies)(
    'is refused everywhere with $what',
    async ({ body }) => {
      const problems: string[] = [];
      await inTurn(operations, async (operation) => {
        const path = pathOf(operation, values);
        const outcome = await sendHostile(
          target(),
          { method: operation.method, path, headers: await headers(operation, path), ...body() },
          GIVE_UP_MS,
        );
        const { status, errcode, sentBytes, tookMs } = outcome;
        const shown = `${operation.id}: ${status} ${errcode}, ${sentBytes} bytes, ${Math.round(tookMs)} ms`;
        const isRefused =
          status === undefined
            ? outcome.closed
            : (status >= 400 && status < 500) || ENDS_THE_SESSION.has(operation.id);
        const isMatrixError = status === undefined || status === 200 || errcode?.startsWith('M_');
        const hasFlows = status === 401 && errcode === undefined;
        if (!isRefused || !(isMatrixError || hasFlows)) problems.push(shown);
        else if (sentBytes > MAX_SWALLOWED_BYTES) problems.push(`swallowed: ${shown}`);
      });
      expect(problems).toEqual([]);
    },
    SWEEP_TIMEOUT_MS,
  );
});

it('leaves a server that works and has logged no bug', async () => {
  const room = await person.createsRoom({});
  await person.sees(room, await person.says(room, 'still here'));
  expect(server.logTail()).not.toMatch(/"level":(50|60)/);
});
