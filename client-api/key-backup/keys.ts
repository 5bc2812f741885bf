/**
 * The keys in a backup: all of them, those of a room, or one; each can be stored, read and deleted.
 * https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3room_keyskeys and the operations
 * behind it
 */
import { Readable } from 'node:stream';
import { type Static, type TSchema, Type } from 'typebox';
import type { BackupKeyRow, BackupScope } from '../../homeserver/encryption/key-backups.ts';
import { perUser } from '../../homeserver/http/rate-limits.ts';
import { rawReply } from '../../homeserver/http/reply.ts';
import { type Route, route } from '../../homeserver/http/route.ts';
import { matrixError } from '../../spec/errors.ts';
import type { JsonValue } from '../../spec/event.ts';
import type { ClientApiDeps } from '../deps.ts';
import { clientPaths } from '../paths.ts';

/** Opaque here: a backup keeps what its client calls a room or a session. */
const isName = (text: string): boolean =>
  text !== '' && text.length <= 255 && !text.includes('\u0000');
const Name = Type.String({ minLength: 1, maxLength: 255, pattern: '^[^\\u0000]*$' });

const VersionQuery = Type.Object({ version: Type.String() });
/** The path of each operation has what it needs of these. */
const ScopeParams = Type.Object({
  roomId: Type.Optional(Name),
  sessionId: Type.Optional(Name),
});
const BackupState = Type.Object({ count: Type.Integer(), etag: Type.String() });

const index = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });
const KeyData = Type.Object({
  first_message_index: index,
  forwarded_count: index,
  is_verified: Type.Boolean(),
  session_data: Type.Unsafe<JsonValue>(Type.Unknown()),
});
type KeyData = Static<typeof KeyData>;
const RoomKeys = Type.Object({ sessions: Type.Record(Type.String(), KeyData) });
const AllKeys = Type.Object({ rooms: Type.Record(Type.String(), RoomKeys) });

/** @throws MatrixError M_INVALID_PARAM */
const rowOf = (roomId: string, sessionId: string, key: KeyData): BackupKeyRow => {
  if (!isName(roomId) || !isName(sessionId)) {
    throw matrixError('M_INVALID_PARAM', 'Keys are given by room id, then by session id');
  }
  return {
    roomId,
    sessionId,
    firstMessageIndex: key.first_message_index,
    forwardedCount: key.forwarded_count,
    isVerified: key.is_verified,
    sessionData: JSON.stringify(key.session_data),
  };
};

const rowsOfRoom = (roomId: string, { sessions }: Static<typeof RoomKeys>): BackupKeyRow[] =>
  Object.entries(sessions).map(([sessionId, key]) => rowOf(roomId, sessionId, key));

type Pages = AsyncIterable<readonly BackupKeyRow[]>;

const keyJson = (row: BackupKeyRow): string =>
  `{"first_message_index":${row.firstMessageIndex},"forwarded_count":${row.forwardedCount},` +
  `"is_verified":${row.isVerified},"session_data":${row.sessionData}}`;

async function* keyOfSession(pages: Pages): AsyncGenerator<string> {
  for await (const [row] of pages) {
    if (row !== undefined) yield keyJson(row);
  }
}

async function* keysOfRoom(pages: Pages): AsyncGenerator<string> {
  let before = '{"sessions":{';
  for await (const page of pages) {
    let text = '';
    for (const row of page) {
      text += `${before}${JSON.stringify(row.sessionId)}:${keyJson(row)}`;
      before = ',';
    }
    yield text;
  }
  yield before === ',' ? '}}' : '{"sessions":{}}';
}

/** Rows come by room, so that a room is begun and ended once. */
async function* keysOfAllRooms(pages: Pages): AsyncGenerator<string> {
  let room: string | undefined;
  for await (const page of pages) {
    let text = '';
    for (const { roomId, ...row } of page) {
      if (roomId === room) text += ',';
      else {
        text += `${room === undefined ? '{"rooms":{' : '}},'}${JSON.stringify(roomId)}:{"sessions":{`;
      }
      room = roomId;
      text += `${JSON.stringify(row.sessionId)}:${keyJson({ roomId, ...row })}`;
    }
    yield text;
  }
  yield room === undefined ? '{"rooms":{}}' : '}}}}';
}

/** Which keys an operation is about: what clients send of them, and how they are answered. */
interface Family<B extends TSchema> {
  readonly path: string;
  /** In the order put, get, delete. */
  readonly operationIds: readonly [string, string, string];
  readonly body: B;
  rows(scope: BackupScope, body: Static<B>): BackupKeyRow[];
  json(pages: Pages): AsyncGenerator<string>;
}

const routesFor = <B extends TSchema>(
  { auth, encryption: { keyBackups } }: Pick<ClientApiDeps, 'auth' | 'encryption'>,
  { path, operationIds, body: Body, rows, json }: Family<B>,
): Route[] => {
  const common = {
    path: clientPaths('v3', `/room_keys/keys${path}`),
    auth: auth.user,
    rateLimit: perUser('key_backup'),
    params: ScopeParams,
    query: VersionQuery,
  };
  return [
    route({
      ...common,
      operationId: operationIds[0],
      method: 'PUT',
      body: Body as TSchema,
      response: BackupState,
      handler: ({ requester: { userId }, params, query: { version }, body }) =>
        keyBackups.putKeys(userId, version, rows(params, body as Static<B>)),
    }),
    route({
      ...common,
      operationId: operationIds[1],
      method: 'GET',
      handler: async ({ requester: { userId }, params, query: { version } }) => {
        const text = json(await keyBackups.keys(userId, version, params));
        // What there is none of is said before anything is sent.
        const first = await text.next();
        if (first.done === true) throw matrixError('M_NOT_FOUND', 'There is no such key');
        const rest = async function* () {
          yield first.value;
          yield* text;
        };
        return rawReply({
          headers: { 'Content-Type': 'application/json' },
          body: Readable.from(rest()),
        });
      },
    }),
    route({
      ...common,
      operationId: operationIds[2],
      method: 'DELETE',
      response: BackupState,
      handler: ({ requester: { userId }, params, query: { version } }) =>
        keyBackups.deleteKeys(userId, version, params),
    }),
  ];
};

export const backupKeyRoutes = (deps: Pick<ClientApiDeps, 'auth' | 'encryption'>): Route[] => [
  ...routesFor(deps, {
    path: '',
    operationIds: ['putRoomKeys', 'getRoomKeys', 'deleteRoomKeys'],
    body: AllKeys,
    rows: (_scope, { rooms }) =>
      Object.entries(rooms).flatMap(([roomId, keys]) => rowsOfRoom(roomId, keys)),
    json: keysOfAllRooms,
  }),
  ...routesFor(deps, {
    path: '/{roomId}',
    operationIds: ['putRoomKeysByRoomId', 'getRoomKeysByRoomId', 'deleteRoomKeysByRoomId'],
    body: RoomKeys,
    rows: ({ roomId = '' }, keys) => rowsOfRoom(roomId, keys),
    json: keysOfRoom,
  }),
  ...routesFor(deps, {
    path: '/{roomId}/{sessionId}',
    operationIds: ['putRoomKeyBySessionId', 'getRoomKeyBySessionId', 'deleteRoomKeyBySessionId'],
    body: KeyData,
    rows: ({ roomId = '', sessionId = '' }, key) => [rowOf(roomId, sessionId, key)],
    json: keyOfSession,
  }),
];
