/** One operation asked for in several ways: as it should be, and as it should not. */

import { randomUUID } from 'node:crypto';
import { violations } from '../lib/conformance.ts';
import type { FederationAnswer } from '../lib/peer/outbound.ts';
import type { Peer } from '../lib/peer/peer.ts';
import { type Person, registers } from '../lib/person.ts';
import type { ServerAddress } from '../lib/server.ts';
import type { Operation } from './operations.ts';

export interface Probe {
  readonly server: ServerAddress;
  /** Signs requests to the Server-Server API. */
  readonly peer: Peer;
}

/** Something the specification forbids. */
export interface Finding {
  readonly operation: string;
  readonly problem: string;
}

/** What was answered, whichever API it came from. */
interface Heard {
  readonly status: number;
  readonly body: FederationAnswer['body'];
}

/** No operation of the specification uses it. */
const OTHER_METHOD = 'PATCH';

/** Bodies without which an operation cannot be told from another on its path. */
const BODIES: Readonly<Record<string, object>> = {
  inviteBy3PID: {
    id_server: 'localhost:1',
    id_access_token: 'x',
    medium: 'email',
    address: 'somebody@example.org',
  },
};

/** Query parameters that keep an operation from waiting or from lacking what it requires. */
const QUERY = '?timeout=0&dir=b&ts=0&limit=1&ver=11&ver=12';

export async function probeOperation(
  probe: Probe,
  operation: Operation,
): Promise<{ served: boolean; findings: Finding[] }> {
  const name = `${operation.method} ${operation.path}`;
  const scene = await setScene(probe, operation);
  const { path } = scene;
  const proper = await ask(probe, operation, operation.method, scene);
  if (isUnserved(operation, proper)) return { served: false, findings: [] };

  const problems = violations(operation.method, path, proper.status, proper.body);
  if (operation.auth !== 'none') {
    const anonymous = await ask(probe, operation, operation.method, { path });
    const expected = operation.auth === 'user' ? 'M_MISSING_TOKEN' : 'M_UNAUTHORIZED';
    if (anonymous.status !== 401 || anonymous.body?.errcode !== expected) {
      problems.push(`unauthenticated: expected 401 ${expected}, got ${shown(anonymous)}`);
    }
  }
  const other = await ask(probe, operation, OTHER_METHOD, scene);
  if (other.status !== 405 || other.body?.errcode !== 'M_UNRECOGNIZED') {
    problems.push(`${OTHER_METHOD}: expected 405 M_UNRECOGNIZED, got ${shown(other)}`);
  }
  return { served: true, findings: problems.map((problem) => ({ operation: name, problem })) };
}

/** Under every prefix, a path that is no operation must be 404 `M_UNRECOGNIZED`. */
export async function probeUnknownPaths(probe: Probe): Promise<Finding[]> {
  const findings: Finding[] = [];
  const expectUnknown = (path: string, answer: Heard) => {
    if (answer.status === 404 && answer.body?.errcode === 'M_UNRECOGNIZED') return;
    const problem = `unknown path: expected 404 M_UNRECOGNIZED, got ${shown(answer)}`;
    findings.push({ operation: `GET ${path}`, problem });
  };
  const person = await registers(probe.server, `sweeper-${randomUUID()}`);
  const clientPaths = ['/_matrix/client/v3', '/_matrix/client/v1', '/_matrix/media/v3', '/_matrix'];
  for (const prefix of clientPaths) {
    const path = `${prefix}/no/such/operation`;
    expectUnknown(path, await clientRequest(probe, 'GET', path, person.token));
  }
  for (const prefix of ['/_matrix/federation/v1', '/_matrix/federation/v2', '/_matrix/key/v2']) {
    const path = `${prefix}/no/such/operation`;
    expectUnknown(path, await probe.peer.asks(probe.server, 'GET', path));
  }
  return findings;
}

function isUnserved({ id }: Operation, { status, body }: Heard): boolean {
  // It shares its path with `inviteUser`: to ask for a user id is not to know it.
  if (id === 'inviteBy3PID' && status === 400) return true;
  return [404, 405].includes(status) && (body?.errcode ?? 'M_UNRECOGNIZED') === 'M_UNRECOGNIZED';
}

function shown({ status, body }: Heard): string {
  return `${status} ${body?.errcode ?? JSON.stringify(body)?.slice(0, 100)}`;
}

/** A path, and a new person for it: some operations end sessions and accounts. */
interface Scene {
  readonly path: string;
  readonly person?: Person;
}

/** Fills parameters with what exists, as far as a client can make it. */
async function setScene({ server, peer }: Probe, operation: Operation): Promise<Scene> {
  const person = await registers(server, `sweeper-${randomUUID()}`);
  const needsRoom = /\{(roomId|roomIdOrAlias|eventId)\}/.test(operation.path);
  const room = needsRoom ? await person.createsRoom({ preset: 'public_chat' }) : '';
  const event = needsRoom ? await person.says(room, 'swept') : '';
  const values: Readonly<Record<string, string>> = {
    userId: operation.api === 'server-server' ? peer.user('zoe') : person.id,
    roomId: room,
    roomIdOrAlias: room,
    eventId: event,
    roomAlias: `#nowhere:${server.name}`,
    serverName: server.name,
    deviceId: person.deviceId,
    eventType: 'm.room.name',
    stateKey: '',
    receiptType: 'm.read',
    kind: 'override',
    ruleId: '.m.rule.master',
    keyName: 'displayname',
    version: '1',
    queryType: 'profile',
  };
  const path = operation.path.replaceAll(/\{([A-Za-z]+)\}/g, (_, name: string) =>
    encodeURIComponent(values[name] ?? 'x'),
  );
  return { path, person };
}

/** Anonymously if the scene has nobody in it. */
async function ask(
  probe: Probe,
  operation: Operation,
  method: string,
  { path, person }: Scene,
): Promise<Heard> {
  const body = method === 'GET' ? undefined : (BODIES[operation.id] ?? {});
  if (operation.api === 'server-server') {
    const unsigned = person === undefined || operation.auth === 'none';
    return probe.peer.asks(probe.server, method, `${path}${QUERY}`, body, { unsigned });
  }
  const token = operation.auth === 'none' ? undefined : person?.token;
  return clientRequest(probe, method, path, token, body);
}

/** Not through `lib/http.ts`: a wrong answer is a finding here, not an exception. */
async function clientRequest(
  { server }: Probe,
  method: string,
  path: string,
  token?: string,
  body?: object,
): Promise<Heard> {
  const response = await fetch(`${server.clientUrl}${path}${QUERY}`, {
    method,
    redirect: 'manual',
    signal: AbortSignal.timeout(30_000),
    headers: {
      ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
      ...(token === undefined ? {} : { Authorization: `Bearer ${token}` }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  const isJson = response.headers.get('content-type')?.startsWith('application/json');
  return { status: response.status, body: isJson ? JSON.parse(text) : undefined };
}
