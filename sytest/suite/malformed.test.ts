/**
 * Whatever a client sends, the answer is a Matrix error with the right status, and never a bug.
 * https://spec.matrix.org/v1.19/client-server-api/#standard-error-response
 */

import { call, refused, request } from '../lib/http.ts';
import { malformedRequests, pathOf } from '../lib/malformed.ts';
import { type Person, registers, segment } from '../lib/person.ts';
import { seededRandom } from '../lib/seeded-random.ts';
import { alpha, someone } from '../lib/world.ts';
import { loadOperations, type Operation } from '../sweep/operations.ts';

const SEED = Number(process.env['MALFORMED_SEED'] ?? 1);
const ALLOWED_STATUS = new Set([200, 302, 400, 401, 403, 404, 405, 409, 413, 414, 429, 431]);
const MAX_EVENT_BYTES = 65_536;
const SWEEP_TIMEOUT_MS = 180_000;

interface Heard {
  readonly status: number;
  readonly text: string;
}

/** Not through `lib/http.ts`: a wrong answer is collected here, and paths are sent unmended. */
const send = async (
  person: Person,
  method: string,
  path: string,
  body: string | Uint8Array | undefined,
): Promise<Heard> => {
  const response = await fetch(`${alpha.clientUrl}${path}`, {
    method,
    redirect: 'manual',
    signal: AbortSignal.timeout(20_000),
    headers: { Authorization: `Bearer ${person.token}`, 'Content-Type': 'application/json' },
    ...(body === undefined ? {} : { body }),
  });
  return { status: response.status, text: await response.text() };
};

const errcodeOf = ({ text }: Heard): unknown => {
  try {
    return (JSON.parse(text) as { errcode?: unknown }).errcode;
  } catch {
    return undefined;
  }
};

/** A person with a room, an event in it, and the values that lead to them. */
const newScene = async () => {
  const person = await someone('mallory');
  const room = await person.createsRoom({ preset: 'public_chat' });
  const event = await person.says(room, 'hello');
  const values = Object.fromEntries(
    Object.entries({
      userId: person.id,
      roomId: room,
      roomIdOrAlias: room,
      eventId: event,
      roomAlias: `#nowhere:${alpha.name}`,
      serverName: alpha.name,
      deviceId: person.deviceId,
      eventType: 'm.room.message',
      stateKey: '',
      receiptType: 'm.read',
      kind: 'override',
      scope: 'global',
      ruleId: '.m.rule.master',
      txnId: 'txn',
      keyName: 'displayname',
    }).map(([name, value]) => [name, segment(value)]),
  );
  return { person, values };
};

const problemOf = (heard: Heard): string | undefined => {
  const shown = `${heard.status} ${heard.text.slice(0, 150)}`;
  if (!ALLOWED_STATUS.has(heard.status)) return shown;
  if (heard.status >= 400 && typeof errcodeOf(heard) !== 'string') {
    // Interactive authentication answers 401 with the stages instead.
    return heard.status === 401 && heard.text.includes('"flows"') ? undefined : shown;
  }
  return undefined;
};

/** One for each method and path: some operations of the specification share both. */
const clientOperations = (): Iterable<Operation> => {
  const client = loadOperations().operations.filter(({ api }) => api === 'client-server');
  return new Map(client.map((each) => [`${each.method} ${each.path}`, each])).values();
};

const sweep = async (operation: Operation): Promise<string[]> => {
  let { person, values } = await newScene();
  const proper = await send(person, operation.method, pathOf(operation, values), undefined);
  if ([404, 405].includes(proper.status) && errcodeOf(proper) === 'M_UNRECOGNIZED') return [];
  const problems: string[] = [];
  for (const { what, path, body } of malformedRequests(operation, values, seededRandom(SEED))) {
    const heard = await send(person, operation.method, path, body);
    const problem = problemOf(heard);
    if (problem !== undefined) {
      problems.push(`${operation.method} ${operation.path} (${what}): ${problem}`);
    }
    // Some operations end the session; the rest of the sweep is somebody else's.
    if (errcodeOf(heard) === 'M_UNKNOWN_TOKEN') ({ person, values } = await newScene());
  }
  return problems;
};

describe('malformed requests', () => {
  it(
    'to every client operation get Matrix errors, and never a server error',
    async () => {
      const problems: string[] = [];
      for (const operation of clientOperations()) problems.push(...(await sweep(operation)));
      expect(problems).toEqual([]);
    },
    SWEEP_TIMEOUT_MS,
  );

  it('are told apart: not JSON, wrong JSON, too much of it', async () => {
    const alice = await someone('alice');
    const create = (rawBody: string) => alice.calls('POST', '/createRoom', { rawBody });
    await refused(create('{"name":'), 400, 'M_NOT_JSON');
    await refused(create('{"name":5}'), 400, 'M_BAD_JSON');
    await refused(create('[]'), 400, 'M_BAD_JSON');
    const large = JSON.stringify({ name: 'x'.repeat(2 ** 20) });
    await refused(create(large), 413, 'M_TOO_LARGE');
    // The connection and the server are none the worse for it.
    expect((await create('{}')).room_id).toMatch(/^!/);
  });

  it('to nowhere get 404, and with a wrong method 405', async () => {
    const unknown = ['/_matrix/client/v3/nothing', '/_matrix/client/v99/sync', '/_matrix', '/x/y'];
    for (const path of unknown) {
      await refused(call(alpha.clientUrl, 'GET', path), 404, 'M_UNRECOGNIZED');
    }
    for (const method of ['PUT', 'DELETE', 'PATCH']) {
      const answer = await request(alpha.clientUrl, method, '/_matrix/client/v3/createRoom');
      expect([answer.status, answer.body?.errcode]).toEqual([405, 'M_UNRECOGNIZED']);
      expect(answer.headers.get('allow')).toContain('POST');
    }
  });
});

describe('an event', () => {
  let alice: Person;
  let room: string;

  beforeAll(async () => {
    alice = await registers(alpha, `alice-${Date.now()}`);
    room = await alice.createsRoom();
  });

  const sends = (content: object, type = 'm.room.message') => alice.sends(room, type, content);

  it('has up to 65,536 bytes, and is refused beyond', async () => {
    // The event's other members take some hundreds of bytes.
    const fits = await sends({ body: 'x'.repeat(MAX_EVENT_BYTES - 2_000) });
    expect((await alice.event(room, fits)).content['body']).toHaveLength(MAX_EVENT_BYTES - 2_000);
    await refused(sends({ body: 'x'.repeat(MAX_EVENT_BYTES) }), 413, 'M_TOO_LARGE');
    // Bytes are counted, and not characters.
    await refused(sends({ body: 'é'.repeat(MAX_EVENT_BYTES / 2) }), 413, 'M_TOO_LARGE');
    const state = alice.sets(room, 'm.room.topic', { topic: 'x'.repeat(MAX_EVENT_BYTES) });
    await refused(state, 413, 'M_TOO_LARGE');
  });

  it('has a type and a state key of up to 255 bytes', async () => {
    await sends({}, 'x'.repeat(255));
    await refused(sends({}, 'x'.repeat(256)), 413, 'M_TOO_LARGE');
    await refused(sends({}, 'é'.repeat(128)), 413, 'M_TOO_LARGE');
    await alice.sets(room, 'org.example.state', {}, 'x'.repeat(255));
    await refused(alice.sets(room, 'org.example.state', {}, 'x'.repeat(256)), 413, 'M_TOO_LARGE');
  });

  it('holds no number that canonical JSON cannot', async () => {
    await refused(sends({ body: 1.5 }), 400, 'M_BAD_JSON');
    await refused(sends({ n: { deep: [2 ** 53] } }), 400, 'M_BAD_JSON');
    await sends({ n: 2 ** 53 - 1 });
  });

  it('leaves the room as it was when it is refused', async () => {
    const ids = async () => (await alice.history(room)).map(({ event_id }) => event_id);
    const before = await ids();
    await refused(sends({ body: 0.1 }), 400, 'M_BAD_JSON');
    const next = await alice.says(room, 'next');
    expect(await ids()).toEqual([...before, next]);
  });
});
