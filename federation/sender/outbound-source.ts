/** What the sender needs to know of the log: a small window that the composition root fills. */
import type { ServerName } from '../../spec/identifiers.ts';

/**
 * Something other servers must get, sooner or later: an event of ours (or one we vouched for, such
 * as a join we accepted), or an EDU that may not be lost.
 */
export interface OutboundItem {
  /** Its place in the log; no two items for one destination share one. */
  readonly position: number;
  readonly kind: 'pdu' | 'edu';
  /** Stays the same for the same item: the event id, or anything unique. */
  readonly id: string;
  /** Canonical JSON as it goes into a transaction: the PDU, or `{"content":…,"edu_type":…}`. */
  readonly canonicalJson: string;
}

export interface AddressedItem {
  readonly item: OutboundItem;
  /** The servers in the room at that event, without our own. */
  readonly destinations: Iterable<ServerName>;
}

export interface OutboundSource {
  /** Everything at or below this position can be read. */
  position(): number;
  /** Called whenever `position` has grown. */
  onAdvance(listener: () => void): void;
  /**
   * What follows a position, for any destination, in order. `upTo`: nothing at or below it is
   * missing from this and earlier answers; always greater than `after` while `position()` is.
   */
  read(after: number, limit: number): Promise<{ items: readonly AddressedItem[]; upTo: number }>;
  /** The same for one destination that has fallen behind. */
  readFor(
    destination: ServerName,
    after: number,
    limit: number,
  ): Promise<{ items: readonly OutboundItem[]; upTo: number }>;
}

/** An EDU that is worth something only now: typing, a read receipt, presence. */
export interface EphemeralEdu {
  /** `{"content":…,"edu_type":…}` in canonical JSON. */
  readonly canonicalJson: string;
  /** A newer one with the same key takes its place while it waits. */
  readonly key: string;
  /** Whether it waits for a server that cannot be reached; typing does not. */
  readonly keepWhenDown: boolean;
}
