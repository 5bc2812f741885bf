/** https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3search */

import { type Static, Type } from 'typebox';
import type { Requester } from '../../homeserver/accounts/requester.ts';
import type {
  SearchPage,
  SearchPlace,
  SearchResult,
} from '../../homeserver/discovery/event-search.ts';
import { perUser } from '../../homeserver/http/rate-limits.ts';
import { route } from '../../homeserver/http/route.ts';
import { searchKeys } from '../../homeserver/storage/event-words.ts';
import { formatPlace } from '../../homeserver/sync/tokens.ts';
import { emptyRecord } from '../../spec/empty-record.ts';
import { matrixError } from '../../spec/errors.ts';
import type { JsonObject } from '../../spec/event.ts';
import { compileRoomEventFilter } from '../../spec/filter.ts';
import type { ClientApiDeps } from '../deps.ts';
import { EventTexts } from '../history/event-texts.ts';
import { clientPaths } from '../paths.ts';
import { AnyObject } from '../schemas.ts';

type Deps = Pick<ClientApiDeps, 'auth' | 'eventSearch' | 'history' | 'roomState' | 'clientEvents'>;

const defaultContext = 5;
const maxContext = 50;

const ContextSchema = Type.Object({
  before_limit: Type.Optional(Type.Integer({ minimum: 0 })),
  after_limit: Type.Optional(Type.Integer({ minimum: 0 })),
  include_profile: Type.Optional(Type.Boolean()),
});

const Criteria = Type.Object({
  search_term: Type.String({ maxLength: 10_000 }),
  keys: Type.Optional(Type.Array(Type.Union(searchKeys.map((key) => Type.Literal(key))))),
  filter: Type.Optional(AnyObject),
  order_by: Type.Optional(Type.Union([Type.Literal('recent'), Type.Literal('rank')])),
  event_context: Type.Optional(ContextSchema),
  include_state: Type.Optional(Type.Boolean()),
  groupings: Type.Optional(
    Type.Object({
      group_by: Type.Optional(
        Type.Array(
          Type.Object({ key: Type.Union([Type.Literal('room_id'), Type.Literal('sender')]) }),
        ),
      ),
    }),
  ),
});

const tokenPattern = /^q1_(\d{1,15})_(\d{1,9})$/;

const placeIn = (token: string): SearchPlace => {
  const match = tokenPattern.exec(token);
  if (match === null) throw matrixError('M_INVALID_PARAM', "'next_batch' is not of this search");
  return { position: Number(match[1]), offset: Number(match[2]) };
};

const groupsOf = (page: SearchPage, keys: readonly ('room_id' | 'sender')[]) =>
  Object.fromEntries(
    keys.map((key) => {
      const groups = new Map<string, { order: number; results: string[] }>();
      for (const { view } of page.results) {
        const { event } = view.stored;
        const value = key === 'room_id' ? event.roomId : event.sender;
        const group = groups.get(value) ?? { order: groups.size + 1, results: [] };
        group.results.push(event.eventId);
        groups.set(value, group);
      }
      return [key, Object.fromEntries(groups)];
    }),
  );

/** Names and pictures of senders as their member events have them. */
const profilesIn = (members: readonly { stateKey: string | undefined; content: JsonObject }[]) =>
  Object.fromEntries(
    members.flatMap(({ stateKey, content: { displayname, avatar_url } }) => {
      if (stateKey === undefined) return [];
      const profile = {
        ...(typeof displayname === 'string' && { displayname }),
        ...(typeof avatar_url === 'string' && { avatar_url }),
      };
      return [[stateKey, profile]];
    }),
  );

export const search = (deps: Deps) => {
  const contextOf = async (
    requester: Requester,
    { access, view }: SearchResult,
    wanted: Static<typeof ContextSchema>,
  ) => {
    const before = Math.min(wanted.before_limit ?? defaultContext, maxContext);
    const after = Math.min(wanted.after_limit ?? defaultContext, maxContext);
    const context = await deps.history.context(
      requester.userId,
      access.room.id,
      view.stored.event.eventId,
      2 * Math.max(before, after),
      compileRoomEventFilter({ lazy_load_members: true }),
    );
    const texts = new EventTexts(deps.clientEvents, access.room, requester);
    return {
      start: formatPlace(context.start),
      end: formatPlace(context.end),
      events_before: await texts.views(context.before.slice(0, before)),
      events_after: await texts.views(context.after.slice(0, after)),
      ...(wanted.include_profile === true && {
        profile_info: profilesIn(context.state.map(({ stored }) => stored.event)),
      }),
    };
  };

  const statesOf = async (requester: Requester, page: SearchPage) => {
    const accesses = new Map(page.results.map(({ access }) => [access.room.id, access]));
    const states = emptyRecord<object[]>();
    for (const [roomId, access] of accesses) {
      const texts = new EventTexts(deps.clientEvents, access.room, requester);
      states[roomId] = await texts.views(await deps.roomState.eventsIn(access));
    }
    return states;
  };

  return route({
    operationId: 'search',
    method: 'POST',
    path: clientPaths('v3', '/search'),
    auth: deps.auth.user,
    rateLimit: perUser('search'),
    query: Type.Object({ next_batch: Type.Optional(Type.String()) }),
    body: Type.Object({
      search_categories: Type.Object({ room_events: Type.Optional(Criteria) }),
    }),
    handler: async ({ requester, query, body }) => {
      const wanted = body.search_categories.room_events;
      if (wanted === undefined) return { search_categories: {} };
      const filter = compileRoomEventFilter(wanted.filter ?? {});
      const page = await deps.eventSearch.search({
        userId: requester.userId,
        term: wanted.search_term,
        keys: wanted.keys ?? searchKeys,
        filter,
        orderBy: wanted.order_by ?? 'rank',
        limit: filter.limit,
        from: query.next_batch === undefined ? undefined : placeIn(query.next_batch),
      });
      const results = await Promise.all(
        page.results.map(async (result) => {
          const texts = new EventTexts(deps.clientEvents, result.access.room, requester);
          const [event] = await texts.views([result.view]);
          return {
            rank: result.rank,
            result: event,
            ...(wanted.event_context !== undefined && {
              context: await contextOf(requester, result, wanted.event_context),
            }),
          };
        }),
      );
      const groupBy = wanted.groupings?.group_by?.map(({ key }) => key);
      return {
        search_categories: {
          room_events: {
            count: page.count,
            highlights: page.words,
            results,
            ...(wanted.include_state === true && { state: await statesOf(requester, page) }),
            ...(groupBy !== undefined && { groups: groupsOf(page, groupBy) }),
            ...(page.next !== undefined && {
              next_batch: `q1_${page.next.position}_${page.next.offset}`,
            }),
          },
        },
      };
    },
  });
};
