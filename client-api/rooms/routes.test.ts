import { parameterNames } from '../../homeserver/http/routing-tree.ts';
import { type RoomServer, roomServer } from '../testing/room-server.ts';
import { tokenIsUser } from '../testing/token-is-user.ts';
import { roomRoutes } from './routes.ts';

let test: RoomServer;
beforeAll(async () => {
  test = await roomServer();
});
afterAll(() => test.stop());

const examples: Record<string, string> = {
  roomId: '!room:here.test',
  userId: '@user:here.test',
  eventId: '$event:here.test',
  roomAlias: '#alias:here.test',
  roomIdOrAlias: '#alias:here.test',
  receiptType: 'm.read',
};

const routes = roomRoutes({ auth: tokenIsUser } as never).flatMap((route) =>
  route.paths.map((path) => ({ ...route, path })),
);

it.each(routes.filter(({ authName }) => authName !== undefined))(
  '$method $path asks for a token',
  async ({ method, path }) => {
    const filled = parameterNames(path).reduce(
      (text, name) => text.replace(`{${name}}`, encodeURIComponent(examples[name] ?? 'x')),
      path,
    );
    const body = method === 'GET' || method === 'DELETE' ? {} : { body: {} };
    expect(await test.server.request(method, filled, body)).toMatchObject({
      status: 401,
      body: { errcode: 'M_MISSING_TOKEN' },
    });
  },
);

it('asks for none where the specification does not', () => {
  const open = routes.filter(({ authName }) => authName === undefined);
  expect(new Set(open.map(({ operationId }) => operationId))).toEqual(
    new Set(['getRoomIdByAlias', 'getRoomVisibilityOnDirectory', 'getPublicRooms']),
  );
});
