/**
 * A room state as an immutable value that shares its structure with the states it grew from.
 *
 * Snapshots of a room form a sequence by height: one state change each. Snapshot `h` links to the
 * snapshot at height `h - lowbit(h)` (a Fenwick tree) and holds every change since that one. So a
 * chain has at most log2(h) links, a change is stored log2(h)/2 times on average whatever the size
 * of the room, and no snapshot ever has to be written out in full.
 *
 * Example, heights and the spans they hold: 1:(0,1] 2:(0,2] 3:(2,3] 4:(0,4] 5:(4,5] 6:(4,6] …
 */

import type { StateKey } from '../../spec/event.ts';
import type { EventId } from '../../spec/identifiers.ts';

/** A state event as a snapshot knows it; `membership` only of member events. */
export interface StateRef {
  readonly nid: number;
  readonly eventId: EventId;
  readonly membership: string | undefined;
}

/** What a change does to an entry: sets it, or removes it (only state resolution removes). */
export type StateDelta = ReadonlyMap<StateKey, StateRef | Removed>;
export interface Removed {
  readonly removedNid: number;
}

/**
 * A change of many entries at once (a joined room, a resolved fork) climbs past the next multiple of
 * a power of two at least as large, so that it too is copied only log2 times over the room's life.
 */
const nextHeight = (height: number, changes: number): number => {
  const span = changes <= 1 ? 1 : 2 ** Math.ceil(Math.log2(changes));
  return Math.floor(height / span) * span + span;
};

const isRemoved = (entry: StateRef | Removed): entry is Removed => 'removedNid' in entry;
const lowBit = (height: number): number => height & -height;

export class StateSnapshot {
  readonly nid: number;
  readonly height: number;
  readonly parent: StateSnapshot | undefined;
  readonly delta: StateDelta;

  constructor(
    nid: number,
    height: number,
    parent: StateSnapshot | undefined,
    delta: StateDelta = new Map(),
  ) {
    this.nid = nid;
    this.height = height;
    this.parent = parent;
    this.delta = delta;
  }

  /** The state before the create event: no entries. Has no row in the database. */
  static readonly empty = new StateSnapshot(0, 0, undefined);

  get(key: StateKey): StateRef | undefined {
    for (let link: StateSnapshot | undefined = this; link !== undefined; link = link.parent) {
      const entry = link.delta.get(key);
      if (entry !== undefined) return isRemoved(entry) ? undefined : entry;
    }
    return undefined;
  }

  /** Every entry, each key once, in no particular order. */
  *entries(): IterableIterator<[StateKey, StateRef]> {
    const seen = new Set<StateKey>();
    for (let link: StateSnapshot | undefined = this; link !== undefined; link = link.parent) {
      const last = link.parent === undefined || link.parent.height === 0;
      for (const [key, entry] of link.delta) {
        if (seen.has(key)) continue;
        if (!last) seen.add(key);
        if (!isRemoved(entry)) yield [key, entry];
      }
    }
  }

  toMap(): Map<StateKey, StateRef> {
    return new Map(this.entries());
  }

  /** The nids of the chain below this snapshot, nearest first. */
  below(): number[] {
    const nids: number[] = [];
    for (let link = this.parent; link !== undefined; link = link.parent) {
      if (link.height > 0) nids.push(link.nid);
    }
    return nids;
  }

  /** The state after these changes, as a new snapshot with the given id. */
  with(nid: number, changes: StateDelta): StateSnapshot {
    const height = nextHeight(this.height, changes.size);
    const parentHeight = height - lowBit(height);
    const delta = new Map(changes);
    let link: StateSnapshot | undefined = this;
    // The links of this chain above the new parent hold exactly the changes in between.
    while (link !== undefined && link.height > parentHeight) {
      for (const [key, entry] of link.delta) if (!delta.has(key)) delta.set(key, entry);
      link = link.parent;
    }
    return new StateSnapshot(nid, height, link, delta);
  }

  /** The ids as stored: set entries positive, removed ones negative. */
  storedEventNids(): number[] {
    const nids: number[] = [];
    for (const entry of this.delta.values()) {
      nids.push(isRemoved(entry) ? -entry.removedNid : entry.nid);
    }
    return nids;
  }

  /** The changes that lead from this state to `target`. */
  changesTo(target: StateSnapshot): Map<StateKey, StateRef | Removed> {
    const changes = new Map<StateKey, StateRef | Removed>();
    const shared = commonAncestor(this, target);
    const consider = (key: StateKey): void => {
      if (changes.has(key)) return;
      const before = this.get(key);
      const after = target.get(key);
      if (before?.nid === after?.nid) return;
      if (after !== undefined) changes.set(key, after);
      else if (before !== undefined) changes.set(key, { removedNid: before.nid });
    };
    for (const side of [target, this]) {
      for (let link: StateSnapshot | undefined = side; link; link = link.parent) {
        if (link.nid === shared) break;
        for (const key of link.delta.keys()) consider(key);
      }
    }
    return changes;
  }
}

/** The nearest link that both chains have, by id: the same snapshot may be loaded twice. */
const commonAncestor = (a: StateSnapshot, b: StateSnapshot): number | undefined => {
  const links = new Set<number>();
  for (let link: StateSnapshot | undefined = a; link; link = link.parent) links.add(link.nid);
  for (let link: StateSnapshot | undefined = b; link; link = link.parent) {
    if (links.has(link.nid)) return link.nid;
  }
  return undefined;
};
