/**
 * From what one user's devices do to what the user's presence is.
 * https://spec.matrix.org/v1.19/client-server-api/#presence
 */
export const presenceStates = ['online', 'unavailable', 'offline'] as const;
export type PresenceState = (typeof presenceStates)[number];

interface Device {
  presence: PresenceState;
  /** What its last sync asked to be seen as. */
  wish: PresenceState | undefined;
  /** Not heard from by then, it is gone. */
  untilMs: number;
}

/** Without activity for this long, who is online counts as idle. */
export const idleAfterMs = 300_000;
/** How long a device may be silent between two syncs. */
const graceMs = 30_000;
const maxDevices = 100;
/** Whoever was there when the process before ended has so long to come back. */
const returnMs = 60_000;
/** Stands for the devices that were there then; no device is called so. */
const earlier = '\u0000';

export class PresenceActivity {
  lastActiveMs: number;
  readonly #devices = new Map<string, Device>();

  constructor(lastActiveMs: number) {
    this.lastActiveMs = lastActiveMs;
  }

  /**
   * Of somebody who was there when the process before ended. Who was online is taken to have been
   * active until now: what they did since they came was not written down.
   */
  static recalled(presence: PresenceState, lastActiveMs: number, nowMs: number): PresenceActivity {
    const activity = new PresenceActivity(presence === 'online' ? nowMs : lastActiveMs);
    activity.#devices.set(earlier, { presence, wish: 'online', untilMs: nowMs + returnMs });
    return activity;
  }

  /**
   * A sync that may last `timeoutMs`. It brings online who was offline, but does not by itself make
   * active who is idle, or undo what the user has said. With `offline` the device goes unseen.
   */
  synced(deviceId: string, wish: PresenceState, timeoutMs: number, nowMs: number): void {
    if (wish === 'offline') {
      this.#devices.delete(deviceId);
      return;
    }
    const device = this.#device(deviceId);
    if (device.wish !== wish || device.presence === 'offline') {
      device.presence = wish;
      if (wish === 'online') this.lastActiveMs = nowMs;
    }
    device.wish = wish;
    device.untilMs = nowMs + timeoutMs + graceMs;
  }

  /** What the user says of themselves. */
  said(deviceId: string, presence: PresenceState, nowMs: number): void {
    const device = this.#device(deviceId);
    this.#devices.delete(earlier);
    device.presence = presence;
    device.untilMs = Math.max(device.untilMs, nowMs + graceMs);
    this.lastActiveMs = nowMs;
  }

  /** The user did something, with this device or one not known. */
  acted(deviceId: string | undefined, nowMs: number): void {
    this.lastActiveMs = nowMs;
    for (const [id, device] of this.#devices) {
      if (deviceId !== undefined && id !== deviceId && id !== earlier) continue;
      if (device.presence === 'unavailable') device.presence = 'online';
    }
  }

  stateAt(nowMs: number): PresenceState {
    let best: PresenceState = 'offline';
    for (const [id, { presence, untilMs }] of this.#devices) {
      if (untilMs <= nowMs) this.#devices.delete(id);
      else if (presence === 'online') best = 'online';
      else if (presence === 'unavailable' && best === 'offline') best = 'unavailable';
    }
    const isIdle = nowMs - this.lastActiveMs >= idleAfterMs;
    return best === 'online' && isIdle ? 'unavailable' : best;
  }

  get isGone(): boolean {
    return this.#devices.size === 0;
  }

  #device(deviceId: string): Device {
    let device = this.#devices.get(deviceId);
    if (device === undefined) {
      if (this.#devices.size >= maxDevices) {
        this.#devices.delete(this.#devices.keys().next().value as string);
      }
      // After a restart it goes on as the user was.
      const { presence = 'offline', wish } = this.#devices.get(earlier) ?? {};
      device = { presence, wish, untilMs: 0 };
      this.#devices.set(deviceId, device);
    }
    return device;
  }
}
