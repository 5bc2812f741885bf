/**
 * The event stream of before `/sync`, which clients that preview a room as guests still use: events
 * of rooms the reader is in, and nothing besides.
 * https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3events
 */
import { Type } from 'typebox';
import { RoomIdSchema } from '../../homeserver/http/identifier-schemas.ts';
import { perUser } from '../../homeserver/http/rate-limits.ts';
import { rawJson } from '../../homeserver/http/raw-json.ts';
import { route } from '../../homeserver/http/route.ts';
import { formatSyncToken, parseSyncToken } from '../../homeserver/sync/tokens.ts';
import { compileFilter } from '../../spec/filter.ts';
import type { ClientApiDeps } from '../deps.ts';
import { clientPaths } from '../paths.ts';

/** Of one room in one answer; a reader who is further behind has `/messages`. */
const maxRoomEvents = 50;

const none = { types: [] };

const filterFor = (roomId: string | undefined) =>
  compileFilter({
    presence: none,
    account_data: none,
    room: {
      ...(roomId !== undefined && { rooms: [roomId] }),
      timeline: { limit: maxRoomEvents },
      state: none,
      ephemeral: none,
      account_data: none,
    },
  });

export const getEvents = ({
  auth,
  sync,
  presence,
}: Pick<ClientApiDeps, 'auth' | 'sync' | 'presence'>) =>
  route({
    operationId: 'getEvents',
    method: 'GET',
    path: clientPaths('v3', '/events'),
    auth: auth.userOrGuest,
    rateLimit: perUser('sync'),
    query: Type.Object({
      from: Type.Optional(Type.String()),
      timeout: Type.Optional(Type.Integer({ minimum: 0 })),
      room_id: Type.Optional(RoomIdSchema),
    }),
    handler: async ({ requester, query, signal }) => {
      const { userId, deviceId } = requester;
      const preparing = sync.prepare(userId);
      if (preparing !== undefined) await preparing;
      const timeoutMs = query.timeout ?? 0;
      presence.seen(userId, deviceId, 'online', timeoutMs);
      const since = query.from === undefined ? sync.present() : parseSyncToken(query.from);
      const { chunk, end } = await sync.events({
        userId,
        // Messages for a device are kept for its sync.
        deviceId: undefined,
        filter: filterFor(query.room_id),
        since,
        fullState: false,
        useStateAfter: false,
        timeoutMs,
        signal,
      });
      return { start: formatSyncToken(since), end, chunk: rawJson<object[]>(chunk) };
    },
  });
