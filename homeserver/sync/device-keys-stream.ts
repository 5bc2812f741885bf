/**
 * Who has other devices or keys than before, and how many keys the syncing device has left.
 * https://spec.matrix.org/v1.19/client-server-api/#e2e-extensions-to-sync
 */
import type { DeviceKeys, KeySupplyJson } from '../encryption/device-keys.ts';
import type { DeviceListNews, DeviceLists } from '../encryption/device-lists.ts';
import type { SyncResponse } from './response.ts';
import type { SyncContext, SyncStream } from './sync-stream.ts';

export class DeviceKeysStream implements SyncStream {
  readonly name = 'device keys';
  readonly #lists: DeviceLists;
  readonly #keys: DeviceKeys;

  constructor(lists: DeviceLists, keys: DeviceKeys) {
    this.#lists = lists;
    this.#keys = keys;
  }

  prepare({ userId, deviceId }: SyncContext): unknown {
    return deviceId === undefined ? undefined : this.#keys.supply(userId, deviceId);
  }

  collect(
    { userId, deviceId, from, to }: SyncContext,
    response: SyncResponse,
  ): Promise<void> | undefined {
    const news =
      from === undefined ? undefined : this.#lists.newsFor(userId, from.position, to.position);
    const supply = deviceId === undefined ? undefined : this.#keys.supply(userId, deviceId);
    if (!(news instanceof Promise) && !(supply instanceof Promise)) {
      add(news, supply, response);
      return undefined;
    }
    return Promise.all([news, supply]).then(([lists, keys]) => add(lists, keys, response));
  }
}

const add = (
  news: DeviceListNews | undefined,
  supply: KeySupplyJson | undefined,
  response: SyncResponse,
): void => {
  if (news !== undefined && news.changed.length + news.left.length > 0) {
    response.setNews('device_lists', JSON.stringify(news));
  }
  if (supply === undefined) return;
  response.setProperty('device_one_time_keys_count', supply.counts);
  response.setProperty('device_unused_fallback_key_types', supply.unusedFallbackTypes);
};
