/**
 * What is told of an event's relations together with it: its newest edit, the thread that begins
 * with it, the events that refer to it.
 * https://spec.matrix.org/v1.19/client-server-api/#aggregations-of-child-events
 */
import type { EventId } from '../../spec/identifiers.ts';
import { isJsonObject } from '../../spec/property-path.ts';
import type { Db } from '../storage/database.ts';
import {
  newestEdits,
  type RelationsViewer,
  references,
  relatedParents,
  threadSummaries,
} from '../storage/relations.ts';
import type { AccountData } from '../streams/account-data.ts';
import type { BundledRelations, EventView } from './client-events.ts';
import type { EventStore } from './event-store.ts';
import { relationOf } from './relations.ts';
import type { RoomAccess } from './room-access.ts';
import type { StoredEvent } from './stored-event.ts';
import type { ReadableRoom } from './stored-rooms.ts';

export interface AggregationsDeps {
  readonly db: Db;
  readonly events: EventStore;
  readonly accountData: AccountData;
}

/** Edits looked at for one that is valid. */
const maxEdits = 5;
const maxReferences = 100;

export class Aggregations {
  readonly #deps: AggregationsDeps;

  constructor(deps: AggregationsDeps) {
    this.#deps = deps;
  }

  /** Which of these events others relate to: the rest need no bundling. */
  async related(events: readonly StoredEvent[]): Promise<ReadonlySet<EventId>> {
    const parents = events.filter(({ event }) => event.stateKey === undefined);
    if (parents.length === 0) return new Set();
    return relatedParents(
      this.#deps.db,
      parents.map(({ roomNid, event }) => ({ roomNid, eventId: event.eventId })),
    );
  }

  /** The same events of the room, with what the reader may know of their relations. */
  async bundle(
    access: RoomAccess<ReadableRoom>,
    views: readonly EventView[],
    related?: ReadonlySet<string>,
  ): Promise<readonly EventView[]> {
    const stored = views.map((view) => view.stored);
    const parents = related ?? (await this.related(stored));
    const wanted = stored.filter(({ event }) => parents.has(event.eventId));
    if (wanted.length === 0) return views;
    const viewer = await this.viewer(access);
    if (viewer === undefined) return views;
    const bundles = await this.#bundles(access, wanted, viewer);
    return views.map((view) => {
      const relations = bundles.get(view.stored.event.eventId);
      return relations === undefined ? view : { ...view, relations };
    });
  }

  /** Whose relations count for a reader, and from when to when; undefined: none do. */
  async viewer(access: RoomAccess<ReadableRoom>): Promise<RelationsViewer | undefined> {
    const window = await access.window();
    if (window === undefined) return undefined;
    const { userId } = access;
    return { userId, ignored: [...(await this.#deps.accountData.ignoredUsers(userId))], window };
  }

  async #bundles(
    access: RoomAccess<ReadableRoom>,
    parents: readonly StoredEvent[],
    viewer: RelationsViewer,
    withThreads = true,
  ): Promise<Map<EventId, BundledRelations>> {
    const { db } = this.#deps;
    const ids = parents.map(({ event }) => event.eventId);
    const [edits, referring, threads] = await Promise.all([
      this.#edits(access, parents, viewer),
      references(db, access.room.nid, ids, viewer, maxReferences),
      withThreads ? this.#threads(access, parents, viewer) : undefined,
    ]);
    const bundles = new Map<EventId, BundledRelations>();
    for (const eventId of ids) {
      const replacement = edits.get(eventId);
      const thread = threads?.get(eventId);
      const refs = referring.get(eventId);
      if (replacement === undefined && thread === undefined && refs === undefined) continue;
      bundles.set(eventId, { replacement, thread, references: refs });
    }
    return bundles;
  }

  /** https://spec.matrix.org/v1.19/client-server-api/#validity-of-replacement-events */
  async #edits(
    access: RoomAccess<ReadableRoom>,
    parents: readonly StoredEvent[],
    viewer: RelationsViewer,
  ): Promise<Map<EventId, EventView>> {
    const { db, events } = this.#deps;
    const { nid: roomNid } = access.room;
    const editable = parents.filter(
      ({ event, redactedByNid }) =>
        redactedByNid === undefined && relationOf(event.content)?.type !== 'm.replace',
    );
    const found = new Map<EventId, EventView>();
    if (editable.length === 0) return found;
    const ids = editable.map(({ event }) => event.eventId);
    const edits = await newestEdits(db, roomNid, ids, viewer, maxEdits);
    const stored = await events.manyByNid(
      roomNid,
      edits.map(({ eventNid }) => eventNid),
    );
    const visible = await this.#visible(access, stored.values());
    for (const { parentId, eventNid } of edits) {
      const edit = visible.get(eventNid);
      if (edit !== undefined && !found.has(parentId) && hasNewContent(edit.stored)) {
        found.set(parentId, edit);
      }
    }
    return found;
  }

  async #threads(
    access: RoomAccess<ReadableRoom>,
    parents: readonly StoredEvent[],
    viewer: RelationsViewer,
  ): Promise<Map<EventId, NonNullable<BundledRelations['thread']>>> {
    const { db, events } = this.#deps;
    const { nid: roomNid } = access.room;
    const senders = new Map(parents.map(({ event }) => [event.eventId, event.sender]));
    const threads = await threadSummaries(db, roomNid, [...senders.keys()], viewer);
    const stored = await events.manyByNid(
      roomNid,
      threads.map(({ latestNid }) => latestNid),
    );
    const latest = [...stored.values()];
    const visible = await this.#visible(access, latest);
    const related = await this.related(latest);
    const bundles = await this.#bundles(
      access,
      latest.filter(({ event }) => related.has(event.eventId)),
      viewer,
      // No thread begins within another.
      false,
    );
    const found = new Map<EventId, NonNullable<BundledRelations['thread']>>();
    for (const { parentId, count, participated, latestNid } of threads) {
      const view = visible.get(latestNid);
      if (view === undefined) continue;
      found.set(parentId, {
        latest: {
          ...view,
          membership: undefined,
          relations: bundles.get(view.stored.event.eventId),
        },
        count,
        participated: participated || senders.get(parentId) === viewer.userId,
      });
    }
    return found;
  }

  async #visible(
    access: RoomAccess<ReadableRoom>,
    events: Iterable<StoredEvent>,
  ): Promise<Map<number, EventView>> {
    const views = await access.views([...events]);
    return new Map(views.map((view) => [view.stored.nid, { ...view, membership: undefined }]));
  }
}

/** What is encrypted has it inside, where only clients see it. */
const hasNewContent = ({ event }: StoredEvent): boolean =>
  event.type === 'm.room.encrypted' || isJsonObject(event.content['m.new_content']);
