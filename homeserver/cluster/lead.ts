/** What the log gives to whoever leads, and takes back. */
import type { Member } from './members.ts';

/** The right to write the log, held. */
export interface Lead {
  /** Higher than that of every leader before. */
  readonly term: number;
  /** Where the log is. Nothing may be written before `onRole('leader')`. */
  readonly position: number;
  /** Tells the others, through the database, in the session that holds the right. */
  announce(self: Member): Promise<void>;
  /**
   * When the newest statement that has succeeded in that session was sent, by `performance.now()`;
   * of an idle leader, no more than a second ago.
   */
  provenMs(): number;
  /** Makes such a statement. @throws when the right is lost */
  confirm(): Promise<void>;
  /**
   * Runs it while nothing is being written: at once, or when what is being written has been published.
   * Who owns what changes then, so that the next owner has heard of everything that the last one wrote.
   */
  atRest(run: () => void): void;
  /** Called, at least once, should the right be lost. */
  onLost(listener: () => void): void;
  /** Gives it to whoever wants it, with everything written. Called when it was lost, too. */
  release(): Promise<void>;
}
