import { serve, type TestServer } from '../../homeserver/http/testing/serve.ts';
import { accountDataWithRules } from '../../homeserver/push/account-data-with-rules.ts';
import { PushRulesStream } from '../../homeserver/sync/push-rules-stream.ts';
import { Sync } from '../../homeserver/sync/sync.ts';
import { parseSyncToken } from '../../homeserver/sync/tokens.ts';
import { localUser, type TestCore, testCore } from '../../homeserver/testing/test-core.ts';
import { compileFilter } from '../../spec/filter.ts';
import type { UserId } from '../../spec/identifiers.ts';
import { getAccountData } from '../account-data/get-account-data.ts';
import { tokenIsUser } from '../testing/token-is-user.ts';
import { pushRoutes } from './routes.ts';

let test: TestCore;
let server: TestServer;
let people = 0;

beforeAll(async () => {
  test = await testCore();
  const { core } = test;
  const accountData = accountDataWithRules(core.accountData, core.pushRules);
  server = await serve([
    ...pushRoutes({ ...core, auth: tokenIsUser }),
    getAccountData({ auth: tokenIsUser, accountData }),
  ]);
});
afterAll(async () => {
  await server.stop();
  await test.close();
});

const newPerson = (): UserId => localUser(`person${people++}`);

const call = (token: UserId, method: string, path: string, body?: unknown) =>
  server.request(method, `/_matrix/client/v3/pushrules/${path}`, { token, body });

const putRoomRule = async (user: UserId, ruleId: string, query = '') => {
  const path = `global/room/${encodeURIComponent(ruleId)}${query}`;
  const answer = await call(user, 'PUT', path, { actions: ['notify'] });
  expect(answer.body).toEqual({});
};

const roomRuleIds = async (user: UserId): Promise<string[]> => {
  const { body } = await call(user, 'GET', '');
  return body.global.room.map(({ rule_id }: { rule_id: string }) => rule_id);
};

const sync = (core = test.core) =>
  new Sync({
    log: core.log,
    notifier: core.notifier,
    userRooms: core.userRooms,
    clock: core.clock,
    streams: [new PushRulesStream(core.pushRules)],
    ephemeralSerials: () => ({ typing: 0, presence: 0 }),
    ignoredUsers: (userId) => core.accountData.ignoredUsers(userId),
    isInMemory: () => true,
    roomsChangedAfter: () => undefined,
  });

const syncOnce = async (userId: UserId, since?: string, timeoutMs = 0, core = test.core) =>
  JSON.parse(
    await sync(core).sync({
      userId,
      deviceId: undefined,
      filter: compileFilter({}),
      since: since === undefined ? undefined : parseSyncToken(since),
      fullState: false,
      useStateAfter: false,
      timeoutMs,
    }),
  );

describe('reading the rules', () => {
  it('gives the predefined ones to someone who has changed nothing', async () => {
    const alice = newPerson();
    const all = await call(alice, 'GET', '');
    expect(Object.keys(all.body)).toEqual(['global']);
    expect(all.body.global.override[0]).toMatchObject({
      rule_id: '.m.rule.master',
      default: true,
      enabled: false,
    });
    expect(all.body.global.content).toEqual([]);
    expect((await call(alice, 'GET', 'global/')).body).toEqual(all.body.global);
    expect((await call(alice, 'GET', 'global/underride/')).body).toEqual(all.body.global.underride);
  });

  it('gives single rules, whether they are enabled, and their actions', async () => {
    const alice = newPerson();
    const rule = await call(alice, 'GET', 'global/underride/.m.rule.message');
    expect(rule.body).toMatchObject({ rule_id: '.m.rule.message', actions: ['notify'] });
    const enabled = await call(alice, 'GET', 'global/underride/.m.rule.message/enabled');
    expect(enabled.body).toEqual({ enabled: true });
    const actions = await call(alice, 'GET', 'global/underride/.m.rule.message/actions');
    expect(actions.body).toEqual({ actions: ['notify'] });
  });

  it.each(['global/room/none', 'global/room/none/enabled', 'global/room/none/actions'])(
    'answers 404 for %s',
    async (path) => {
      const answer = await call(newPerson(), 'GET', path);
      expect([answer.status, answer.body.errcode]).toEqual([404, 'M_NOT_FOUND']);
    },
  );

  it('knows no kind but the five', async () => {
    const answer = await call(newPerson(), 'GET', 'global/device/x');
    expect([answer.status, answer.body.errcode]).toEqual([404, 'M_NOT_FOUND']);
  });

  it('asks for a token', async () => {
    const answer = await server.request('GET', '/_matrix/client/v3/pushrules/');
    expect([answer.status, answer.body.errcode]).toEqual([401, 'M_MISSING_TOKEN']);
  });
});

describe('adding and changing rules', () => {
  it('keeps what each kind has a use for', async () => {
    const alice = newPerson();
    const conditions = [{ kind: 'event_match', key: 'content.msgtype', pattern: 'm.notice' }];
    await call(alice, 'PUT', 'global/override/mine', { actions: [], conditions });
    await call(alice, 'PUT', `global/content/${encodeURIComponent('тест')}`, {
      actions: ['notify', { set_tweak: 'sound', value: 'bing' }],
      pattern: 'cake*lie',
    });
    expect((await call(alice, 'GET', 'global/override/mine')).body).toEqual({
      rule_id: 'mine',
      default: false,
      enabled: true,
      actions: [],
      conditions,
    });
    expect((await call(alice, 'GET', `global/content/${encodeURIComponent('тест')}`)).body).toEqual(
      {
        rule_id: 'тест',
        default: false,
        enabled: true,
        actions: ['notify', { set_tweak: 'sound', value: 'bing' }],
        pattern: 'cake*lie',
      },
    );
  });

  it('puts new rules first, or beside the one they are placed by', async () => {
    const alice = newPerson();
    await putRoomRule(alice, '#a:b');
    await putRoomRule(alice, '#b:b');
    expect(await roomRuleIds(alice)).toEqual(['#b:b', '#a:b']);
    await putRoomRule(alice, '#c:b', `?before=${encodeURIComponent('#a:b')}`);
    expect(await roomRuleIds(alice)).toEqual(['#b:b', '#c:b', '#a:b']);
    await putRoomRule(alice, '#d:b', `?after=${encodeURIComponent('#b:b')}`);
    expect(await roomRuleIds(alice)).toEqual(['#b:b', '#d:b', '#c:b', '#a:b']);
    const unknown = await call(alice, 'PUT', 'global/room/x?after=nowhere', { actions: [] });
    expect([unknown.status, unknown.body.errcode]).toEqual([400, 'M_UNKNOWN']);
  });

  it('changes rules of either sort', async () => {
    const alice = newPerson();
    await putRoomRule(alice, '#a:b');
    const own = `global/room/${encodeURIComponent('#a:b')}`;
    await call(alice, 'PUT', `${own}/enabled`, { enabled: false });
    await call(alice, 'PUT', `${own}/actions`, { actions: ['dont_notify'] });
    expect((await call(alice, 'GET', own)).body).toMatchObject({
      enabled: false,
      actions: ['dont_notify'],
    });
    const predefined = 'global/override/.m.rule.master';
    await call(alice, 'PUT', `${predefined}/enabled`, { enabled: true });
    expect((await call(alice, 'GET', predefined)).body).toMatchObject({ enabled: true });
  });

  it('deletes rules of people only', async () => {
    const alice = newPerson();
    await putRoomRule(alice, '#a:b');
    const own = `global/room/${encodeURIComponent('#a:b')}`;
    expect((await call(alice, 'DELETE', own)).body).toEqual({});
    expect((await call(alice, 'DELETE', own)).body.errcode).toBe('M_NOT_FOUND');
    const predefined = await call(alice, 'DELETE', 'global/override/.m.rule.master');
    expect(predefined.body.errcode).toBe('M_NOT_FOUND');
  });

  it.each([
    ['GET', 'global/org.example.kind/', undefined, 404, 'M_NOT_FOUND'],
    ['GET', 'global/org.example.kind/x', undefined, 404, 'M_NOT_FOUND'],
    ['GET', 'global/constructor/x', undefined, 404, 'M_NOT_FOUND'],
    ['DELETE', 'global/org.example.kind/x', undefined, 404, 'M_NOT_FOUND'],
    ['PUT', 'global/org.example.kind/x/enabled', { enabled: true }, 404, 'M_NOT_FOUND'],
    ['GET', 'global/org.example.kind/x/actions', undefined, 404, 'M_NOT_FOUND'],
    ['PUT', 'global/org.example.kind/x', { actions: [] }, 400, 'M_INVALID_PARAM'],
    ['PUT', 'global/room/.dotted', { actions: [] }, 400, 'M_INVALID_PARAM'],
    ['PUT', 'global/room/a%2Fb', { actions: [] }, 400, 'M_INVALID_PARAM'],
    ['PUT', 'global/room/x', {}, 400, 'M_MISSING_PARAM'],
    ['PUT', 'global/room/x', { actions: ['dance'] }, 400, 'M_INVALID_PARAM'],
    ['PUT', 'global/content/x', { actions: [] }, 400, 'M_MISSING_PARAM'],
    ['PUT', 'global/override/x', { actions: [], conditions: [{}] }, 400, 'M_INVALID_PARAM'],
    ['PUT', 'global/room/x', [], 400, 'M_BAD_JSON'],
    ['PUT', 'global/room/none/enabled', { enabled: true }, 404, 'M_NOT_FOUND'],
    ['PUT', 'global/override/.not.there/enabled', { enabled: true }, 404, 'M_NOT_FOUND'],
    ['PUT', 'global/override/.m.rule.master/enabled', { enabled: 1 }, 400, 'M_BAD_JSON'],
    ['PUT', 'global/override/.m.rule.master/actions', {}, 400, 'M_MISSING_PARAM'],
    ['PUT', 'global/override/.not.there/actions', { actions: [] }, 404, 'M_NOT_FOUND'],
  ])('refuses %s %s with %j', async (method, path, body, status, errcode) => {
    const answer = await call(newPerson(), method, path, body);
    expect([answer.status, answer.body.errcode]).toEqual([status, errcode]);
  });

  it('makes changes of one person that come at once take turns', async () => {
    const alice = newPerson();
    await Promise.all(['#a:b', '#b:b', '#c:b', '#d:b'].map((id) => putRoomRule(alice, id)));
    expect((await roomRuleIds(alice)).toSorted()).toEqual(['#a:b', '#b:b', '#c:b', '#d:b']);
  });
});

describe('m.push_rules in sync', () => {
  it('comes with a first sync, then only when something was changed', async () => {
    const alice = newPerson();
    const first = await syncOnce(alice);
    expect(first.account_data.events).toEqual([
      { type: 'm.push_rules', content: (await call(alice, 'GET', '')).body },
    ]);
    const idle = await syncOnce(alice, first.next_batch);
    expect(idle.account_data).toBeUndefined();
    await putRoomRule(alice, '#a:b');
    const changed = await syncOnce(alice, idle.next_batch);
    expect(changed.account_data.events[0].content.global.room).toMatchObject([{ rule_id: '#a:b' }]);
    expect((await syncOnce(alice, changed.next_batch)).account_data).toBeUndefined();
  });

  it('wakes those who wait, and nobody else', async () => {
    const [alice, bob] = [newPerson(), newPerson()];
    const since = (await syncOnce(alice)).next_batch;
    const waiting = syncOnce(alice, since, 20_000);
    await putRoomRule(bob, '#b:b');
    await putRoomRule(alice, '#a:b');
    expect((await waiting).account_data.events[0].content.global.room).toHaveLength(1);
  });

  it('can be read as account data, and as that only', async () => {
    const alice = newPerson();
    await putRoomRule(alice, '#a:b');
    const get = (type: string) =>
      server.request('GET', `/_matrix/client/v3/user/${alice}/account_data/${type}`, {
        token: alice,
      });
    expect((await get('m.push_rules')).body).toEqual((await call(alice, 'GET', '')).body);
    expect((await get('m.other')).body.errcode).toBe('M_NOT_FOUND');
  });

  it('survives a restart', async () => {
    const alice = newPerson();
    const before = await syncOnce(alice);
    await putRoomRule(alice, '#a:b');
    const again = await test.restart();
    const after = await syncOnce(alice, before.next_batch, 0, again);
    expect(after.account_data.events[0].content.global.room).toMatchObject([{ rule_id: '#a:b' }]);
    expect((await syncOnce(alice, after.next_batch, 0, again)).account_data).toBeUndefined();
  });
});
