/**
 * What is kept of presence when the process ends: how each of this server's people was last seen. It
 * is written in batches and behind, so that a crash takes the changes of the last seconds along; they
 * mend themselves when people come back. A thousand clients who do so after a restart are then no news
 * to each other.
 */
import type { UserId } from '../../spec/identifiers.ts';
import type { Logger } from '../ops/logger.ts';
import type { Db } from '../storage/database.ts';
import { newestPresence, type PresenceRow, putPresence } from '../storage/presence.ts';
import { joinedRoomNids } from '../storage/snapshots.ts';

export interface RememberedPresence extends PresenceRow {
  readonly roomNids: readonly number[];
}

const saveEveryMs = 5_000;
const savedTogether = 500;
/** So many are taken up at a start: those whose presence changed last. */
const maxRemembered = 5_000;

export class PresenceMemory {
  readonly #db: Db;
  readonly #logger: Logger;
  readonly #rowOf: (userId: UserId) => PresenceRow | undefined;
  readonly #unsaved = new Set<UserId>();
  #timer: NodeJS.Timeout | undefined;
  #saving: Promise<void> = Promise.resolve();

  constructor(db: Db, logger: Logger, rowOf: (userId: UserId) => PresenceRow | undefined) {
    this.#db = db;
    this.#logger = logger;
    this.#rowOf = rowOf;
  }

  /** The user's presence has changed: it is written before long. */
  changed(userId: UserId): void {
    this.#unsaved.add(userId);
    this.#timer ??= setTimeout(() => void this.save(), saveEveryMs).unref();
  }

  /** Those who were seen last, oldest change first, with the rooms they have joined. */
  async recall(): Promise<RememberedPresence[]> {
    const rows = await newestPresence(this.#db, maxRemembered);
    const found: RememberedPresence[] = [];
    for (let start = 0; start < rows.length; start += savedTogether) {
      const some = rows.slice(start, start + savedTogether);
      const users = some.map(({ userId }) => userId);
      const rooms = await joinedRoomNids(this.#db, users);
      for (const row of some) found.push({ ...row, roomNids: rooms.get(row.userId) ?? [] });
    }
    return found;
  }

  /** Writes what has changed. What could not be written is lost with the process, and no sooner. */
  save(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#saving = this.#saving.then(() => this.#save());
    return this.#saving;
  }

  async #save(): Promise<void> {
    const rows = [...this.#unsaved].flatMap((userId) => this.#rowOf(userId) ?? []);
    this.#unsaved.clear();
    try {
      for (let start = 0; start < rows.length; start += savedTogether) {
        await putPresence(this.#db, rows.slice(start, start + savedTogether));
      }
    } catch (error) {
      this.#logger.warn({ err: error }, 'presence not saved: it is when it next changes');
    }
  }
}
