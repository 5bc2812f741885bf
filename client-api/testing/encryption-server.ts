/** The routes of encryption, rooms, sync and accounts on a real listener, and people with devices. */
import { createAccounts } from '../../homeserver/accounts/accounts.ts';
import type { CoreOptions } from '../../homeserver/core.ts';
import { type Answer, serve, type TestServer } from '../../homeserver/http/testing/serve.ts';
import { silentLogger } from '../../homeserver/ops/logger.ts';
import { History, noHistoryFiller } from '../../homeserver/rooms/history.ts';
import { createRoomServices } from '../../homeserver/rooms/room-services.ts';
import { createSync } from '../../homeserver/sync/create-sync.ts';
import { seededRandom } from '../../homeserver/testing/seeded-random.ts';
import { type TestCore, testCore, testServerName } from '../../homeserver/testing/test-core.ts';
import type { DeviceId, RoomId, UserId } from '../../spec/identifiers.ts';
import { DEFAULT_ROOM_VERSION } from '../../spec/room-versions.ts';
import { clientAuth } from '../auth.ts';
import { encryptionRoutes } from '../encryption/routes.ts';
import { roomRoutes } from '../rooms/routes.ts';
import { accountRoutes, readingRoutes } from '../routes.ts';

/** Somebody on one device. Paths begin after `/_matrix/client/v3`. */
export interface DeviceUser {
  readonly userId: UserId;
  readonly deviceId: DeviceId;
  readonly password: string;
  readonly token: string;
  call(method: string, path: string, body?: unknown): Promise<Answer>;
  /** The answer's body; throws unless the status is 200. */
  ok(method: string, path: string, body?: unknown): Promise<Answer['body']>;
  sync(since?: string, timeoutMs?: number): Promise<Answer['body']>;
  /** The same person on another device. */
  anotherDevice(): Promise<DeviceUser>;
}

export interface EncryptionServer {
  readonly server: TestServer;
  readonly test: TestCore;
  /** A new person; their name is made unique. */
  person(name: string): Promise<DeviceUser>;
  /** A public room with these people in it. */
  room(creator: DeviceUser, ...others: readonly DeviceUser[]): Promise<RoomId>;
  stop(): Promise<void>;
}

/** `rateLimits` are those of the core: no limits on routes. */
export const encryptionServer = async (
  overrides: Pick<CoreOptions, 'rateLimits'> = {},
): Promise<EncryptionServer> => {
  const test = await testCore(overrides);
  const { core, clock } = test;
  const rooms = createRoomServices(core, { defaultRoomVersion: DEFAULT_ROOM_VERSION });
  const accounts = createAccounts({
    database: core.database,
    clock,
    random: seededRandom('accounts'),
    logger: silentLogger,
    serverName: testServerName,
    registration: {
      enabled: true,
      requireToken: false,
      allowGuests: false,
      sharedSecret: undefined,
    },
    passwords: { minLength: 8, hashMemoryKib: 64, hashPasses: 1 },
    deviceListeners: [core.encryption.deviceListener],
  });
  const history = new History({ ...core, db: core.database, filler: noHistoryFiller });
  const deps = {
    ...core,
    ...rooms,
    accounts,
    history,
    auth: clientAuth(accounts),
    sync: createSync(core),
    wellKnown: { clientBaseUrl: undefined, support: undefined, clientExtra: {} },
    defaultRoomVersion: DEFAULT_ROOM_VERSION,
  };
  const server = await serve([
    ...accountRoutes(deps),
    ...roomRoutes(deps),
    ...readingRoutes(deps),
    ...encryptionRoutes(deps),
  ]);
  const v3 = '/_matrix/client/v3';
  let people = 0;

  const device = (body: Answer['body'], password: string): DeviceUser => {
    const token = body.access_token as string;
    const call: DeviceUser['call'] = (method, path, content) =>
      server.request(method, `${v3}${path}`, {
        token,
        ...(content !== undefined && { body: content }),
      });
    const ok: DeviceUser['ok'] = async (method, path, content) => {
      const answer = await call(method, path, content);
      if (answer.status !== 200) throw new Error(`${answer.status} ${answer.text}`);
      return answer.body;
    };
    return {
      userId: body.user_id,
      deviceId: body.device_id,
      password,
      token,
      call,
      ok,
      sync: (since, timeoutMs = 0) =>
        ok(
          'GET',
          `/sync?set_presence=offline&timeout=${timeoutMs}${since === undefined ? '' : `&since=${since}`}`,
        ),
      anotherDevice: async () => {
        const answer = await server.request('POST', `${v3}/login`, {
          body: {
            type: 'm.login.password',
            identifier: { type: 'm.id.user', user: body.user_id },
            password,
          },
        });
        await core.encryption.deviceLists.idle();
        return device(answer.body, password);
      },
    };
  };

  return {
    server,
    test,
    person: async (name) => {
      const username = `${name}${people++}`;
      const password = `${username}-password`;
      const { body } = await server.request('POST', `${v3}/register`, {
        body: { username, password, auth: { type: 'm.login.dummy' } },
      });
      await core.encryption.deviceLists.idle();
      return device(body, password);
    },
    room: async (creator, ...others) => {
      const { room_id: roomId } = (await creator.ok('POST', '/createRoom', {
        preset: 'public_chat',
      })) as { room_id: RoomId };
      for (const other of others) {
        await other.ok('POST', `/rooms/${encodeURIComponent(roomId)}/join`, {});
      }
      return roomId;
    },
    stop: async () => {
      await server.stop();
      await accounts.stop();
      await test.close();
    },
  };
};
