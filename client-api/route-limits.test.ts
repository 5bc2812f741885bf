/** Which allowance each operation of this API uses: one table, so that a change is seen. */
import { rateLimitNames } from '../homeserver/http/rate-limit-names.ts';
import { clientApiRoutes } from './routes.ts';
import { tokenIsUser } from './testing/token-is-user.ts';

const routes = clientApiRoutes({ auth: tokenIsUser, encryption: {}, wellKnown: {} } as never);

/** By allowance: `name` of a person, `name (address)` of an address. */
const operationsByLimit = (): Record<string, string[]> => {
  const table: Record<string, string[]> = {};
  for (const { operationId, rateLimit } of routes) {
    const key =
      'exempt' in rateLimit
        ? 'exempt'
        : `${rateLimit.name}${rateLimit.scope === 'ip' ? ' (address)' : ''}`;
    table[key] = [...(table[key] ?? []), operationId].sort();
  }
  return table;
};

it('is declared for every operation', () => {
  expect(operationsByLimit()).toMatchInlineSnapshot(`
{
  "create_room": [
    "createRoom",
    "upgradeRoom",
  ],
  "general": [
    "add3PID",
    "ban",
    "bind3PID",
    "defineFilter",
    "delete3pidFromAccount",
    "deletePushRule",
    "deleteRoomAlias",
    "deleteRoomTag",
    "getPublicRooms",
    "getRoomIdByAlias",
    "getRoomSummary",
    "getTurnServer",
    "kick",
    "logout",
    "logout_all",
    "queryPublicRooms",
    "reportEvent",
    "reportRoom",
    "reportUser",
    "requestOpenIdToken",
    "setAccountData",
    "setAccountDataPerRoom",
    "setAdminLockUser",
    "setAdminSuspendUser",
    "setPresence",
    "setPushRule",
    "setPushRuleActions",
    "setPushRuleEnabled",
    "setRoomAlias",
    "setRoomTag",
    "setRoomVisibilityOnDirectory",
    "unban",
    "unbind3pidFromAccount",
    "updateDevice",
  ],
  "general (address)": [
    "getLoginFlows",
    "getRoomVisibilityOnDirectory",
    "getVersions",
    "getWellknown",
    "getWellknownSupport",
    "login",
    "refresh",
  ],
  "history": [
    "getEventByTimestamp",
    "getEventContext",
    "getNotifications",
    "getOneRoomEvent",
    "getRelatingEvents",
    "getRelatingEventsWithRelType",
    "getRelatingEventsWithRelTypeAndEventType",
    "getRoomEvents",
    "getSpaceHierarchy",
    "getThreadRoots",
  ],
  "invite": [
    "inviteUser",
  ],
  "join": [
    "forgetRoom",
    "joinRoom",
    "joinRoomById",
    "knockRoom",
    "leaveRoom",
  ],
  "key_backup": [
    "deleteRoomKeyBySessionId",
    "deleteRoomKeys",
    "deleteRoomKeysByRoomId",
    "deleteRoomKeysVersion",
    "getRoomKeyBySessionId",
    "getRoomKeys",
    "getRoomKeysByRoomId",
    "getRoomKeysVersion",
    "getRoomKeysVersionCurrent",
    "postRoomKeysVersion",
    "putRoomKeyBySessionId",
    "putRoomKeys",
    "putRoomKeysByRoomId",
    "putRoomKeysVersion",
  ],
  "keys": [
    "claimKeys",
    "getKeysChanges",
    "queryKeys",
    "uploadCrossSigningSignatures",
    "uploadKeys",
  ],
  "profile": [
    "deleteProfileField",
    "setProfileField",
  ],
  "read": [
    "getAccount3PIDs",
    "getAccountData",
    "getAccountDataPerRoom",
    "getAdminLockUser",
    "getAdminSuspendUser",
    "getCapabilities",
    "getDevice",
    "getDevices",
    "getFilter",
    "getJoinedMembersByRoom",
    "getJoinedRooms",
    "getLocalAliases",
    "getMembersByRoom",
    "getPresence",
    "getProfileField",
    "getProtocolMetadata",
    "getProtocols",
    "getPushRule",
    "getPushRuleActions",
    "getPushRules",
    "getPushRulesGlobal",
    "getPushRulesOfKind",
    "getRoomState",
    "getRoomStateWithKey",
    "getRoomTags",
    "getTokenOwner",
    "getUserProfile",
    "getWhoIs",
    "isPushRuleEnabled",
    "queryLocationByAlias",
    "queryLocationByProtocol",
    "queryUserByID",
    "queryUserByProtocol",
  ],
  "reauthenticate": [
    "changePassword",
    "deactivateAccount",
    "deleteDevice",
    "deleteDevices",
    "generateLoginToken",
    "uploadCrossSigningKeys",
  ],
  "receipt": [
    "postReceipt",
    "setReadMarker",
  ],
  "redact": [
    "redactEvent",
  ],
  "register (address)": [
    "register",
  ],
  "search": [
    "getMutualRooms",
    "search",
    "searchUserDirectory",
  ],
  "send": [
    "sendMessage",
    "setRoomStateWithKey",
  ],
  "sync": [
    "getEvents",
    "sync",
  ],
  "to_device": [
    "sendToDevice",
  ],
  "token_check (address)": [
    "checkUsernameAvailability",
    "getRegisterNonce",
    "registerWithSharedSecret",
    "registrationTokenValidity",
    "requestTokenTo3PIDEmail",
    "requestTokenTo3PIDMSISDN",
  ],
  "typing": [
    "setTyping",
  ],
}
`);
});

it('has no name that nothing uses', () => {
  const taken = new Set(
    routes.flatMap(({ rateLimit }) => ('exempt' in rateLimit ? [] : [rateLimit.name])),
  );
  // Taken by the server for each request, by the check of passwords, by claims, and by the other API.
  const elsewhere = [
    'ip',
    'login',
    'login_address',
    'login_account',
    'claimed_keys',
    'claimed_keys_by_server',
    'federation',
  ] as const;
  expect([...taken, ...elsewhere].sort()).toEqual([...rateLimitNames].sort());
});

it('checks whose path it is wherever a path begins with a user', () => {
  const own = routes.filter(({ paths }) => paths.some((path) => path.includes('/user/{userId}/')));
  expect(own.length).toBeGreaterThan(8);
  expect(own.filter(({ authorizes }) => !authorizes)).toEqual([]);
});
