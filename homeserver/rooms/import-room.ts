/**
 * A room that this server has just joined through another: the answer to send_join, checked and
 * stored, and the join appended to it.
 * https://spec.matrix.org/v1.19/server-server-api/#joining-rooms
 */
import { matrixError } from '../../spec/errors.ts';
import { type MatrixEvent, type StateKey, stateKeyOf } from '../../spec/event.ts';
import type { RoomId, ServerName } from '../../spec/identifiers.ts';
import type { RoomVersionRules } from '../../spec/room-versions.ts';
import type { Clock } from '../clock.ts';
import type { KeyedQueue } from '../keyed-queue.ts';
import type { Db } from '../storage/database.ts';
import { roomEvents } from '../storage/event-section.ts';
import type { IdAllocator } from '../storage/id-allocator.ts';
import { endOutsideMemberships } from '../storage/outside-memberships.ts';
import type { RoomWrite } from '../storage/room-write.ts';
import { roomsById } from '../storage/rooms.ts';
import { type Log, rowsOf } from '../streams/log.ts';
import type { Appender } from './append.ts';
import { authEventsIn, rejectionBy } from './auth-selection.ts';
import type { EventStore } from './event-store.ts';
import { LiveRoom } from './live-room.ts';
import { describe, type Outliers } from './outliers.ts';
import type { RoomRegistry } from './room-registry.ts';
import { type StateRef, StateSnapshot } from './state-snapshot.ts';
import { type StoredEvent, stateRefOf } from './stored-event.ts';
import { emptyWrite } from './write-rows.ts';

export interface RoomImport {
  readonly roomId: RoomId;
  readonly rules: RoomVersionRules;
  /** Our user's join, signed by this server (and by an authorising one where the room asks it). */
  readonly joinEvent: MatrixEvent;
  /** The state before the join. Events have passed the first three checks on receipt. */
  readonly state: readonly MatrixEvent[];
  readonly authChain: readonly MatrixEvent[];
}

export interface RoomImporterDeps {
  readonly db: Db;
  readonly log: Log;
  readonly ids: IdAllocator;
  readonly events: EventStore;
  readonly registry: RoomRegistry;
  readonly appender: Appender;
  readonly outliers: Outliers;
  readonly localServer: ServerName;
  readonly clock: Clock;
  /** One import of a room at a time. */
  readonly roomTurns: KeyedQueue<RoomId>;
}

export class RoomImporter {
  readonly #deps: RoomImporterDeps;

  constructor(deps: RoomImporterDeps) {
    this.#deps = deps;
  }

  /**
   * Resolves when the room and the join are durable.
   * @throws MatrixError M_FORBIDDEN when the state does not authorise the join, M_BAD_STATE when it
   * is not a state at all
   */
  importRoom(room: RoomImport): Promise<LiveRoom> {
    return this.#deps.roomTurns.run(room.roomId, () => this.#import(room));
  }

  async #import(room: RoomImport): Promise<LiveRoom> {
    const known = await this.#deps.registry.find(room.roomId);
    if (known !== undefined) return known.exclusive(() => this.#join(known, room));
    const [record] = await roomsById(this.#deps.db, [room.roomId]);
    await this.#deps.ids.reserve(1);
    const nid = record?.room_nid ?? this.#deps.ids.next();
    const live = new LiveRoom({
      nid,
      id: room.roomId,
      rules: room.rules,
      extremities: [],
      state: StateSnapshot.empty,
      localServer: this.#deps.localServer,
      position: this.#deps.log.position,
      unappliedRedactions: new Map(),
    });
    const create = {
      roomId: room.roomId,
      version: room.rules.version,
      createdAtMs: this.#deps.clock.nowMs(),
    };
    return live.exclusive(() => this.#join(live, room, create));
  }

  async #join(live: LiveRoom, room: RoomImport, create?: RoomWrite['create']): Promise<LiveRoom> {
    const stateBefore = await this.#deps.outliers.exclusive(live, () =>
      this.#storeState(live, room, create),
    );
    await this.#append(live, room, stateBefore);
    if (create !== undefined) await endOutsideMemberships(this.#deps.db, live.nid);
    return live;
  }

  /**
   * Stores the events of the answer, unless they do not authorise the join. They are of no effect
   * until the join is there: should it fail after this, the next one finds them.
   */
  async #storeState(
    live: LiveRoom,
    room: RoomImport,
    create: RoomWrite['create'],
  ): Promise<StateSnapshot> {
    const { events, log, outliers } = this.#deps;
    // 4. Authorisation by the events' own auth events, for everything in the answer.
    const answered = [...room.authChain, ...room.state];
    const known = await events.manyInRoom(
      live.nid,
      answered.map(({ eventId }) => eventId),
    );
    const fresh = answered.filter(({ eventId }) => !known.has(eventId));
    const made = await outliers.make(live, fresh);
    const release = events.hold(made);
    try {
      const stateBefore = await this.#stateBefore(live.nid, room, made);
      // 5. Authorisation of the join by the state before it.
      const auth = await authEventsIn(events, live, stateBefore, room.joinEvent);
      const rejection = rejectionBy(room.joinEvent, live.rules, auth);
      if (rejection !== undefined) throw matrixError('M_FORBIDDEN', describe(rejection));
      if (create !== undefined) {
        await log.append({
          parts: [rowsOf(roomEvents, [{ ...emptyWrite(live.nid), create }])],
          ground: live.ground,
        });
      }
      await outliers.write(live, made);
      return stateBefore;
    } finally {
      release();
    }
  }

  async #append(live: LiveRoom, room: RoomImport, stateBefore: StateSnapshot): Promise<void> {
    const { events, ids, appender, registry } = this.#deps;
    const prevs = await events.manyInRoom(live.nid, room.joinEvent.prevEventIds);
    const placed = (id: (typeof room.joinEvent.prevEventIds)[number]): boolean =>
      prevs.get(id)?.snapshotAfter !== undefined;
    // What this server saw of the room in an earlier stay is no head of it any more. When another of
    // its users has come in meanwhile, the two joins are heads side by side.
    await ids.reserve(4);
    const { extremities } = live;
    if (!live.hasJoinedServer(this.#deps.localServer)) live.extremities = [];
    const appending = appender.append(
      live,
      [
        {
          event: room.joinEvent,
          stateBefore,
          // The server that took the join passes it on.
          relay: false,
          missingPrevEvents: room.joinEvent.prevEventIds.filter((id) => !placed(id)),
        },
      ],
      { snapshots: stateBefore.nid === live.state.nid ? [] : [stateBefore] },
    );
    const { committed } = await appending.catch((error) => {
      live.extremities = extremities;
      throw error;
    });
    registry.add(live);
    await committed;
  }

  async #stateBefore(
    roomNid: number,
    room: RoomImport,
    made: readonly StoredEvent[],
  ): Promise<StateSnapshot> {
    const byId = new Map(made.map((stored) => [stored.event.eventId, stored]));
    const known = await this.#deps.events.manyInRoom(
      roomNid,
      room.state.map(({ eventId }) => eventId).filter((id) => !byId.has(id)),
    );
    const refs = new Map<StateKey, StateRef>();
    for (const { eventId, type, stateKey } of room.state) {
      const stored = byId.get(eventId) ?? known.get(eventId);
      if (stored === undefined || stateKey === undefined) continue;
      if (stored.rejectedReason !== undefined) continue;
      refs.set(stateKeyOf(type, stateKey), stateRefOf(stored));
    }
    const create = refs.get(stateKeyOf('m.room.create', ''));
    if (create === undefined) {
      throw matrixError('M_BAD_STATE', 'The room that was answered has no create event');
    }
    await this.#deps.ids.reserve(1);
    return StateSnapshot.empty.with(this.#deps.ids.next(), refs);
  }
}
