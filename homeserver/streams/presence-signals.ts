/**
 * Signs of life that people give at processes other than their own: sent on to the owner of the
 * person, but not each of many syncs. Losing what is remembered here costs a message.
 */
import { LRUCache } from 'lru-cache';
import type { DeviceId, UserId } from '../../spec/identifiers.ts';
import type { Clock } from '../clock.ts';
import type { Owners } from '../owners.ts';
import type { PresenceState } from './presence-activity.ts';

/** So much later than it would otherwise, a device is taken to be gone. */
const slackMs = 10_000;
const maxDevices = 20_000;

export class PresenceSignals {
  readonly #owners: Owners;
  readonly #clock: Clock;
  /** Until when the owner knows a device to be there. */
  readonly #sent = new LRUCache<string, number>({ max: maxDevices });

  constructor(owners: Owners, clock: Clock) {
    this.#owners = owners;
    this.#clock = clock;
    owners.onChange(() => this.#sent.clear());
  }

  /** A device begins to sync. @param shown how the user is seen now */
  seen(
    userId: UserId,
    deviceId: DeviceId | undefined,
    wish: PresenceState,
    timeoutMs: number,
    shown: PresenceState | undefined,
  ): void {
    const untilMs = this.#clock.nowMs() + timeoutMs;
    const key = `${userId} ${deviceId ?? ''} ${wish}`;
    if (shown === wish && untilMs <= (this.#sent.get(key) ?? 0)) return;
    this.#sent.set(key, untilMs + slackMs);
    const args = [userId, deviceId, wish, timeoutMs + slackMs];
    this.#owners.ask(userId, 'presence.seen', args).catch(() => {
      // The next sync is the next sign.
      this.#sent.delete(key);
    });
  }
}
