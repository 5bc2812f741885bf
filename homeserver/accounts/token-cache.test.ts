import type { DeviceId, UserId } from '../../spec/identifiers.ts';
import { type CachedToken, TokenCache } from './token-cache.ts';

const token = (user: string, device: string): CachedToken => ({
  requester: {
    userId: `@${user}:x` as UserId,
    deviceId: device as DeviceId,
    isAdmin: false,
    isGuest: false,
    locked: false,
    suspended: false,
    appserviceId: undefined,
    rateLimited: true,
  },
  expiresAtMs: undefined,
  readAtMs: 0,
});

describe('TokenCache', () => {
  it('holds at most what it may, the longest unused leaving first', () => {
    const cache = new TokenCache(2);
    cache.set('a', token('alice', 'A'), 0);
    cache.set('b', token('bob', 'B'), 0);
    cache.get('a');
    cache.set('c', token('carol', 'C'), 0);
    expect(cache.get('b')).toBeUndefined();
    expect(cache.get('a')).toBeDefined();
  });

  it('forgets by user or device, and tells others of its own changes only', () => {
    const cache = new TokenCache();
    const heard: unknown[] = [];
    cache.onChange((change) => heard.push(change));
    cache.set('a1', token('alice', 'A1'), 0);
    cache.set('a2', token('alice', 'A2'), 0);
    cache.set('b', token('bob', 'A1'), 0);
    const change = { userId: '@alice:x' as UserId, deviceIds: ['A1' as DeviceId] };
    cache.changed(change);
    expect(['a1', 'a2', 'b'].map((held) => cache.get(held) !== undefined)).toEqual([
      false,
      true,
      true,
    ]);
    cache.forget({ userId: '@alice:x' as UserId, deviceIds: undefined });
    expect(cache.get('a2')).toBeUndefined();
    expect(cache.get('b')).toBeDefined();
    expect(heard).toEqual([change]);
  });
});
