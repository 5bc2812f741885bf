import type { RoomId } from '../../spec/identifiers.ts';
import { localUser, type TestCore, testCore } from '../testing/test-core.ts';
import { AccountData } from './account-data.ts';

let test: TestCore;
let accountData: AccountData;
let people = 0;
beforeAll(async () => {
  test = await testCore();
  ({ accountData } = test.core);
});
afterAll(() => test.close());

const newUser = () => localUser(`user${people++}`);
const room = '!room:here.test' as RoomId;

describe('the bound on what one person keeps', () => {
  const bounded = (limits: { entries: number; bytes: number }) =>
    new AccountData({ ...test.core, db: test.core.database, limits });
  const refused = { errcode: 'M_RESOURCE_LIMIT_EXCEEDED', status: 403 };

  it('is of entries, in all rooms; those there are may still be changed', async () => {
    const user = newUser();
    const data = bounded({ entries: 3, bytes: 1_000_000 });
    await data.put(user, undefined, 'a', { n: 0 });
    await data.put(user, room, 'a', { n: 0 });
    for (let n = 1; n < 20; n++) await data.put(user, undefined, 'b', { n });
    await expect(data.put(user, undefined, 'c', {})).rejects.toMatchObject(refused);
    await data.put(user, undefined, 'a', { n: 1 });
    // Somebody else, and another process that has counted nothing yet.
    await data.put(newUser(), undefined, 'c', {});
    const other = bounded({ entries: 3, bytes: 1_000_000 });
    await expect(other.put(user, undefined, 'c', {})).rejects.toMatchObject(refused);
  });

  it('is of bytes; an entry may always be made smaller', async () => {
    const user = newUser();
    const data = bounded({ entries: 100, bytes: 1_000 });
    await data.put(user, undefined, 'a', { text: 'x'.repeat(600) });
    await expect(data.put(user, undefined, 'b', { text: 'x'.repeat(600) })).rejects.toMatchObject(
      refused,
    );
    await expect(data.put(user, undefined, 'a', { text: 'x'.repeat(1_200) })).rejects.toMatchObject(
      refused,
    );
    await data.put(user, undefined, 'a', {});
    await data.put(user, undefined, 'b', { text: 'x'.repeat(600) });
  });

  it('asks the database once for many changes', async () => {
    const user = newUser();
    const asked: string[] = [];
    const db = {
      query: (statement: { text: string }) => {
        asked.push(statement.text);
        return test.core.database.query(statement);
      },
    };
    const data = new AccountData({ ...test.core, db: db as never });
    await Promise.all(
      Array.from({ length: 50 }, (_, n) => data.put(user, undefined, 'same', { n })),
    );
    expect(await data.get(user, undefined, 'same')).toEqual({ n: 49 });
    // One count, one look at the entry, and the reading above.
    expect(asked).toHaveLength(3);
  });
});

describe('account data', () => {
  it('holds one entry for each type, of the account and of each room', async () => {
    const user = newUser();
    await accountData.put(user, undefined, 'a', { of: 'account' });
    await accountData.put(user, room, 'a', { of: 'room' });
    await accountData.put(user, room, 'a', { of: 'room', again: true });
    expect(await accountData.get(user, undefined, 'a')).toEqual({ of: 'account' });
    expect(await accountData.get(user, room, 'a')).toEqual({ of: 'room', again: true });
    expect(await accountData.get(user, room, 'b')).toBeUndefined();
    expect(await accountData.all(user)).toMatchObject([
      { roomId: '', type: 'a' },
      { roomId: room, content: '{"of":"room","again":true}' },
    ]);
  });

  it('leaves out of a first sync what has been taken back', async () => {
    const user = newUser();
    await accountData.put(user, undefined, 'a', { x: 1 });
    await accountData.put(user, undefined, 'a', {});
    expect(await accountData.all(user)).toEqual([]);
    expect(await accountData.get(user, undefined, 'a')).toEqual({});
  });

  it('tells changes from memory as from the database, each entry once', async () => {
    const user = newUser();
    const from = test.core.log.position;
    await Promise.all([
      accountData.put(user, undefined, 'a', { n: 1 }),
      accountData.put(user, undefined, 'b', { n: 2 }),
      accountData.put(user, undefined, 'a', { n: 3 }),
    ]);
    const to = test.core.log.position;
    await accountData.put(user, undefined, 'c', { n: 4 });
    const recent = await accountData.changesSince(user, from, to);
    expect(recent.map(({ type, content }) => [type, content]).sort()).toEqual([
      ['a', '{"n":3}'],
      ['b', '{"n":2}'],
    ]);
    accountData.reset(test.core.log.position);
    const stored = await accountData.changesSince(user, from, to);
    expect(new Set(stored)).toEqual(new Set(recent));
  });

  it('makes changes that build on each other one after the other', async () => {
    const user = newUser();
    const add = () =>
      accountData.update(user, undefined, 'count', (content) => ({
        count: ((content?.['count'] as number | undefined) ?? 0) + 1,
      }));
    await Promise.all(Array.from({ length: 10 }, add));
    expect(await accountData.get(user, undefined, 'count')).toEqual({ count: 10 });
    const failing = accountData.update(user, undefined, 'count', () => {
      throw new Error('no');
    });
    await expect(failing).rejects.toThrow('no');
    await add();
    expect(await accountData.get(user, undefined, 'count')).toEqual({ count: 11 });
  });

  it('is bounded', async () => {
    const user = newUser();
    const large = { x: 'x'.repeat(66_000) };
    await expect(accountData.put(user, undefined, 'a', large)).rejects.toMatchObject({
      errcode: 'M_TOO_LARGE',
    });
    await expect(accountData.put(user, undefined, 'x'.repeat(256), {})).rejects.toMatchObject({
      errcode: 'M_INVALID_PARAM',
    });
  });

  it('knows whom a user ignores, at once after a change', async () => {
    const user = newUser();
    const ignore = (...users: string[]) =>
      accountData.put(user, undefined, 'm.ignored_user_list', {
        ignored_users: Object.fromEntries(users.map((other) => [other, {}])),
      });
    expect(await accountData.ignoredUsers(user)).toEqual(new Set());
    const [, ignored] = await Promise.all([
      ignore('@a:b', 'nobody'),
      accountData.ignoredUsers(user),
    ]);
    expect(ignored).toEqual(new Set());
    expect(accountData.ignoredUsers(user)).toEqual(new Set(['@a:b']));
    accountData.reset(0);
    const [loaded] = await Promise.all([accountData.ignoredUsers(user), ignore('@c:d')]);
    expect([new Set(['@a:b']), new Set(['@c:d'])]).toContainEqual(loaded);
    expect(accountData.ignoredUsers(user)).toEqual(new Set(['@c:d']));
    await accountData.put(user, undefined, 'm.ignored_user_list', { ignored_users: [] });
    expect(accountData.ignoredUsers(user)).toEqual(new Set());
  });
});
