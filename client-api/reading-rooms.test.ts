/**
 * Every operation that reads rooms, against everyone who may not see all of one: what they may not
 * see is nowhere in any answer. An operation that is added to the API and not here fails.
 */
import { createDiscovery, type Discovery } from '../homeserver/discovery/create-discovery.ts';
import { serve, type TestServer } from '../homeserver/http/testing/serve.ts';
import { History, noHistoryFiller } from '../homeserver/rooms/history.ts';
import { createSync } from '../homeserver/sync/create-sync.ts';
import { localUser, type TestCore, testCore } from '../homeserver/testing/test-core.ts';
import { type TestRooms, testRooms } from '../homeserver/testing/test-rooms.ts';
import type { JsonObject } from '../spec/event.ts';
import type { EventId, RoomId, UserId } from '../spec/identifiers.ts';
import { discoveryRoutes } from './discovery/routes.ts';
import { pushRoutes } from './push/routes.ts';
import { roomRoutes } from './rooms/routes.ts';
import { clientApiRoutes, readingRoutes } from './routes.ts';
import { tokenIsUser as auth } from './testing/token-is-user.ts';

const alice = localUser('alice');
const helper = localUser('helper');

let test: TestCore;
let rooms: TestRooms;
let discovery: Discovery;
let server: TestServer;
let people = 0;

beforeAll(async () => {
  test = await testCore();
  const { core } = test;
  rooms = testRooms(core);
  const history = new History({ ...core, db: core.database, filler: noHistoryFiller });
  discovery = createDiscovery(core, history, rooms.restrictedJoins);
  const deps = { ...core, ...rooms, ...discovery, history, sync: createSync(core), auth };
  server = await serve([
    ...roomRoutes(deps),
    ...readingRoutes(deps as never),
    ...discoveryRoutes(deps),
    ...pushRoutes(deps),
  ]);
});
afterAll(async () => {
  await server.stop();
  await discovery.close();
  await test.close();
});

interface Scene {
  readonly roomId: RoomId;
  readonly person: UserId;
  /** Sent before the person had anything to do with the room. */
  readonly since: string;
  /** Events that the person may not see, and one that others relate to. */
  readonly events: EventId[];
}

type Ask = (path: string, body?: object) => Promise<void>;
type Operation = (ask: Ask, scene: Scene) => Promise<void>;

const v3 = '/_matrix/client/v3';
const v1 = '/_matrix/client/v1';
const lazy = encodeURIComponent(
  JSON.stringify({ room: { include_leave: true, state: { lazy_load_members: true } } }),
);
const leave = encodeURIComponent(JSON.stringify({ room: { include_leave: true } }));

const ofEvents =
  (path: (roomId: RoomId, eventId: EventId) => string): Operation =>
  async (ask, { roomId, events }) => {
    for (const eventId of events) await ask(path(roomId, eventId));
  };
const ofRoom =
  (path: string): Operation =>
  (ask, { roomId }) =>
    ask(`${v3}/rooms/${roomId}/${path}`);

const operations: Record<string, Operation> = {
  sync: async (ask, { since }) => {
    for (const from of ['', `&since=${since}`]) {
      for (const how of ['', '&full_state=true', '&use_state_after=true']) {
        for (const filter of [lazy, leave]) await ask(`${v3}/sync?filter=${filter}${from}${how}`);
      }
    }
  },
  getRoomEvents: async (ask, { roomId, since }) => {
    const members = encodeURIComponent(JSON.stringify({ lazy_load_members: true }));
    for (const dir of ['b', 'f', `f&from=${since}`]) {
      await ask(`${v3}/rooms/${roomId}/messages?limit=100&dir=${dir}`);
      await ask(`${v3}/rooms/${roomId}/messages?limit=100&dir=${dir}&filter=${members}`);
    }
  },
  getOneRoomEvent: ofEvents((roomId, eventId) => `${v3}/rooms/${roomId}/event/${eventId}`),
  getEventContext: ofEvents((roomId, id) => `${v3}/rooms/${roomId}/context/${id}?limit=100`),
  getRoomState: ofRoom('state'),
  getRoomStateWithKey: async (ask, { roomId }) => {
    for (const type of ['m.room.name', 'm.room.topic', 'test.secret', `m.room.member/${alice}`]) {
      await ask(`${v3}/rooms/${roomId}/state/${type}`);
      await ask(`${v3}/rooms/${roomId}/state/${type}?format=event`);
    }
  },
  getMembersByRoom: async (ask, { roomId, since, events }) => {
    for (const at of ['', `?at=${since}`]) await ask(`${v3}/rooms/${roomId}/members${at}`);
    for (const eventId of events) {
      const stored = await test.core.events.byId(eventId);
      await ask(`${v3}/rooms/${roomId}/members?at=t1_${stored?.streamPos}_0`);
    }
  },
  getJoinedMembersByRoom: ofRoom('joined_members'),
  getLocalAliases: ofRoom('aliases'),
  getRelatingEvents: ofEvents((roomId, id) => `${v1}/rooms/${roomId}/relations/${id}?recurse=true`),
  getRelatingEventsWithRelType: ofEvents(
    (roomId, id) => `${v1}/rooms/${roomId}/relations/${id}/m.thread`,
  ),
  getRelatingEventsWithRelTypeAndEventType: ofEvents(
    (roomId, id) => `${v1}/rooms/${roomId}/relations/${id}/m.replace/m.room.message`,
  ),
  getThreadRoots: async (ask, { roomId }) => {
    for (const include of ['all', 'participated']) {
      await ask(`${v1}/rooms/${roomId}/threads?include=${include}`);
    }
  },
  getEventByTimestamp: async (ask, { roomId }) => {
    for (const dir of ['f&ts=0', `b&ts=${test.clock.nowMs() + 1}`]) {
      await ask(`${v1}/rooms/${roomId}/timestamp_to_event?dir=${dir}`);
    }
  },
  getSpaceHierarchy: (ask, { roomId }) => ask(`${v1}/rooms/${roomId}/hierarchy`),
  getRoomSummary: (ask, { roomId }) => ask(`${v1}/room_summary/${roomId}`),
  getNotifications: (ask) => ask(`${v3}/notifications?limit=100`),
  search: async (ask) => {
    const more = {
      event_context: { include_profile: true, before_limit: 20, after_limit: 20 },
      include_state: true,
      groupings: { group_by: [{ key: 'room_id' }, { key: 'sender' }] },
    };
    await ask(`${v3}/search`, {
      search_categories: { room_events: { search_term: 'common', ...more } },
    });
  },
  getRoomVisibilityOnDirectory: (ask, { roomId }) => ask(`${v3}/directory/list/room/${roomId}`),
  getPublicRooms: (ask) => ask(`${v3}/publicRooms`),
  queryPublicRooms: (ask) => ask(`${v3}/publicRooms`, {}),
  getJoinedRooms: (ask) => ask(`${v3}/joined_rooms`),
  searchUserDirectory: (ask) => ask(`${v3}/user_directory/search`, { search_term: 'alice' }),
};

/** Name a room and give nothing of it: what people keep about it for themselves. */
const ownThings = new Set([
  'getRoomTags',
  'getAccountDataPerRoom',
  'getMutualRooms',
  'getRoomKeysByRoomId',
  'getRoomKeyBySessionId',
]);

const readers = clientApiRoutes({
  auth,
  accounts: { uia: {}, policy: {} },
  encryption: {},
  wellKnown: {},
} as never).filter(
  ({ method, paths, operationId }) =>
    !ownThings.has(operationId) &&
    ((method === 'GET' && paths.some((path) => path.includes('{roomId'))) ||
      ['sync', 'search', 'getNotifications'].includes(operationId)),
);

it('asks every operation that reads a room', () => {
  const missing = readers.filter(({ operationId }) => operations[operationId] === undefined);
  expect(missing.map(({ operationId }) => operationId)).toEqual([]);
  expect(readers.length).toBeGreaterThan(15);
});

const send = (roomId: RoomId, sender: UserId, type: string, content: JsonObject, more = {}) => {
  test.clock.advance(1000);
  return test.core.localEvents.send(roomId, { type, sender, content, ...more });
};
const text = (body: string) => ({ msgtype: 'm.text', body });
const relating = (relType: string, parent: EventId, body: string): JsonObject => ({
  ...text(body),
  'm.new_content': text(body),
  'm.relates_to': { rel_type: relType, event_id: parent },
});

/** Puts the secret into everything that hangs on something or is replaced by something, and covers it. */
const plant = async (roomId: RoomId, secret: string, seen: readonly EventId[]) => {
  const state = (type: string, content: JsonObject, stateKey = '') =>
    send(roomId, alice, type, content, { stateKey });
  const member = (content: JsonObject) =>
    send(roomId, helper, 'm.room.member', content, { stateKey: helper });
  const hidden = [await send(roomId, alice, 'm.room.message', text(`common ${secret}`))];
  for (const parent of seen) {
    for (const relType of ['m.replace', 'm.thread', 'm.reference']) {
      const content = relating(relType, parent, `common ${secret}`);
      hidden.push(await send(roomId, alice, 'm.room.message', content));
    }
  }
  for (const value of [secret, 'covered']) {
    hidden.push(await state('m.room.name', { name: `common ${value}` }));
    hidden.push(await state('m.room.topic', { topic: `common ${value}` }));
    hidden.push(await state('test.secret', { value }));
    hidden.push(await member({ membership: 'join', displayname: value }));
  }
  return hidden;
};

/** Redacts with a secret reason what the person has seen. */
const redactSeen = (roomId: RoomId, secret: string, seen: EventId) =>
  send(roomId, alice, 'm.room.redaction', { reason: secret }, { redacts: seen });

type Act = (scene: {
  readonly roomId: RoomId;
  readonly person: UserId;
  /** What is sent now, the person may not see. */
  readonly hide: () => Promise<void>;
  /** What is sent now, they may. */
  readonly show: () => Promise<void>;
}) => Promise<void>;

const member =
  (membership: string, byAlice = false) =>
  async (roomId: RoomId, person: UserId) => {
    const sender = byAlice ? alice : person;
    await send(roomId, sender, 'm.room.member', { membership }, { stateKey: person });
  };
const [join, quit, knock] = [member('join'), member('leave'), member('knock')];
const [invite, kick, ban] = [member('invite', true), member('leave', true), member('ban', true)];

const whileThere =
  (end: (roomId: RoomId, person: UserId) => Promise<void>): Act =>
  async ({ roomId, person, hide, show }) => {
    await hide();
    await invite(roomId, person);
    await join(roomId, person);
    await show();
    await end(roomId, person);
    await hide();
  };
const passing =
  (...acts: ((roomId: RoomId, person: UserId) => Promise<void>)[]): Act =>
  async ({ roomId, person, hide }) => {
    for (const act of acts) {
      await hide();
      await act(roomId, person);
    }
    await hide();
  };
const inTurn =
  (...acts: Act[]): Act =>
  async (scene) => {
    for (const act of acts) await act(scene);
  };

const outsiders: Record<string, Act> = {
  'was never in it': passing(),
  'knocked and took it back': passing(knock, quit),
  'knocked and was refused': passing(knock, kick),
  'knocks still': passing(knock),
  'is invited': passing(invite),
  'was invited and declined': passing(invite, quit),
  'was banned without joining': passing(ban),
  left: whileThere(quit),
  'was banned after joining': whileThere(ban),
  'left and was banned later': inTurn(whileThere(quit), passing(ban)),
  'left and knocked again': inTurn(whileThere(quit), passing(knock)),
  'left, knocked and took it back': inTurn(whileThere(quit), passing(knock, quit)),
  'left and is invited again': inTurn(whileThere(quit), passing(invite)),
  'left and came back': inTurn(whileThere(quit), async ({ roomId, person, show }) => {
    await invite(roomId, person);
    await join(roomId, person);
    await show();
  }),
  'left, came back and left': inTurn(whileThere(quit), whileThere(kick)),
};

describe.each(Object.entries(outsiders))('somebody who %s', (_, act) => {
  let scene: Scene;
  let secret: string;
  beforeAll(async () => {
    people += 1;
    const person = localUser(`person${people}`);
    secret = `secret${people}x`;
    const roomId = await rooms.roomCreator.create(alice, {
      version: '11',
      initialState: [
        {
          type: 'm.room.history_visibility',
          stateKey: '',
          content: { history_visibility: 'joined' },
        },
        { type: 'm.room.join_rules', stateKey: '', content: { join_rule: 'knock' } },
      ],
    });
    await invite(roomId, helper);
    await send(roomId, helper, 'm.room.member', { membership: 'join' }, { stateKey: helper });
    const answer = await server.request('GET', `${v3}/sync`, { token: person });
    const events: EventId[] = [];
    const seen: EventId[] = [];
    await act({
      roomId,
      person,
      hide: async () => {
        events.push(...(await plant(roomId, secret, seen.slice(-2))));
        const redacted = seen.at(-1);
        if (redacted !== undefined) events.push(await redactSeen(roomId, secret, redacted));
      },
      show: async () => {
        for (const body of ['common one', 'common two', 'common three']) {
          seen.push(await send(roomId, alice, 'm.room.message', text(body)));
        }
      },
    });
    scene = { roomId, person, since: answer.body.next_batch, events: [...events, ...seen] };
  });

  it.each(Object.entries(operations))('is told nothing of it by %s', async (_name, operation) => {
    const ask: Ask = async (path, body) => {
      const method = body === undefined ? 'GET' : 'POST';
      const answer = await server.request(method, path, {
        token: scene.person,
        ...(body !== undefined && { body }),
      });
      expect({ path, status: answer.status < 500 }).toEqual({ path, status: true });
      expect({ path, told: answer.text.includes(secret) && answer.text }).toEqual({
        path,
        told: false,
      });
    };
    await operation(ask, scene);
  });

  it('learns of no word by searching for it', async () => {
    const body = { search_categories: { room_events: { search_term: secret } } };
    const answer = await server.request('POST', `${v3}/search`, { token: scene.person, body });
    const { count, results, next_batch: next } = answer.body.search_categories.room_events;
    expect({ count, results, next }).toEqual({ count: 0, results: [], next: undefined });
  });
});
