/**
 * Messages from device to device: kept in the log until the device has got them.
 * https://spec.matrix.org/v1.19/client-server-api/#send-to-device-messaging
 */
import { LRUCache } from 'lru-cache';
import { matrixError } from '../../spec/errors.ts';
import type { JsonObject } from '../../spec/event.ts';
import {
  type DeviceId,
  isDeviceId,
  isUserId,
  type ServerName,
  serverNameOf,
  type UserId,
} from '../../spec/identifiers.ts';
import type { Clock } from '../clock.ts';
import type { MemoryBudget } from '../memory-budget.ts';
import type { Random } from '../random.ts';
import type { Database } from '../storage/database.ts';
import {
  deleteMessageIdsBefore,
  deleteToDeviceMessages,
  type ToDeviceMessage,
  type ToDeviceSend,
  toDeviceMessages,
  toDeviceSection,
} from '../storage/to-device.ts';
import { type Log, rowsOf } from '../streams/log.ts';
import { LogTail } from '../streams/log-tail.ts';
import type { Notifier } from '../streams/notifier.ts';
import { isObject } from './remote-keys.ts';

export interface ToDeviceDeps {
  readonly db: Database;
  readonly log: Log;
  readonly notifier: Notifier;
  readonly clock: Clock;
  readonly random: Random;
  readonly serverName: ServerName;
  readonly budget: MemoryBudget;
  readonly outbound: { follow(positions: readonly number[]): void };
}

/** By user id, then by device id or `*`. */
export type DeviceMessages = JsonObject;

/** In one response of sync. */
const maxDelivered = 100;
/** Of one request or EDU. */
const maxMessages = 10_000;
const maxDevices = 50_000;
/** A message id is remembered for so long. */
const rememberForMs = 7 * 24 * 60 * 60_000;

const keyOf = (userId: UserId, deviceId: DeviceId): string => `${userId} ${deviceId}`;

export class ToDevice {
  readonly #deps: ToDeviceDeps;
  /** Where there are messages, by device; the messages themselves stay in the database. */
  readonly #recent: LogTail<string, undefined>;
  /**
   * Up to where each device was last given messages, 0 once they are deleted. Devices that are not
   * here may have some that they have got.
   */
  readonly #given = new LRUCache<string, number>({ max: maxDevices });

  constructor(deps: ToDeviceDeps) {
    this.#deps = deps;
    this.#recent = new LogTail(deps.log.position, {
      maxBytes: deps.budget.bytesFor('marks') / 2,
      onlyNewest: true,
    });
    deps.budget.holds('marks', () => this.#recent.bytes);
  }

  /**
   * Sends for a local user. A device that repeats a transaction sends nothing more.
   * @throws MatrixError M_INVALID_PARAM
   */
  async send(
    sender: UserId,
    deviceId: DeviceId | undefined,
    type: string,
    txnId: string,
    messages: DeviceMessages,
  ): Promise<void> {
    const { serverName, random } = this.#deps;
    const local: ToDeviceSend['local'][number][] = [];
    const byServer = new Map<ServerName, Record<string, JsonObject>>();
    for (const [userId, devices] of Object.entries(messages)) {
      if (!isUserId(userId) || !isObject(devices)) {
        throw matrixError('M_INVALID_PARAM', 'Messages are given by user, then by device');
      }
      if (serverNameOf(userId) === serverName) {
        local.push(...eventsFor(userId, devices, sender, type));
        continue;
      }
      const others = byServer.get(serverNameOf(userId)) ?? {};
      others[userId] = devices;
      byServer.set(serverNameOf(userId), others);
    }
    if (local.length > maxMessages) {
      throw matrixError('M_INVALID_PARAM', `At most ${maxMessages} messages can be sent at once`);
    }
    const remote = [...byServer].map(([destination, theirs]) => ({
      destination,
      content: JSON.stringify({
        sender,
        type,
        message_id: random.bytes(15).toString('base64url'),
        messages: theirs,
      }),
    }));
    const source = JSON.stringify([sender, deviceId ?? '']);
    await this.#append(source, JSON.stringify([type, txnId]), local, remote);
  }

  /** What another server sends for one of its users, whom it has been checked to speak for. */
  async receive(
    origin: ServerName,
    messageId: string,
    sender: UserId,
    type: string,
    messages: DeviceMessages,
  ): Promise<void> {
    const local = Object.entries(messages).flatMap(([userId, devices]) =>
      isUserId(userId) && serverNameOf(userId) === this.#deps.serverName && isObject(devices)
        ? eventsFor(userId, devices, sender, type)
        : [],
    );
    if (local.length > maxMessages) return;
    await this.#append(origin, messageId, local, []);
  }

  /**
   * What is waiting with `after < position <= upTo`, oldest first: as much as goes into one
   * response. At once when there is nothing.
   */
  waiting(
    userId: UserId,
    deviceId: DeviceId,
    after: number,
    upTo: number,
  ): readonly ToDeviceMessage[] | Promise<readonly ToDeviceMessage[]> {
    const key = keyOf(userId, deviceId);
    if (this.#recent.isCompleteAfter(after) && (this.#recent.lastChange(key) ?? 0) <= after) {
      return [];
    }
    return this.#read(userId, deviceId, after, upTo);
  }

  /** The device has everything up to this position: that is deleted. */
  received(userId: UserId, deviceId: DeviceId, upTo: number): Promise<void> | undefined {
    const key = keyOf(userId, deviceId);
    const given = this.#given.get(key);
    if (given === 0 || (given !== undefined && upTo < given)) return undefined;
    return deleteToDeviceMessages(this.#deps.db, userId, deviceId, upTo).then(() => {
      if (this.#given.get(key) === given) this.#given.set(key, 0);
    });
  }

  /** Forgets the ids of messages that nobody will send again. */
  purge(): Promise<void> {
    const before = this.#deps.clock.nowMs() - rememberForMs;
    return this.#deps.db.transaction((tx) => deleteMessageIdsBefore(tx, before));
  }

  /** Memory may be wrong: nothing up to this position is answered from it. */
  reset(position: number): void {
    this.#recent.reset(position);
    this.#given.clear();
  }

  async #read(
    userId: UserId,
    deviceId: DeviceId,
    after: number,
    upTo: number,
  ): Promise<readonly ToDeviceMessage[]> {
    const { db } = this.#deps;
    const messages = await toDeviceMessages(db, userId, deviceId, after, upTo, maxDelivered);
    const last = messages.at(-1);
    if (last !== undefined) this.#given.set(keyOf(userId, deviceId), last.streamPos);
    return messages;
  }

  async #append(
    source: string,
    messageId: string,
    local: ToDeviceSend['local'],
    remote: ToDeviceSend['remote'],
  ): Promise<void> {
    const { log, clock } = this.#deps;
    if (local.length + remote.length === 0) return;
    const row: ToDeviceSend = {
      source,
      messageId,
      receivedAtMs: clock.nowMs(),
      local,
      remote,
      delivered: [],
      outboundPositions: [],
    };
    await log.append({
      parts: [rowsOf(toDeviceSection, [row])],
      committed: () => this.#follow(row),
    });
  }

  #follow({ delivered, outboundPositions }: ToDeviceSend): void {
    const { notifier, outbound } = this.#deps;
    for (const { userId, deviceId, streamPos } of delivered) {
      this.#recent.add(keyOf(userId, deviceId), streamPos, undefined);
      notifier.mark([userId]);
    }
    outbound.follow(outboundPositions);
  }
}

export const isFullResponse = (messages: readonly ToDeviceMessage[]): boolean =>
  messages.length === maxDelivered;

const eventsFor = (
  userId: UserId,
  devices: JsonObject,
  sender: UserId,
  type: string,
): ToDeviceSend['local'][number][] =>
  Object.entries(devices).flatMap(([deviceId, content]) =>
    isObject(content) && (deviceId === '*' || isDeviceId(deviceId))
      ? [{ userId, deviceId, event: JSON.stringify({ type, sender, content }) }]
      : [],
  );
