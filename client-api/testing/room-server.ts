/**
 * The routes of rooms and of sync on a real listener, with a core of their own. People need no
 * accounts here: the access token is the user id (see token-is-user.ts).
 */
import { type Answer, serve, type TestServer } from '../../homeserver/http/testing/serve.ts';
import { History, noHistoryFiller } from '../../homeserver/rooms/history.ts';
import {
  createRoomServices,
  type RoomServices,
  type RoomServicesOptions,
} from '../../homeserver/rooms/room-services.ts';
import { createSync } from '../../homeserver/sync/create-sync.ts';
import { localUser, type TestCore, testCore } from '../../homeserver/testing/test-core.ts';
import type { EventId, RoomId, UserId } from '../../spec/identifiers.ts';
import { DEFAULT_ROOM_VERSION } from '../../spec/room-versions.ts';
import { roomRoutes } from '../rooms/routes.ts';
import { readingRoutes } from '../routes.ts';
import { tokenIsUser } from './token-is-user.ts';

export type Call = (path: string, body?: unknown) => Promise<Answer>;

/** Somebody who uses the API; paths begin after `/_matrix/client/v3`. */
export interface Person {
  readonly userId: UserId;
  readonly get: Call;
  readonly put: Call;
  readonly post: Call;
  readonly delete: Call;
  /** Makes a room and gives its id. */
  createRoom(body?: object): Promise<RoomId>;
  join(roomId: RoomId): Promise<void>;
  /** Sends a text message and gives its id. */
  say(roomId: RoomId, body: string): Promise<EventId>;
}

export interface RoomServer extends Pick<TestCore, 'core' | 'clock'> {
  readonly server: TestServer;
  readonly rooms: RoomServices;
  person(name: string): Person;
  /** An administrator of the server. */
  admin(name: string): Person;
  stop(): Promise<void>;
}

export const idsIn = (roomId: RoomId): string => encodeURIComponent(roomId);

export const roomServer = async (
  options: Partial<RoomServicesOptions> = {},
): Promise<RoomServer> => {
  const test = await testCore();
  const { core, clock } = test;
  const rooms = createRoomServices(core, {
    defaultRoomVersion: DEFAULT_ROOM_VERSION,
    ...options,
  });
  const history = new History({ ...core, db: core.database, filler: noHistoryFiller });
  const deps = { ...core, ...rooms, history, sync: createSync(core), auth: tokenIsUser };
  const server = await serve([...roomRoutes(deps), ...readingRoutes(deps as never)]);
  let transactions = 0;

  const person = (userId: UserId, token: string): Person => {
    const call =
      (method: string): Call =>
      (path, body) =>
        server.request(method, `/_matrix/client/v3${path}`, {
          token,
          ...(body !== undefined && { body }),
        });
    const [get, put, post, remove] = ['GET', 'PUT', 'POST', 'DELETE'].map(call) as [
      Call,
      Call,
      Call,
      Call,
    ];
    const succeeded = (answer: Answer): Answer['body'] => {
      if (answer.status !== 200) throw new Error(`${answer.status} ${answer.text}`);
      return answer.body;
    };
    return {
      userId,
      get,
      put,
      post,
      delete: remove,
      createRoom: async (body = { preset: 'public_chat' }) =>
        succeeded(await post('/createRoom', body)).room_id,
      join: async (roomId) => succeeded(await post(`/rooms/${idsIn(roomId)}/join`, {})),
      say: async (roomId, body) => {
        const path = `/rooms/${idsIn(roomId)}/send/m.room.message/txn${transactions++}`;
        return succeeded(await put(path, { msgtype: 'm.text', body })).event_id;
      },
    };
  };
  return {
    core,
    clock,
    server,
    rooms,
    person: (name) => person(localUser(name), localUser(name)),
    admin: (name) => person(localUser(name), `${localUser(name)} DEVICE admin`),
    stop: async () => {
      await server.stop();
      await test.close();
    },
  };
};
