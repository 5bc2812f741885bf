/**
 * Messages for the syncing device. A response has a bounded number of them, so the token says apart
 * up to where they have been given; the next sync with it deletes those.
 * https://spec.matrix.org/v1.19/client-server-api/#send-to-device-messaging
 */
import type { ToDevice, Waiting } from '../encryption/to-device.ts';
import type { SyncResponse } from './response.ts';
import type { SyncContext, SyncStream } from './sync-stream.ts';

export class ToDeviceStream implements SyncStream {
  readonly name = 'to-device messages';
  readonly #toDevice: ToDevice;

  constructor(toDevice: ToDevice) {
    this.#toDevice = toDevice;
  }

  collect(
    { userId, deviceId, from, to }: SyncContext,
    response: SyncResponse,
  ): Promise<void> | undefined {
    if (deviceId === undefined) return undefined;
    const after = from === undefined ? 0 : (from.toDevice ?? from.position);
    const deleting = after === 0 ? undefined : this.#toDevice.received(userId, deviceId, after);
    const waiting = this.#toDevice.waiting(userId, deviceId, after, to.position);
    if (deleting === undefined && !(waiting instanceof Promise)) {
      add(waiting, response);
      return undefined;
    }
    return Promise.all([waiting, deleting]).then(([found]) => add(found, response));
  }
}

const add = ({ messages, isAll }: Waiting, response: SyncResponse): void => {
  for (const { event } of messages) response.addEvent('to_device', event);
  if (!isAll) response.toDeviceUpTo = messages.at(-1)?.streamPos;
};
