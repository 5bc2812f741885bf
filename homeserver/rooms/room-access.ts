/**
 * What one person may see of one room: everything that shows a room's events or state to somebody
 * asks here, so that there is one answer to "up to where", "which events", "which state" and "what
 * that hangs on an event". Made once for a request; for a member in the usual room it costs nothing.
 * https://spec.matrix.org/v1.19/client-server-api/#room-history-visibility
 */
import { matrixError } from '../../spec/errors.ts';
import type { UserId } from '../../spec/identifiers.ts';
import type { Db } from '../storage/database.ts';
import { type TimelinePlace, timelineBetween } from '../storage/events.ts';
import type { EventView } from './client-events.ts';
import { withoutErased } from './erased-senders.ts';
import type { EventStore } from './event-store.ts';
import type { LiveRoom } from './live-room.ts';
import type { SnapshotStore } from './snapshot-store.ts';
import type { StateSnapshot } from './state-snapshot.ts';
import { membershipHistory } from './stays.ts';
import type { StoredEvent } from './stored-event.ts';
import type { ReadableRoom } from './stored-rooms.ts';
import type { Reader, Sight, Visibility } from './visibility.ts';

/**
 * `member`: joined now. `departed`: was joined, and has not forgotten it. `onlooker`: neither, but
 * the room is world-readable now. `outsider`: may see nothing but their own membership, however they
 * came by it: invited, knocked, banned.
 */
export type Standing = 'member' | 'departed' | 'onlooker' | 'outsider';

/** A stretch of the log in which everything in the room may be seen by whom it was made for. */
export interface Window {
  /** Only `after < position <= upTo`. */
  readonly after: number;
  readonly upTo: number;
  /** Only events that came as they were sent, not those of history fetched later. */
  readonly liveOnly: boolean;
}

export interface RoomAccessDeps {
  readonly database: Db;
  readonly events: EventStore;
  readonly snapshots: SnapshotStore;
  readonly visibility: Visibility;
}

export interface RoomAccessInit<Room extends ReadableRoom = LiveRoom> {
  readonly userId: UserId;
  readonly room: Room;
  readonly standing: Standing;
  /** Position at which the present stay, or the last one, began. */
  readonly stayFrom: number;
  /** The event by which the user ceased to be joined: of those who are not, and were. */
  readonly departure: StoredEvent | undefined;
  readonly isWorldReadable: boolean;
  /** Of the user's member event; undefined if they never had to do with the room, or forgot it. */
  readonly memberNid: number | undefined;
  /** The present, in the log. */
  readonly position: number;
}

const noSights: ReadonlyMap<number, Sight> = new Map();
const startOfLog: TimelinePlace = { streamPos: 0, backfillPos: 0 };
const endOfLog: TimelinePlace = { streamPos: Number.MAX_SAFE_INTEGER, backfillPos: 0 };

export class RoomAccess<Room extends ReadableRoom = LiveRoom> {
  readonly userId: UserId;
  readonly room: Room;
  readonly standing: Standing;
  readonly departure: StoredEvent | undefined;
  /** Nothing later is shown: the present, or the moment the user left. */
  readonly upTo: TimelinePlace;
  readonly #deps: RoomAccessDeps;
  /** Position at which the present stay, or the last one, began. */
  readonly stayFrom: number;
  readonly #reader: Reader;
  readonly #isWorldReadable: boolean;
  readonly #memberNid: number | undefined;

  constructor(deps: RoomAccessDeps, init: RoomAccessInit<Room>) {
    this.#deps = deps;
    this.userId = init.userId;
    this.room = init.room;
    this.standing = init.standing;
    this.departure = init.departure;
    const leftAt = init.departure?.streamPos ?? -1;
    const isGone = init.standing === 'departed' && !init.isWorldReadable;
    this.upTo = { streamPos: isGone ? leftAt : init.position, backfillPos: 0 };
    this.stayFrom = init.stayFrom;
    this.#isWorldReadable = init.isWorldReadable;
    this.#memberNid = init.memberNid;
    this.#reader = {
      userId: init.userId,
      joinedUpTo: init.standing === 'member' ? Number.POSITIVE_INFINITY : leftAt,
    };
  }

  /** Those of these events that the user may see, in the order given. */
  async views(events: readonly StoredEvent[]): Promise<EventView[]> {
    const others = events.filter((stored) => !this.#isOfStay(stored) && this.#isWithin(stored));
    const along = { state: this.room.committed.state, events };
    const sights =
      others.length === 0
        ? noSights
        : await this.#deps.visibility.sightsOf(this.#reader, others, along);
    const views: EventView[] = [];
    /** Nids that may have to be hidden. */
    const referred: number[] = [];
    for (const stored of events) {
      const isOfStay = this.#isOfStay(stored);
      const sight = sights.get(stored.nid);
      if (!isOfStay && sight === undefined) continue;
      const { replacesNid, redactedByNid } = stored;
      views.push({ stored, membership: isOfStay ? 'join' : (sight?.membershipAfter ?? 'leave') });
      // Whoever was joined at an event knew what it replaced: it was the state.
      const wasJoined = isOfStay || sight?.membershipBefore === 'join';
      if (replacesNid !== undefined && !wasJoined) referred.push(replacesNid);
      // In the present stay, what came later came in it too.
      const isPresent = isOfStay && this.standing === 'member';
      if (redactedByNid !== undefined && !isPresent) referred.push(redactedByNid);
    }
    const told = referred.length === 0 ? views : this.#hiding(views, await this.#unseen(referred));
    if (sights.size === 0) return told;
    const wasThere = (stored: StoredEvent): boolean =>
      this.#isOfStay(stored) || sights.get(stored.nid)?.membershipBefore === 'join';
    return this.#withoutErased(told, wasThere);
  }

  /**
   * Events of a state that the user may see, as they may see them. At once where nothing has to be
   * looked up.
   */
  stateViews(events: readonly StoredEvent[]): EventView[] | Promise<EventView[]> {
    const plain = events.every(
      (stored) =>
        (this.standing === 'member' && this.#isOfStay(stored)) ||
        (stored.replacesNid === undefined &&
          stored.redactedByNid === undefined &&
          !this.#mayBeErased(stored)),
    );
    return plain
      ? events.map((stored) => ({ stored, membership: undefined }))
      : this.#stateViews(events);
  }

  /** The newest state the user may see. */
  async state(): Promise<StateSnapshot> {
    if (this.standing === 'member' || this.#isWorldReadable) return this.room.committed.state;
    return this.departure === undefined
      ? Promise.reject(notInRoom())
      : this.#stateAfter(this.departure);
  }

  /** The state at a place in the timeline; the newest, where the user may not know that one. */
  async stateAt(at: TimelinePlace): Promise<StateSnapshot> {
    const newest = await this.state();
    if (!isBefore(at, this.upTo)) return newest;
    const state = await this.#findState(at);
    const { visibility } = this.#deps;
    const maySee = await visibility.maySeeState(this.#reader, this.room.nid, state, at.streamPos);
    return maySee ? state : newest;
  }

  /** Where all may be counted and told of without looking at each; undefined: nowhere. */
  async window(): Promise<Window | undefined> {
    const { visibility } = this.#deps;
    const { nid, committed } = this.room;
    const isMember = this.standing === 'member';
    if (!isMember && this.standing !== 'departed') {
      if (this.standing === 'outsider') return undefined;
      const setting = await visibility.settingEvent(nid, committed.state);
      const after = setting?.streamPos ?? Number.MAX_SAFE_INTEGER;
      return { after, upTo: Number.MAX_SAFE_INTEGER, liveOnly: true };
    }
    const upTo = isMember ? Number.MAX_SAFE_INTEGER : this.#reader.joinedUpTo;
    return (await this.#isOpen())
      ? { after: -1, upTo, liveOnly: false }
      : { after: this.stayFrom - 1, upTo, liveOnly: true };
  }

  /** @throws MatrixError M_FORBIDDEN for those who may see nothing of the room */
  assertMayLook(): void {
    if (this.standing === 'outsider') throw notInRoom();
  }

  /**
   * Whether an event came while the user was joined. By the order of the log: what other servers
   * sent meanwhile, not having heard that the user came or went, counts too.
   */
  #isOfStay({ streamPos, backfillPos }: StoredEvent): boolean {
    return (
      streamPos !== undefined &&
      backfillPos === 0 &&
      streamPos >= this.stayFrom &&
      streamPos < this.#reader.joinedUpTo
    );
  }

  /** Those of these events that the user may not see. */
  async #unseen(nids: readonly number[]): Promise<Set<number>> {
    const { events, visibility } = this.#deps;
    const unseen = new Set(nids);
    const doubtful: StoredEvent[] = [];
    for (const stored of (await events.manyByNid(this.room.nid, nids)).values()) {
      if (this.#isOfStay(stored)) unseen.delete(stored.nid);
      else if (this.#isWithin(stored)) doubtful.push(stored);
    }
    const sights = await visibility.sightsOf(this.#reader, doubtful);
    for (const nid of sights.keys()) unseen.delete(nid);
    return unseen;
  }

  #hiding(views: readonly EventView[], unseen: ReadonlySet<number>): EventView[] {
    if (unseen.size === 0) return [...views];
    return views.map((view) => {
      const { replacesNid, redactedByNid } = view.stored;
      const hides = [replacesNid, redactedByNid].some(
        (nid) => nid !== undefined && unseen.has(nid),
      );
      return hides ? { ...view, hidden: unseen } : view;
    });
  }

  /**
   * What states were before and why something in them was redacted is told by a rule that looks at no
   * state: in a room that has not always been open, only of what came during the user's stay.
   */
  async #stateViews(events: readonly StoredEvent[]): Promise<EventView[]> {
    const { nid } = this.room;
    const isOpen = this.standing !== 'onlooker' && (await this.#isOpen());
    const redactions = await this.#deps.events.manyByNid(
      nid,
      events.flatMap(({ redactedByNid }) => redactedByNid ?? []),
    );
    const views = events.map((stored) => {
      const hidden = new Set<number>();
      const { replacesNid, redactedByNid } = stored;
      if (replacesNid !== undefined && !isOpen && !this.#isOfStay(stored)) hidden.add(replacesNid);
      if (redactedByNid !== undefined) {
        const redaction = redactions.get(redactedByNid);
        const isTold =
          redaction !== undefined &&
          (this.#isOfStay(redaction) || (isOpen && this.#isWithin(redaction)));
        if (!isTold) hidden.add(redactedByNid);
      }
      const view = { stored, membership: undefined };
      return hidden.size === 0 ? view : { ...view, hidden };
    });
    return this.#withoutErased(views, (stored) => !this.#mayBeErased(stored));
  }

  /** Of an event in a state: whether its user may be gone. Who is joined is not. */
  #mayBeErased(stored: StoredEvent): boolean {
    const { type, sender, stateKey } = stored.event;
    if (type !== 'm.room.member' || this.#isOfStay(stored)) return false;
    const { committed } = this.room;
    return (
      committed.membership(sender) !== 'join' || committed.membership(stateKey as UserId) !== 'join'
    );
  }

  #withoutErased(
    views: readonly EventView[],
    knew: (stored: StoredEvent) => boolean,
  ): Promise<EventView[]> {
    const { database, events } = this.#deps;
    const { rules, localServer, nid } = this.room;
    return withoutErased(database, views, {
      rules,
      localServer,
      knew: ({ stored }) => knew(stored),
      stays: async () =>
        this.#memberNid === undefined
          ? []
          : (await membershipHistory(events, nid, this.#memberNid)).stays,
    });
  }

  #isOpen(): boolean | Promise<boolean> {
    return this.#deps.visibility.isOpen(this.room.nid, this.room.committed.state);
  }

  #isWithin({ streamPos }: StoredEvent): boolean {
    return streamPos !== undefined && streamPos <= this.upTo.streamPos;
  }

  /** After the last event up to the place, or else before the first one this server has. */
  async #findState(at: TimelinePlace): Promise<StateSnapshot> {
    const { database, events, snapshots } = this.#deps;
    const { nid } = this.room;
    const [latest] = events.adopt(
      await timelineBetween(database, nid, startOfLog, at, 'backwards', 1),
    );
    if (latest !== undefined) return this.#stateAfter(latest);
    const [first] = events.adopt(await timelineBetween(database, nid, at, endOfLog, 'forwards', 1));
    return snapshots.load(nid, first?.snapshotBefore ?? 0);
  }

  #stateAfter({ roomNid, currentSnapshot, snapshotAfter }: StoredEvent): Promise<StateSnapshot> {
    return this.#deps.snapshots.load(roomNid, currentSnapshot ?? snapshotAfter ?? 0);
  }
}

const isBefore = (a: TimelinePlace, b: TimelinePlace): boolean =>
  a.streamPos < b.streamPos || (a.streamPos === b.streamPos && a.backfillPos < b.backfillPos);

export const notInRoom = () => matrixError('M_FORBIDDEN', 'You are not in this room');
