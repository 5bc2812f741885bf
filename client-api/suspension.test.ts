/**
 * What a suspended person may still do: every operation that changes something, in one table.
 * https://spec.matrix.org/v1.19/client-server-api/#account-suspension
 */
import { serve, type TestServer } from '../homeserver/http/testing/serve.ts';
import type { UserId } from '../spec/identifiers.ts';
import { clientAuth } from './auth.ts';
import { clientApiRoutes } from './routes.ts';
import { type AccountServer, accountServer, type Person } from './testing/account-server.ts';
import { idsIn, type RoomServer, roomServer } from './testing/room-server.ts';

/** What is sent decides, in the core; below, in a room. */
const decidedByContent = ['redactEvent', 'sendMessage', 'setRoomStateWithKey'];

describe('a suspended person', () => {
  let accounts: AccountServer;
  let server: TestServer;
  let alice: Person;

  beforeAll(async () => {
    accounts = await accountServer();
    alice = await accounts.person('alice');
    await accounts.accounts.changes.setFlags(alice.userId as UserId, { suspended: true });
  });
  afterAll(async () => {
    await server.stop();
    await accounts.stop();
  });

  it('may do this, and that not', async () => {
    // Nothing stands behind the routes: whoever gets past authentication gets an error of another kind.
    const routes = clientApiRoutes({
      auth: clientAuth(accounts.accounts),
      encryption: {},
      wellKnown: {},
    } as never);
    server = await serve(routes);
    const table: Record<string, string[]> = { refused: [], allowed: [] };
    for (const { operationId, method, paths, authName } of routes) {
      if (method === 'GET' || authName === undefined) continue;
      if (decidedByContent.includes(operationId)) continue;
      const path = (paths[0] as string)
        .replace('{userId}', alice.userId)
        .replace(/\{roomId.*?\}/, '!room:parley.test')
        .replace('{roomAlias}', encodeURIComponent('#room:parley.test'))
        .replace('{eventId}', '$event')
        .replace('{receiptType}', 'm.read')
        .replace(/\{.*?\}/g, 'some');
      const { status, body } = await server.request(method, path, {
        token: alice.token,
        body: method === 'DELETE' ? undefined : {},
      });
      const isRefused = body.errcode === 'M_USER_SUSPENDED';
      if (isRefused) expect(status).toBe(403);
      table[isRefused ? 'refused' : 'allowed']?.push(operationId);
    }
    for (const operations of Object.values(table)) operations.sort();
    expect(table).toMatchInlineSnapshot(`
{
  "allowed": [
    "add3PID",
    "bind3PID",
    "changePassword",
    "claimKeys",
    "deactivateAccount",
    "defineFilter",
    "deleteDevice",
    "deleteDevices",
    "deletePushRule",
    "deleteRoomKeyBySessionId",
    "deleteRoomKeys",
    "deleteRoomKeysByRoomId",
    "deleteRoomKeysVersion",
    "deleteRoomTag",
    "forgetRoom",
    "generateLoginToken",
    "leaveRoom",
    "logout",
    "logout_all",
    "postReceipt",
    "postRoomKeysVersion",
    "putRoomKeyBySessionId",
    "putRoomKeys",
    "putRoomKeysByRoomId",
    "putRoomKeysVersion",
    "queryKeys",
    "queryPublicRooms",
    "reportEvent",
    "reportRoom",
    "reportUser",
    "requestOpenIdToken",
    "search",
    "searchUserDirectory",
    "sendToDevice",
    "setAccountData",
    "setAccountDataPerRoom",
    "setPushRule",
    "setPushRuleActions",
    "setPushRuleEnabled",
    "setReadMarker",
    "setRoomTag",
    "updateDevice",
    "uploadCrossSigningKeys",
    "uploadCrossSigningSignatures",
    "uploadKeys",
  ],
  "refused": [
    "ban",
    "createRoom",
    "delete3pidFromAccount",
    "deleteProfileField",
    "deleteRoomAlias",
    "inviteUser",
    "joinRoom",
    "joinRoomById",
    "kick",
    "knockRoom",
    "setAdminLockUser",
    "setAdminSuspendUser",
    "setPresence",
    "setProfileField",
    "setRoomAlias",
    "setRoomVisibilityOnDirectory",
    "setTyping",
    "unban",
    "unbind3pidFromAccount",
    "upgradeRoom",
  ],
}
`);
  });
});

describe('in a room', () => {
  let running: RoomServer;
  beforeAll(async () => {
    running = await roomServer();
  });
  afterAll(() => running.stop());

  it('they may redact what they sent and leave, and send nothing else', async () => {
    const [alice, bob] = [running.person('alice'), running.person('bob')];
    const roomId = await alice.createRoom();
    await bob.join(roomId);
    const [hers, his] = [await alice.say(roomId, 'mine'), await bob.say(roomId, 'his')];
    let transactions = 0;
    const put = (path: string, body: object) =>
      running.server.request('PUT', `/_matrix/client/v3/rooms/${idsIn(roomId)}${path}`, {
        token: `${alice.userId} DEVICE suspended`,
        body,
      });
    const txn = () => `suspended${transactions++}`;
    const member = (userId: UserId) => `/state/m.room.member/${userId}`;
    const refused = { status: 403, body: { errcode: 'M_USER_SUSPENDED' } };
    for (const [path, body] of [
      [`/send/m.room.message/${txn()}`, { body: 'hello' }],
      [`/send/m.room.redaction/${txn()}`, { redacts: his }],
      [`/redact/${his}/${txn()}`, {}],
      // Whose it is cannot be told.
      [`/redact/$${'a'.repeat(43)}/${txn()}`, {}],
      ['/state/m.room.topic', { topic: 'news' }],
      [member(alice.userId), { membership: 'join', displayname: 'New' }],
      [member(alice.userId), { membership: 'knock' }],
      [member(bob.userId), { membership: 'leave' }],
      [member('@carol:here.test' as UserId), { membership: 'invite' }],
    ] as const) {
      expect({ path, ...(await put(path, body)) }).toMatchObject({ path, ...refused });
    }
    const later = await alice.say(roomId, 'mine as well');
    expect((await put(`/redact/${hers}/${txn()}`, {})).status).toBe(200);
    expect((await put(`/send/m.room.redaction/${txn()}`, { redacts: later })).status).toBe(200);
    expect((await put(member(alice.userId), { membership: 'leave' })).status).toBe(200);
    expect(
      (await bob.get(`/rooms/${idsIn(roomId)}/joined_members`)).body.joined,
    ).not.toHaveProperty(alice.userId);
  });
});
