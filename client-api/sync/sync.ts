/** https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3sync */
import { Type } from 'typebox';
import type { Requester } from '../../homeserver/accounts/requester.ts';
import { perUser } from '../../homeserver/http/rate-limits.ts';
import { rawJson } from '../../homeserver/http/raw-json.ts';
import { route } from '../../homeserver/http/route.ts';
import { parseSyncToken } from '../../homeserver/sync/tokens.ts';
import { matrixError } from '../../spec/errors.ts';
import type { JsonValue } from '../../spec/event.ts';
import { compileFilter, type Filter } from '../../spec/filter.ts';
import type { ClientApiDeps } from '../deps.ts';
import { clientPaths } from '../paths.ts';

const SyncQuery = Type.Object({
  filter: Type.Optional(Type.String()),
  since: Type.Optional(Type.String()),
  full_state: Type.Optional(Type.Boolean()),
  set_presence: Type.Optional(
    Type.Union([Type.Literal('offline'), Type.Literal('online'), Type.Literal('unavailable')]),
  ),
  timeout: Type.Optional(Type.Integer({ minimum: 0 })),
  use_state_after: Type.Optional(Type.Boolean()),
  /** What clients from before v1.16 ask with; the answer is under its unstable name then. */
  'org.matrix.msc4222.use_state_after': Type.Optional(Type.Boolean()),
});

const everything = compileFilter({});

/** A filter by its id, or written out in the query. */
const filterOf = async (
  accounts: ClientApiDeps['accounts'],
  { userId }: Requester,
  filter: string | undefined,
): Promise<Filter> => {
  if (filter === undefined) return everything;
  if (!filter.startsWith('{')) {
    const stored = await accounts.filters.get(userId, filter);
    if (stored === undefined) throw matrixError('M_INVALID_PARAM', 'There is no such filter');
    return stored.filter;
  }
  let definition: JsonValue;
  try {
    definition = JSON.parse(filter) as JsonValue;
  } catch {
    throw matrixError('M_INVALID_PARAM', 'query/filter is not JSON');
  }
  return compileFilter(definition);
};

export const sync = ({
  auth,
  accounts,
  sync,
  presence,
}: Pick<ClientApiDeps, 'auth' | 'accounts' | 'sync' | 'presence'>) =>
  route({
    operationId: 'sync',
    method: 'GET',
    path: clientPaths('v3', '/sync'),
    auth: auth.userOrGuest,
    rateLimit: perUser('sync'),
    query: SyncQuery,
    handler: async ({ requester, query, signal }) => {
      const { userId, deviceId } = requester;
      const isStable = query.use_state_after === true;
      const isUnstable = query['org.matrix.msc4222.use_state_after'] === true;
      const preparing = sync.prepare(userId);
      if (preparing !== undefined) await preparing;
      presence.seen(userId, deviceId, query.set_presence ?? 'online', query.timeout ?? 0);
      const body = await sync.sync({
        userId,
        deviceId,
        filter: await filterOf(accounts, requester, query.filter),
        since: query.since === undefined ? undefined : parseSyncToken(query.since),
        fullState: query.full_state ?? false,
        useStateAfter: isStable || isUnstable,
        stateAfterName: isStable ? 'state_after' : 'org.matrix.msc4222.state_after',
        timeoutMs: query.timeout ?? 0,
        signal,
      });
      return rawJson<object>(body);
    },
  });
