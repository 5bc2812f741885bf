/**
 * Makes a room out of a create event and the events that follow it. Nothing is waited for between
 * the events, so that all of them reach the log together.
 *
 * Whoever makes a room owns it: of the ids it could have, it gets one that belongs to this process.
 */
import { authoriseEvent } from '../../spec/auth/authorise-event.ts';
import { EventRejected } from '../../spec/auth/event-rejected.ts';
import { MatrixError, matrixError } from '../../spec/errors.ts';
import type { JsonObject } from '../../spec/event.ts';
import type { RoomId, ServerName, UserId } from '../../spec/identifiers.ts';
import { type RoomVersionRules, rulesOf } from '../../spec/room-versions.ts';
import type { Clock } from '../clock.ts';
import type { Owners } from '../owners.ts';
import type { Random } from '../random.ts';
import type { IdAllocator } from '../storage/id-allocator.ts';
import { type Log, LogWriteFailed } from '../streams/log.ts';
import type { Appender } from './append.ts';
import type { AuthChains } from './auth-chains.ts';
import { LiveRoom } from './live-room.ts';
import type { LocalEvents } from './local-events.ts';
import type { RoomRegistry } from './room-registry.ts';
import { StateSnapshot } from './state-snapshot.ts';

export interface RoomMakerDeps {
  readonly serverName: ServerName;
  readonly ids: IdAllocator;
  readonly log: Log;
  readonly chains: AuthChains;
  readonly registry: RoomRegistry;
  readonly appender: Appender;
  readonly localEvents: LocalEvents;
  readonly clock: Clock;
  readonly random: Random;
  readonly owners: Owners;
}

/** One of so many ids belongs to this process, if any does: there are not so many processes. */
const maxIdsTried = 1_000;
/** How often a room is made that another process came to own before it was written. */
const maxAttempts = 4;

/** A state event of the new room, sent by its creator. */
export interface InitialEvent {
  readonly type: string;
  readonly stateKey: string;
  readonly content: JsonObject;
}

export interface RoomPlan {
  readonly creator: UserId;
  readonly rules: RoomVersionRules;
  /** From `chooseRoomId`; otherwise the room gets one here. Not where the id is a hash. */
  readonly roomId?: RoomId | undefined;
  readonly createContent: JsonObject;
  /** Everything after the create event, in order: the creator's own join comes first. */
  readonly events: readonly InitialEvent[];
  /**
   * Runs when the room's id is known, before anything of the room is written: again, with another id,
   * where that has become another process's.
   */
  readonly before?: ((roomId: RoomId) => Promise<void>) | undefined;
}

export class RoomMaker {
  readonly #deps: RoomMakerDeps;
  #lastCreateTs = 0;

  constructor(deps: RoomMakerDeps) {
    this.#deps = deps;
  }

  /** An id for a room that is to be made of a version that leaves the choice. */
  chooseRoomId(): RoomId {
    const { random, serverName } = this.#deps;
    return this.#firstOwned(
      () => `!${random.bytes(15).toString('base64url')}:${serverName}` as RoomId,
      (roomId) => roomId,
    );
  }

  /**
   * Resolves once the room and all of the events are durable.
   * @throws MatrixError M_INVALID_ROOM_STATE when one of the events is not authorised by the others
   */
  async make(plan: RoomPlan): Promise<LiveRoom> {
    for (let attempt = 1; ; attempt += 1) {
      const create = this.#buildCreate(plan);
      try {
        return await this.#make(plan, create);
      } catch (error) {
        const hasMoved =
          error instanceof LogWriteFailed &&
          this.#deps.owners.elsewhere(create.event.roomId) !== undefined;
        if (!hasMoved || plan.roomId !== undefined || attempt === maxAttempts) throw error;
      }
    }
  }

  async #make(plan: RoomPlan, create: CreateEvent): Promise<LiveRoom> {
    const { ids, log, chains, registry, serverName } = this.#deps;
    await ids.reserve(8 * plan.events.length + 32);
    const room = new LiveRoom({
      nid: ids.next(),
      id: create.event.roomId,
      rules: plan.rules,
      extremities: [],
      state: StateSnapshot.empty,
      localServer: serverName,
      position: log.position,
      unappliedRedactions: new Map(),
      missingPrevEvents: new Map(),
    });
    await plan.before?.(room.id);
    chains.begin(room.nid);
    registry.add(room);
    try {
      const commits = await room.exclusive(() => this.#stageAll(room, plan, create));
      await Promise.all(commits);
      return room;
    } catch (error) {
      // What has not been written by now never will be.
      registry.drop(room);
      chains.drop(room.nid);
      throw error;
    }
  }

  async #stageAll(
    room: LiveRoom,
    { creator, events }: RoomPlan,
    create: CreateEvent,
  ): Promise<Promise<void>[]> {
    const { appender, localEvents, clock } = this.#deps;
    const { committed } = await appender.append(
      room,
      [{ ...create, stateBefore: StateSnapshot.empty }],
      {
        create: { roomId: room.id, version: room.rules.version, createdAtMs: clock.nowMs() },
      },
    );
    const commits = [committed];
    for (const { type, stateKey, content } of events) {
      try {
        const staged = await localEvents.stage(room, { type, stateKey, content, sender: creator });
        commits.push(staged.committed);
      } catch (error) {
        const isRefused =
          error instanceof MatrixError &&
          (error.errcode === 'M_FORBIDDEN' || error.errcode === 'M_INVALID_PARAM');
        if (!isRefused) throw error;
        throw matrixError('M_INVALID_ROOM_STATE', `${type}: ${error.message}`);
      }
    }
    return commits;
  }

  #buildCreate({ creator, rules, createContent, roomId: chosen }: RoomPlan): CreateEvent {
    const { localEvents, clock } = this.#deps;
    const roomId = rules.roomIdIsCreateHash ? undefined : (chosen ?? this.chooseRoomId());
    const content: JsonObject = { ...createContent, room_version: rules.version };
    if (rules.creatorInContent) content['creator'] = creator;
    else delete content['creator'];
    const build = (): CreateEvent => {
      // Where the room id is the hash of the create event, two rooms that someone makes in the same
      // millisecond would otherwise be one.
      this.#lastCreateTs = Math.max(clock.nowMs(), this.#lastCreateTs + 1);
      const draft = { sender: creator, content, originServerTs: this.#lastCreateTs };
      return localEvents.buildCreate(rules, draft, roomId);
    };
    const create =
      roomId === undefined ? this.#firstOwned(build, ({ event }) => event.roomId) : build();
    try {
      authoriseEvent(create.event, rules, { createEvent: undefined, state: () => undefined });
    } catch (error) {
      if (!(error instanceof EventRejected)) throw error;
      throw matrixError('M_INVALID_ROOM_STATE', `m.room.create: ${error.message}`);
    }
    return create;
  }

  /** @throws {LogWriteFailed} while this process owns nothing */
  #firstOwned<T>(next: () => T, idOf: (candidate: T) => RoomId): T {
    for (let tries = 0; tries < maxIdsTried; tries += 1) {
      const candidate = next();
      if (this.#deps.owners.elsewhere(idOf(candidate)) === undefined) return candidate;
    }
    throw new LogWriteFailed('This process owns no rooms at present');
  }
}

type CreateEvent = ReturnType<LocalEvents['buildCreate']>;

/** @throws MatrixError M_UNSUPPORTED_ROOM_VERSION */
export const rulesForNewRoom = (version: string): RoomVersionRules => {
  const rules = rulesOf(version);
  if (rules === undefined) {
    throw matrixError('M_UNSUPPORTED_ROOM_VERSION', `Room version ${version} is not supported`);
  }
  return rules;
};
