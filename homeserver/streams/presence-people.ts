/**
 * What this server's people do: kept by the process that owns each of them, wherever they do it, and
 * told to all. When that process ends, the next owner takes people as they are seen; those of whom it
 * hears nothing within a minute go offline.
 */
import {
  type DeviceId,
  type ServerName,
  serverNameOf,
  type UserId,
} from '../../spec/identifiers.ts';
import type { Clock } from '../clock.ts';
import type { Owners } from '../owners.ts';
import type { UserRooms } from '../rooms/user-rooms.ts';
import type { Broadcast } from './broadcast.ts';
import { PresenceActivity, type PresenceState } from './presence-activity.ts';
import {
  isSame,
  type PresenceBoard,
  type PresenceEntry,
  type UserPresence,
} from './presence-board.ts';
import type { PresenceIntroductions } from './presence-introductions.ts';
import { PresenceSignals } from './presence-signals.ts';

/** As processes tell each other. The rooms are those the teller has read of somebody new. */
export interface PresenceNews {
  readonly user: UserPresence;
  readonly roomNids?: readonly number[] | undefined;
}

export interface PresencePeopleParts {
  readonly clock: Clock;
  readonly owners: Owners;
  readonly broadcast: Broadcast;
  readonly userRooms: UserRooms;
  readonly serverName: ServerName;
  readonly board: PresenceBoard;
  readonly introductions: PresenceIntroductions;
  /** Those with a device that is connected. */
  readonly active: Map<UserId, PresenceActivity>;
  /** Somebody is there who may go again. */
  readonly onCome: () => void;
}

const gone = { presence: 'offline', lastActiveMs: 0 } as const;
const nothing = { statusMsg: undefined };

export class PresencePeople {
  /** Those with a device that is connected, of whom this process is the owner. */
  readonly active: Map<UserId, PresenceActivity>;
  readonly #parts: PresencePeopleParts;
  readonly #signals: PresenceSignals;
  /** How people are to be seen, while that is being told. */
  readonly #telling = new Map<UserId, UserPresence>();

  constructor(parts: PresencePeopleParts) {
    const { owners } = parts;
    this.#parts = parts;
    this.active = parts.active;
    this.#signals = new PresenceSignals(owners, parts.clock);
    owners.onChange(() => this.goByOwners());
    owners.answer('presence.seen', async (...sign: Parameters<PresencePeople['seen']>) =>
      this.seen(...sign),
    );
    owners.answer('presence.set', (...said: Parameters<PresencePeople['set']>) =>
      this.set(...said),
    );
  }

  /** See `Presence.seen`. */
  seen(
    userId: UserId,
    deviceId: DeviceId | undefined,
    wish: PresenceState,
    timeoutMs: number,
  ): void {
    if (this.#isElsewhere(userId)) {
      const shown = this.#parts.board.get(userId)?.current.presence;
      this.#signals.seen(userId, deviceId, wish, timeoutMs, shown);
      return;
    }
    if (wish === 'offline' && !this.active.has(userId)) return;
    this.#activity(userId).synced(deviceId ?? '', wish, timeoutMs, this.#parts.clock.nowMs());
    this.#show(userId);
  }

  /** See `Presence.set`. */
  async set(
    userId: UserId,
    deviceId: DeviceId | undefined,
    presence: PresenceState,
    statusMsg: string | undefined,
  ): Promise<void> {
    if (this.#isElsewhere(userId)) {
      const args = [userId, deviceId, presence, statusMsg];
      await this.#parts.owners.ask(userId, 'presence.set', args);
      return;
    }
    this.#activity(userId).said(deviceId ?? '', presence, this.#parts.clock.nowMs());
    await this.#publish(userId, { statusMsg });
  }

  /** A user did something. Whoever has no device connected stays offline. */
  acted(userId: UserId, deviceId?: string): void {
    const activity = this.active.get(userId);
    if (activity === undefined) return;
    activity.acted(deviceId, this.#parts.clock.nowMs());
    this.#show(userId);
  }

  /** Lets those go whose time has come, and reminds other servers of the rest. */
  expire(): void {
    const { board, introductions } = this.#parts;
    for (const [userId, activity] of this.active) {
      this.#show(userId);
      const shown = board.get(userId)?.current.presence ?? 'offline';
      if (activity.isGone && shown === 'offline') {
        this.active.delete(userId);
        introductions.forget(userId);
      } else introductions.remindInTime(userId);
    }
  }

  /** Goes by who owns whom now. */
  goByOwners(): void {
    const { board, introductions } = this.#parts;
    for (const userId of this.active.keys()) {
      if (!this.#isElsewhere(userId)) continue;
      this.active.delete(userId);
      introductions.forget(userId);
    }
    for (const userId of board.userIds()) this.settle(userId);
  }

  /** Where this process owns the user: that they are seen as they are. */
  settle(userId: UserId): void {
    if (this.active.has(userId)) this.#show(userId);
    else this.takeUp(userId);
  }

  /** Somebody of whom only is known how they were seen: they have so long to show a sign of life. */
  takeUp(userId: UserId): void {
    const { board, clock, introductions, onCome, serverName } = this.#parts;
    const { presence, lastActiveMs } = board.get(userId)?.current ?? gone;
    if (presence === 'offline' || serverNameOf(userId) !== serverName) return;
    if (this.#isElsewhere(userId)) return;
    this.active.set(userId, PresenceActivity.recalled(presence, lastActiveMs, clock.nowMs()));
    // Other servers are reminded once those who do not come back are gone.
    introductions.remindLater(userId);
    onCome();
  }

  #isElsewhere(userId: UserId): boolean {
    return this.#parts.owners.elsewhere(userId) !== undefined;
  }

  #activity(userId: UserId): PresenceActivity {
    let activity = this.active.get(userId);
    if (activity === undefined) {
      activity = new PresenceActivity(this.#parts.board.get(userId)?.current.lastActiveMs ?? 0);
      this.active.set(userId, activity);
      this.#parts.onCome();
    }
    return activity;
  }

  #show(userId: UserId): void {
    // Where the rooms could not be read, the user's next step tries again.
    this.#publish(userId)?.catch(() => undefined);
  }

  /** Shows a local user's state to others where it is another than before. */
  #publish(userId: UserId, say?: Pick<UserPresence, 'statusMsg'>): Promise<void> | undefined {
    const entry = this.#parts.board.get(userId);
    if (entry !== undefined) return this.#publishIn(userId, entry, entry.rooms, say);
    const rooms = this.#parts.userRooms.of(userId);
    const publish = (found: Awaited<typeof rooms>): Promise<void> | undefined => {
      const joined = new Set<number>();
      for (const room of found.values()) if (room.membership === 'join') joined.add(room.roomNid);
      return this.#publishIn(userId, this.#parts.board.get(userId), joined, say);
    };
    return rooms instanceof Promise ? rooms.then(publish) : publish(rooms);
  }

  #publishIn(
    userId: UserId,
    known: PresenceEntry | undefined,
    rooms: Set<number>,
    say: Pick<UserPresence, 'statusMsg'> | undefined,
  ): Promise<void> | undefined {
    const activity = this.active.get(userId);
    const presence = activity?.stateAt(this.#parts.clock.nowMs()) ?? 'offline';
    const lastActiveMs = activity?.lastActiveMs ?? known?.current.lastActiveMs ?? 0;
    const { statusMsg } = say ?? this.#telling.get(userId) ?? known?.current ?? nothing;
    const user: UserPresence = { userId, presence, statusMsg, lastActiveMs };
    return this.#tell(known, user, rooms);
  }

  /** Tells everyone, where it is news. */
  #tell(
    known: PresenceEntry | undefined,
    user: UserPresence,
    rooms: ReadonlySet<number>,
  ): Promise<void> | undefined {
    const { userId } = user;
    const telling = this.#telling.get(userId);
    if (isSame(telling ?? known?.current, user)) {
      if (known !== undefined && telling === undefined) known.current = user;
      return undefined;
    }
    const news: PresenceNews = known === undefined ? { user, roomNids: [...rooms] } : { user };
    const told = this.#parts.broadcast.tell('presence', news);
    if (told === undefined) return undefined;
    this.#telling.set(userId, user);
    return told.finally(() => {
      if (this.#telling.get(userId) === user) this.#telling.delete(userId);
    });
  }
}
