/**
 * A sync response as it is put together: every stream adds its part, and events are JSON texts from
 * the start, so that the whole is written by joining strings.
 */
import type { RoomId } from '../../spec/identifiers.ts';

export interface RoomTimeline {
  readonly events: readonly string[];
  readonly limited: boolean;
  readonly prevBatch: string;
}

/** What the state as of the end of the timeline is called; the second by clients from before v1.16. */
export type StateAfterName = 'state_after' | 'org.matrix.msc4222.state_after';

export class RoomPart {
  timeline: RoomTimeline | undefined;
  state: readonly string[] | undefined;
  stateAfter: readonly string[] | undefined;
  /** JSON. */
  summary: string | undefined;
  unreadNotifications: string | undefined;
  unreadThreadNotifications: string | undefined;
  readonly ephemeral: string[] = [];
  readonly accountData: string[] = [];
  /** How many of `ephemeral` are no reason to answer yet. */
  held = 0;
  /** The counts have changed; otherwise they are there because something else is. */
  hasNewCounts = false;

  /** Whether nothing in this is a reason to answer yet. */
  get canWait(): boolean {
    return (
      this.held === this.ephemeral.length &&
      this.held > 0 &&
      !this.hasNewCounts &&
      this.timeline === undefined &&
      this.state === undefined &&
      this.stateAfter === undefined &&
      this.summary === undefined &&
      this.accountData.length === 0
    );
  }

  /** @param isHeld see `held` */
  addEphemeral(event: string, isHeld: boolean): void {
    this.ephemeral.push(event);
    if (isHeld) this.held += 1;
  }

  toJson(stateAfterName: StateAfterName): string {
    const parts: string[] = [];
    if (this.summary !== undefined) parts.push(`"summary":${this.summary}`);
    if (this.state !== undefined) parts.push(`"state":${eventList(this.state)}`);
    if (this.stateAfter !== undefined) {
      parts.push(`"${stateAfterName}":${eventList(this.stateAfter)}`);
    }
    if (this.timeline !== undefined) {
      const { events, limited, prevBatch } = this.timeline;
      parts.push(
        `"timeline":{"events":[${events.join(',')}],"limited":${limited},"prev_batch":"${prevBatch}"}`,
      );
    }
    if (this.unreadNotifications !== undefined) {
      parts.push(`"unread_notifications":${this.unreadNotifications}`);
    }
    if (this.unreadThreadNotifications !== undefined) {
      parts.push(`"unread_thread_notifications":${this.unreadThreadNotifications}`);
    }
    // Present even when empty: there are clients that look into them without asking.
    parts.push(`"ephemeral":${eventList(this.ephemeral)}`);
    parts.push(`"account_data":${eventList(this.accountData)}`);
    return `{${parts.join(',')}}`;
  }
}

const eventList = (events: readonly string[]): string => `{"events":[${events.join(',')}]}`;

const roomMap = <Part>(rooms: ReadonlyMap<RoomId, Part>, json: (part: Part) => string): string => {
  const parts: string[] = [];
  for (const [roomId, part] of rooms) parts.push(`${JSON.stringify(roomId)}:${json(part)}`);
  return `{${parts.join(',')}}`;
};

const asItIs = (json: string): string => json;

/** Never written to. */
const none = new Map<never, never>();

export class SyncResponse {
  readonly #join = new Map<RoomId, RoomPart>();
  // What few answers have is made when it is first needed: every poll makes two of these.
  #leave: Map<RoomId, RoomPart> = none;
  #invite: Map<RoomId, string> = none;
  #knock: Map<RoomId, string> = none;
  /** Top-level properties that hold a list of events: `account_data`, `presence`, `to_device`. */
  #eventLists: Map<string, string[]> = none;
  readonly #properties = new Map<string, string>();
  readonly #stateAfterName: StateAfterName;
  #hasNews = false;
  /** Set when not all messages for the device went in: the position of the last that did. */
  toDeviceUpTo: number | undefined;
  /** Set when not all changes of presence went in: the serial of the last that did. */
  presenceUpTo: number | undefined;
  /** For the next token: where the client shows somebody who types. */
  typingIn: readonly number[] | undefined;
  /** Set when there is presence, and none of it is a reason to answer yet. */
  isPresenceHeld = false;

  constructor(stateAfterName: StateAfterName = 'state_after') {
    this.#stateAfterName = stateAfterName;
  }

  /** The part of a joined room, begun when first asked for. */
  joined(roomId: RoomId): RoomPart {
    return partOf(this.#join, roomId);
  }

  /** Whether the parts begun are of these rooms only. */
  isWithin(rooms: readonly { readonly roomId: RoomId }[]): boolean {
    if (this.#join.size === 0) return true;
    if (this.#join.size > rooms.length) return false;
    const known = new Set(rooms.map(({ roomId }) => roomId));
    for (const roomId of this.#join.keys()) if (!known.has(roomId)) return false;
    return true;
  }

  hasJoined(roomId: RoomId): boolean {
    return this.#join.has(roomId);
  }

  left(roomId: RoomId): RoomPart {
    if (this.#leave === none) this.#leave = new Map();
    return partOf(this.#leave, roomId);
  }

  /** `strippedState` is a JSON array. */
  invited(roomId: RoomId, strippedState: string): void {
    if (this.#invite === none) this.#invite = new Map();
    this.#invite.set(roomId, `{"invite_state":{"events":${strippedState}}}`);
  }

  knocked(roomId: RoomId, strippedState: string): void {
    if (this.#knock === none) this.#knock = new Map();
    this.#knock.set(roomId, `{"knock_state":{"events":${strippedState}}}`);
  }

  addEvent(list: 'account_data' | 'presence' | 'to_device', event: string): void {
    if (this.#eventLists === none) this.#eventLists = new Map();
    const events = this.#eventLists.get(list);
    if (events === undefined) this.#eventLists.set(list, [event]);
    else events.push(event);
  }

  /** A top-level property that every response has, news or not. */
  setProperty(name: string, json: string): void {
    this.#properties.set(name, json);
  }

  /** A property that a waiting client is to be told of at once. */
  setNews(name: string, json: string): void {
    this.#properties.set(name, json);
    this.#hasNews = true;
  }

  /** Whether a reader that waits is to go on waiting: for anything, or for more to go with this. */
  get canWait(): boolean {
    if (
      this.#hasNews ||
      this.#leave.size > 0 ||
      this.#invite.size > 0 ||
      this.#knock.size > 0 ||
      this.#eventLists.size > (this.isPresenceHeld ? 1 : 0)
    ) {
      return false;
    }
    for (const part of this.#join.values()) if (!part.canWait) return false;
    return true;
  }

  get hasTimeline(): boolean {
    return this.#timelines().length > 0;
  }

  /** The events of all timelines as one JSON array, each with the id of its room. */
  timelinesToJson(): string {
    const events: string[] = [];
    for (const [roomId, timeline] of this.#timelines()) {
      const room = `{"room_id":${JSON.stringify(roomId)},`;
      for (const event of timeline.events) events.push(room + event.slice(1));
    }
    return `[${events.join(',')}]`;
  }

  /** Those that have events. */
  #timelines(): [RoomId, RoomTimeline][] {
    const found: [RoomId, RoomTimeline][] = [];
    for (const [roomId, { timeline }] of [...this.#join, ...this.#leave]) {
      if (timeline !== undefined && timeline.events.length > 0) found.push([roomId, timeline]);
    }
    return found;
  }

  toJson(nextBatch: string): string {
    const parts = [`"next_batch":"${nextBatch}"`];
    for (const [name, events] of this.#eventLists) parts.push(`"${name}":${eventList(events)}`);
    for (const [name, json] of this.#properties) parts.push(`"${name}":${json}`);
    const rooms: string[] = [];
    const written = (part: RoomPart): string => part.toJson(this.#stateAfterName);
    if (this.#join.size > 0) rooms.push(`"join":${roomMap(this.#join, written)}`);
    if (this.#invite.size > 0) rooms.push(`"invite":${roomMap(this.#invite, asItIs)}`);
    if (this.#leave.size > 0) rooms.push(`"leave":${roomMap(this.#leave, written)}`);
    if (this.#knock.size > 0) rooms.push(`"knock":${roomMap(this.#knock, asItIs)}`);
    if (rooms.length > 0) parts.push(`"rooms":{${rooms.join(',')}}`);
    return `{${parts.join(',')}}`;
  }
}

const partOf = (parts: Map<RoomId, RoomPart>, roomId: RoomId): RoomPart => {
  let part = parts.get(roomId);
  if (part === undefined) {
    part = new RoomPart();
    parts.set(roomId, part);
  }
  return part;
};
