/**
 * Rooms and spaces as other servers tell of them, asked for by people here and kept for some minutes.
 *
 * Specification: https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1hierarchyroomid
 */
import { LRUCache } from 'lru-cache';
import type { Clock } from '../homeserver/clock.ts';
import type { RemoteSpace } from '../homeserver/rooms/remote-rooms.ts';
import type { JsonObject, JsonValue } from '../spec/event.ts';
import {
  isRoomId,
  isUserId,
  type RoomId,
  type ServerName,
  type UserId,
} from '../spec/identifiers.ts';
import { FederationError } from './federation-error.ts';
import type { FederationClient } from './http-client.ts';
import { uri } from './uri.ts';

const ANSWER_BOUNDS = { maxBytes: 2 * 1024 * 1024, maxValues: 50_000 };
const ONE_SERVER_TIMEOUT_MS = 5_000;
const MAX_SERVERS = 3;
const LIFETIME_MS = 5 * 60_000;
/** That nobody told anything may be other in a moment. */
const NOTHING_LIFETIME_MS = 30_000;
/** Of all answers kept; characters of their JSON. */
const MAX_CACHED_LENGTH = 8 * 1024 * 1024;
const MAX_CACHED = 2_000;
const MAX_CHILDREN = 1_000;
const MAX_VIA = 20;
const MAX_ALLOWED_ROOMS = 50;
const MAX_TEXT_LENGTH = 4_096;

interface Cached {
  readonly space: Promise<RemoteSpace | undefined>;
  expiresAtMs: number;
}

export class FederatedSpaces {
  readonly #client: FederationClient;
  readonly #clock: Clock;
  readonly #cache = new LRUCache<RoomId, Cached>({ max: MAX_CACHED, maxSize: MAX_CACHED_LENGTH });

  constructor(deps: { readonly client: FederationClient; readonly clock: Clock }) {
    this.#client = deps.client;
    this.#clock = deps.clock;
  }

  /** What the first of these servers tells that tells anything. Those who ask together share it. */
  space(
    roomId: RoomId,
    servers: readonly ServerName[],
    asker: UserId,
    timeoutMs: number,
  ): Promise<RemoteSpace | undefined> {
    const nowMs = this.#clock.nowMs();
    const cached = this.#cache.get(roomId);
    if (cached !== undefined && cached.expiresAtMs > nowMs) return cached.space;
    if (servers.length === 0) return Promise.resolve(undefined);
    const space = this.#ask(roomId, servers, asker, performance.now() + timeoutMs);
    const entry: Cached = { space, expiresAtMs: nowMs + LIFETIME_MS };
    this.#cache.set(roomId, entry, { size: 1 });
    space.then(
      (found) => {
        if (this.#cache.peek(roomId) !== entry) return;
        if (found === undefined) entry.expiresAtMs = this.#clock.nowMs() + NOTHING_LIFETIME_MS;
        else this.#cache.set(roomId, entry, { size: lengthOf(found) });
      },
      () => {
        if (this.#cache.peek(roomId) === entry) this.#cache.delete(roomId);
      },
    );
    return space;
  }

  async #ask(
    roomId: RoomId,
    servers: readonly ServerName[],
    requester: UserId,
    deadlineMs: number,
  ): Promise<RemoteSpace | undefined> {
    for (const destination of [...new Set(servers)].slice(0, MAX_SERVERS)) {
      const leftMs = deadlineMs - performance.now();
      if (leftMs <= 0) break;
      try {
        const answer = await this.#client.request({
          destination,
          method: 'GET',
          path: uri`/_matrix/federation/v1/hierarchy/${roomId}`,
          query: { suggested_only: false },
          purpose: 'person',
          requester,
          timeoutMs: Math.min(leftMs, ONE_SERVER_TIMEOUT_MS),
          ...ANSWER_BOUNDS,
        });
        const space = spaceIn(answer, roomId);
        if (space !== undefined) return space;
      } catch (error) {
        if (!(error instanceof FederationError)) throw error;
      }
    }
    return undefined;
  }
}

const lengthOf = ({ room, children }: RemoteSpace): number =>
  JSON.stringify(room).length + JSON.stringify([...children]).length;

const spaceIn = (answer: JsonObject, roomId: RoomId): RemoteSpace | undefined => {
  const room = summaryIn(answer['room']);
  if (room === undefined || room['room_id'] !== roomId) return undefined;
  const stated = (answer['room'] as JsonObject)['children_state'];
  const childrenState = listIn(stated, MAX_CHILDREN).flatMap(childStateIn);
  const named = new Set(childrenState.map((child) => child['state_key']));
  const children = new Map<RoomId, JsonObject>();
  for (const child of listIn(answer['children'], MAX_CHILDREN)) {
    const summary = summaryIn(child);
    // A server tells of the rooms of this space, not of any.
    if (summary !== undefined && named.has(summary['room_id'])) {
      children.set(summary['room_id'] as RoomId, summary);
    }
  }
  return { room: { ...room, children_state: childrenState }, children };
};

const TEXTS = [
  ...['name', 'topic', 'avatar_url', 'canonical_alias', 'room_type', 'room_version'],
  ...['encryption', 'join_rule'],
];

/** What is known of a room's summary, where it has the form it should. */
const summaryIn = (value: JsonValue | undefined): JsonObject | undefined => {
  if (!isObject(value)) return undefined;
  const { room_id: roomId, num_joined_members: joined, allowed_room_ids: allowed } = value;
  if (typeof roomId !== 'string' || !isRoomId(roomId)) return undefined;
  if (!Number.isSafeInteger(joined) || (joined as number) < 0) return undefined;
  const texts = TEXTS.flatMap((name) => {
    const text = value[name];
    return typeof text === 'string' ? [[name, text.slice(0, MAX_TEXT_LENGTH)]] : [];
  });
  const rooms = listIn(allowed, MAX_ALLOWED_ROOMS).filter(
    (id) => typeof id === 'string' && isRoomId(id),
  );
  return {
    join_rule: 'public',
    ...Object.fromEntries(texts),
    room_id: roomId,
    num_joined_members: joined as number,
    guest_can_join: value['guest_can_join'] === true,
    world_readable: value['world_readable'] === true,
    ...(rooms.length > 0 && { allowed_room_ids: rooms }),
  };
};

const childStateIn = (value: JsonValue): JsonObject[] => {
  if (!isObject(value) || value['type'] !== 'm.space.child' || !isObject(value['content']))
    return [];
  const { state_key: roomId, sender, origin_server_ts: ts, content } = value;
  const { order, suggested } = content;
  if (typeof roomId !== 'string' || !isRoomId(roomId)) return [];
  if (typeof sender !== 'string' || !isUserId(sender) || !Number.isSafeInteger(ts)) return [];
  const via = listIn(content['via'], MAX_VIA).filter((name) => typeof name === 'string');
  if (via.length === 0) return [];
  return [
    {
      type: 'm.space.child',
      state_key: roomId,
      sender,
      origin_server_ts: ts as number,
      content: {
        via,
        ...(typeof order === 'string' && { order: order.slice(0, 50) }),
        ...(typeof suggested === 'boolean' && { suggested }),
      },
    },
  ];
};

const listIn = (value: JsonValue | undefined, max: number): readonly JsonValue[] =>
  Array.isArray(value) ? value.slice(0, max) : [];

const isObject = (value: JsonValue | undefined): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
