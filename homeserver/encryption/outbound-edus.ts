/**
 * The EDUs that other servers must get sooner or later, as a sender reads them: what was written with
 * the log, completed with what is true of a device when it is sent.
 * https://spec.matrix.org/v1.19/server-server-api/#device-management
 */
import { lenientCanonicalJson } from '../../spec/canonical-json.ts';
import type { JsonObject } from '../../spec/event.ts';
import type { ServerName, UserId } from '../../spec/identifiers.ts';
import type { Database } from '../storage/database.ts';
import { devicesAmong } from '../storage/device-keys.ts';
import { newestOutboundEdu } from '../storage/newest-rows.ts';
import { type OutboundEduRow, outboundEdus, outboundEdusFor } from '../storage/outbound-edus.ts';
import type { Log } from '../streams/log.ts';
import { LogTail } from '../streams/log-tail.ts';
import { type KeyDirectory, withSignatures } from './key-directory.ts';

export interface OutboundEdu {
  readonly position: number;
  readonly kind: 'edu';
  readonly id: string;
  /** `{"content":…,"edu_type":…}` */
  readonly canonicalJson: string;
}

interface DevicePointer {
  readonly user_id: UserId;
  readonly device_id: string;
  /** 0: there is none. */
  readonly prev_id: number;
  /** Of an introduction; a change is at its own position. */
  readonly stream_id?: number;
}

export class OutboundEdus {
  readonly #db: Database;
  readonly #log: Log;
  readonly #directory: KeyDirectory;
  /** Where there is an EDU. They themselves stay in the database. */
  readonly #marks: LogTail<'edu', undefined>;

  constructor(deps: {
    db: Database;
    log: Log;
    directory: KeyDirectory;
  }) {
    this.#db = deps.db;
    this.#log = deps.log;
    this.#directory = deps.directory;
    // Of one key the newest is one entry, whatever the share.
    const maxBytes = Number.POSITIVE_INFINITY;
    this.#marks = new LogTail(deps.log.position, { maxBytes, onlyNewest: true });
  }

  /** Committed: called before the log advances over them. */
  follow(positions: readonly number[]): void {
    const last = positions.at(-1);
    // What was written in one batch is followed in the order of the writes, not of the positions.
    if (last !== undefined && last > this.#marks.lastPosition)
      this.#marks.add('edu', last, undefined);
  }

  async read(
    after: number,
    limit: number,
  ): Promise<{
    items: readonly { item: OutboundEdu; destinations: readonly ServerName[] }[];
    upTo: number;
  }> {
    const upTo = this.#log.position;
    if (!this.#hasAny(after)) return { items: [], upTo };
    const rows = await outboundEdus(this.#db, after, upTo, limit);
    const items = await this.#complete(rows);
    return {
      items: items.map((item, index) => ({
        item,
        destinations: rows[index]?.destinations ?? [],
      })),
      upTo: rows.length < limit ? upTo : (rows.at(-1)?.streamPos ?? upTo),
    };
  }

  async readFor(
    destination: ServerName,
    after: number,
    limit: number,
  ): Promise<{ items: readonly OutboundEdu[]; upTo: number }> {
    const upTo = this.#log.position;
    if (!this.#hasAny(after)) return { items: [], upTo };
    const rows = await outboundEdusFor(this.#db, destination, after, upTo, limit);
    return {
      items: await this.#complete(rows),
      upTo: rows.length < limit ? upTo : (rows.at(-1)?.streamPos ?? upTo),
    };
  }

  /** Takes into memory where the newest is. */
  async fill(): Promise<void> {
    const upTo = this.#marks.completeAfter;
    const position = await newestOutboundEdu(this.#db);
    const rows = position === 0 ? [] : [{ key: 'edu' as const, position, row: undefined }];
    this.#marks.fill(upTo, 0, rows);
  }

  /** Memory may be wrong: everything up to this position is read from the database. */
  reset(position: number): void {
    this.#marks.reset(position);
  }

  #hasAny(after: number): boolean {
    return !this.#marks.isCompleteAfter(after) || this.#marks.lastPosition > after;
  }

  async #complete(rows: readonly OutboundEduRow[]): Promise<OutboundEdu[]> {
    const contents = rows.map(({ content }) => JSON.parse(content) as JsonObject);
    const pointers = contents.flatMap((content, index) =>
      rows[index]?.type === 'm.device_list_update' ? [content as unknown as DevicePointer] : [],
    );
    const describe = await this.#describer(pointers);
    const completed: OutboundEdu[] = [];
    for (const [index, { streamPos, type }] of rows.entries()) {
      const stored = contents[index] as JsonObject;
      let content = stored;
      if (type === 'm.device_list_update') {
        content = describe(stored as unknown as DevicePointer, streamPos);
      } else if (type === 'm.signing_key_update') {
        const userId = stored['user_id'] as UserId;
        content = { user_id: userId, ...(await this.#directory.signingKeysOf(userId)) };
      }
      completed.push({
        position: streamPos,
        kind: 'edu',
        id: String(streamPos),
        canonicalJson: lenientCanonicalJson({ content, edu_type: type }),
      });
    }
    return completed;
  }

  async #describer(
    pointers: readonly DevicePointer[],
  ): Promise<(pointer: DevicePointer, position: number) => JsonObject> {
    if (pointers.length === 0) return () => ({});
    const pairs = pointers.map(({ user_id, device_id }) => ({
      userId: user_id,
      deviceId: device_id,
    }));
    const devices = new Map(
      this.#directory
        .namedFor(undefined, await devicesAmong(this.#db, pairs))
        .map((device) => [`${device.userId} ${device.deviceId}`, device]),
    );
    const userIds = [...new Set(pairs.map(({ userId }) => userId))];
    const signatures = await this.#directory.signaturesOn(userIds, undefined);
    return ({ user_id, device_id, prev_id, stream_id }, position) => {
      const device = devices.get(`${user_id} ${device_id}`);
      const keys = device?.keys;
      return {
        user_id,
        device_id,
        stream_id: stream_id ?? position,
        prev_id: prev_id === 0 ? [] : [prev_id],
        ...(device === undefined && { deleted: true }),
        ...(device?.displayName !== undefined && { device_display_name: device.displayName }),
        ...(keys !== undefined && {
          keys: withSignatures(
            JSON.parse(keys) as JsonObject,
            signatures.get(`${user_id} ${device_id}`),
          ),
        }),
      };
    };
  }
}
