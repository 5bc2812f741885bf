/**
 * Messages from device to device: kept in the log until the device has got them.
 * https://spec.matrix.org/v1.19/client-server-api/#send-to-device-messaging
 */

import { LRUCache } from 'lru-cache';
import type { Logger } from 'pino';
import { emptyRecord } from '../../spec/empty-record.ts';
import { matrixError } from '../../spec/errors.ts';
import type { JsonObject } from '../../spec/event.ts';
import {
  type DeviceId,
  fitsInBytes,
  isDeviceId,
  isUserId,
  type ServerName,
  serverNameOf,
  type UserId,
} from '../../spec/identifiers.ts';
import { clientDataLimits } from '../accounts/client-data-limits.ts';
import type { Clock } from '../clock.ts';
import type { MemoryBudget } from '../memory-budget.ts';
import type { Random } from '../random.ts';
import type { Database } from '../storage/database.ts';
import { devicesWithMessages } from '../storage/newest-rows.ts';
import {
  deleteToDeviceMessages,
  type ToDeviceMessage,
  type ToDeviceSend,
  toDeviceMessages,
  toDeviceSection,
  trimToDeviceMessages,
} from '../storage/to-device.ts';
import { existingUsers } from '../storage/users.ts';
import { type Log, rowsOf } from '../streams/log.ts';
import { LogTail } from '../streams/log-tail.ts';
import type { Notifier } from '../streams/notifier.ts';
import { isObject } from './remote-keys.ts';
import { cutForEdus, MAX_EDU_MESSAGES_BYTES } from './to-device-edus.ts';

export interface ToDeviceDeps {
  readonly db: Database;
  readonly log: Log;
  readonly logger: Logger;
  readonly notifier: Notifier;
  readonly clock: Clock;
  readonly random: Random;
  readonly serverName: ServerName;
  readonly budget: MemoryBudget;
  readonly outbound: { follow(positions: readonly number[]): void };
}

/** By user id, then by device id or `*`. */
export type DeviceMessages = JsonObject;

/** In one response of sync; a single larger message goes alone. */
const maxDelivered = { messages: 100, bytes: 1_000_000 };
/**
 * What waits for a device that does not come. The oldest go first, because they are of use to it last:
 * sessions are renewed and messages that begin them repeated until they are answered, and old keys are
 * in the key backup. Of many servers that send, none takes the place of the others: see
 * `trimToDeviceMessages`. Checked whenever a tenth of it has come, so there may be that much more.
 */
const maxQueued = { messages: 10_000, bytes: 16_000_000 };
const limits = clientDataLimits.toDevice;
const maxDevices = 50_000;
/** Of a message of another server with its type and sender. */
const maxEventBytes = MAX_EDU_MESSAGES_BYTES + 1024;
/** Of an EDU: some servers send all that a client hands them in one, keys for 250 devices. */
const maxEduBytes = 1024 * 1024;
/** What goes into one response of sync. */
export interface Waiting {
  readonly messages: readonly ToDeviceMessage[];
  /** False when more are waiting. */
  readonly isAll: boolean;
}

const nothing: Waiting = { messages: [], isAll: true };

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
  /** What has come for each device since its queue was last looked at or emptied. */
  readonly #come = new LRUCache<string, { messages: number; bytes: number }>({ max: maxDevices });

  constructor(deps: ToDeviceDeps) {
    this.#deps = deps;
    this.#recent = new LogTail(deps.log.position, {
      maxBytes: deps.budget.bytesFor('marks') / 2,
      onlyNewest: true,
    });
    deps.budget.holds('marks', () => this.#recent.bytes);
    deps.log.onRows(toDeviceSection, (rows) => {
      for (const row of rows) this.#follow(row);
    });
  }

  /**
   * Sends for a local user. A device that repeats a transaction sends nothing more.
   * @throws MatrixError M_INVALID_PARAM, M_TOO_LARGE, M_BAD_JSON for what other servers cannot read
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
      checkSizes(devices);
      if (serverNameOf(userId) === serverName) {
        local.push(...eventsFor(userId, devices, sender, type));
        continue;
      }
      const others = byServer.get(serverNameOf(userId)) ?? emptyRecord<JsonObject>();
      others[userId] = devices;
      byServer.set(serverNameOf(userId), others);
    }
    if (local.length > limits.messages) {
      throw matrixError(
        'M_INVALID_PARAM',
        `At most ${limits.messages} messages can be sent at once`,
      );
    }
    const toAllBytes = local.reduce(
      (bytes, { deviceId: to, event }) => (to === '*' ? bytes + Buffer.byteLength(event) : bytes),
      0,
    );
    if (toAllBytes > limits.bytesToAllDevices) {
      throw matrixError(
        'M_TOO_LARGE',
        `Messages to all devices of users have at most ${limits.bytesToAllDevices} bytes together`,
      );
    }
    const remote = [...byServer].flatMap(([destination, theirs]) =>
      cutForEdus(theirs).map((messages) => {
        const messageId = random.bytes(15).toString('base64url');
        const content = JSON.stringify({ sender, type, message_id: messageId, messages });
        return { destination, content };
      }),
    );
    const source = JSON.stringify([sender, deviceId ?? '']);
    await this.#append(source, JSON.stringify([type, txnId]), local, remote);
  }

  /**
   * What another server sends for one of its users, whom it has been checked to speak for. Resolves
   * when it is durable, or is for nobody here. Messages that are too large are dropped, and so is
   * all of an EDU that is.
   */
  async receive(
    origin: ServerName,
    messageId: string,
    sender: UserId,
    type: string,
    messages: DeviceMessages,
  ): Promise<void> {
    const { db, serverName, logger } = this.#deps;
    const ours = Object.entries(messages).flatMap(([userId, devices]) =>
      isUserId(userId) && serverNameOf(userId) === serverName && isObject(devices)
        ? [{ userId, devices }]
        : [],
    );
    if (ours.length === 0 || ours.length > limits.messages) return;
    const known = await existingUsers(
      db,
      ours.map(({ userId }) => userId),
    );
    let bytes = 0;
    const local = ours
      .flatMap(({ userId, devices }) =>
        known.has(userId) ? eventsFor(userId, devices, sender, type) : [],
      )
      .filter(({ event }) => {
        const size = Buffer.byteLength(event);
        bytes += size;
        return size <= maxEventBytes;
      });
    if (local.length > limits.messages || bytes > maxEduBytes) {
      logger.info({ origin, sender, bytes, messages: local.length }, 'too many to-device messages');
      return;
    }
    await this.#append(origin, messageId, local, []);
  }

  /**
   * What is waiting with `after < position <= upTo`, oldest first: as much as goes into one
   * response, and whether that is all. At once when there is nothing.
   */
  waiting(
    userId: UserId,
    deviceId: DeviceId,
    after: number,
    upTo: number,
  ): Waiting | Promise<Waiting> {
    const key = keyOf(userId, deviceId);
    if (this.#recent.isCompleteAfter(after) && (this.#recent.lastChange(key) ?? 0) <= after) {
      return nothing;
    }
    return this.#read(userId, deviceId, after, upTo);
  }

  /** The device has everything up to this position: that is deleted. */
  received(userId: UserId, deviceId: DeviceId, upTo: number): Promise<void> | undefined {
    const key = keyOf(userId, deviceId);
    const given = this.#given.get(key);
    if (given === 0 || (given !== undefined && upTo < given)) return undefined;
    const hasNone = this.#recent.isCompleteAfter(0) && this.#recent.lastChange(key) === undefined;
    if (hasNone) return undefined;
    return deleteToDeviceMessages(this.#deps.db, userId, deviceId, upTo).then(() => {
      this.#come.delete(key);
      if (this.#given.get(key) === given) this.#given.set(key, 0);
    });
  }

  /** Takes into memory which devices have messages waiting. */
  async fill(): Promise<void> {
    const upTo = this.#recent.completeAfter;
    const { completeAfter, rows } = await devicesWithMessages(this.#deps.db);
    this.#recent.fill(upTo, completeAfter, rows);
  }

  /** Memory may be wrong: nothing up to this position is answered from it. */
  reset(position: number): void {
    this.#recent.reset(position);
    this.#given.clear();
  }

  async #read(userId: UserId, deviceId: DeviceId, after: number, upTo: number): Promise<Waiting> {
    const { db } = this.#deps;
    const waiting = await toDeviceMessages(db, userId, deviceId, after, upTo, maxDelivered);
    const last = waiting.messages.at(-1);
    if (last !== undefined) this.#given.set(keyOf(userId, deviceId), last.streamPos);
    return waiting;
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
    await log.append({ parts: [rowsOf(toDeviceSection, [row])] });
  }

  #follow({ delivered, outboundPositions }: ToDeviceSend): void {
    const { notifier, outbound } = this.#deps;
    for (const { userId, deviceId, streamPos, bytes } of delivered) {
      this.#recent.add(keyOf(userId, deviceId), streamPos, undefined);
      this.#bound(userId, deviceId, bytes);
      notifier.mark([userId]);
    }
    outbound.follow(outboundPositions);
  }

  /** Looks at a queue whenever a tenth of what it may hold has come. */
  #bound(userId: UserId, deviceId: DeviceId, bytes: number): void {
    const { db, logger } = this.#deps;
    const key = keyOf(userId, deviceId);
    let come = this.#come.get(key);
    if (come === undefined) {
      come = { messages: 0, bytes: 0 };
      this.#come.set(key, come);
    }
    come.messages += 1;
    come.bytes += bytes;
    if (come.messages < maxQueued.messages / 10 && come.bytes < maxQueued.bytes / 10) return;
    this.#come.delete(key);
    trimToDeviceMessages(db, userId, deviceId, maxQueued).then(
      (dropped) => {
        if (dropped > 0)
          logger.info({ userId, deviceId, dropped }, 'old to-device messages dropped');
      },
      (error: unknown) => logger.warn({ err: error }, 'a to-device queue could not be bounded'),
    );
  }
}

/** @throws MatrixError M_TOO_LARGE */
const checkSizes = (devices: JsonObject): void => {
  for (const content of Object.values(devices)) {
    if (!fitsInBytes(JSON.stringify(content), limits.bytesEach)) {
      throw matrixError('M_TOO_LARGE', `A message has at most ${limits.bytesEach} bytes`);
    }
  }
};

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
