import fc from 'fast-check';
import { type StateKey, stateKeyOf } from '../../spec/event.ts';
import type { EventId } from '../../spec/identifiers.ts';
import { type Removed, type StateRef, StateSnapshot } from './state-snapshot.ts';

type Model = ReadonlyMap<StateKey, StateRef>;

const keys = Array.from({ length: 12 }, (_, index) => stateKeyOf('t', `${index}`));

const refOf = (nid: number): StateRef => ({
  nid,
  eventId: `$${nid}` as EventId,
  membership: undefined,
});

const applied = (model: Model, changes: ReadonlyMap<StateKey, StateRef | Removed>): Model => {
  const next = new Map(model);
  for (const [key, change] of changes) {
    if ('removedNid' in change) next.delete(key);
    else next.set(key, change);
  }
  return next;
};

/** Which keys a step changes, and which of those it takes away; and which state it starts from. */
const step = fc.record({
  changed: fc.uniqueArray(fc.nat(keys.length - 1), { maxLength: keys.length }),
  removed: fc.array(fc.boolean(), { minLength: keys.length, maxLength: keys.length }),
  from: fc.nat(),
});

/** States that grow from one another, each beside a plain map that should hold the same. */
const grow = (steps: readonly { changed: number[]; removed: boolean[]; from: number }[]) => {
  const states: [StateSnapshot, Model][] = [[StateSnapshot.empty, new Map()]];
  let nid = 0;
  for (const { changed, removed, from } of steps) {
    const [base, model] = states[from % 4 === 0 ? from % states.length : states.length - 1] as [
      StateSnapshot,
      Model,
    ];
    const changes = new Map<StateKey, StateRef | Removed>();
    for (const index of changed) {
      const key = keys[index] as StateKey;
      const present = model.get(key);
      nid += 1;
      if (removed[index] === true && present !== undefined) {
        changes.set(key, { removedNid: present.nid });
      } else {
        changes.set(key, refOf(nid));
      }
    }
    nid += 1;
    states.push([base.with(nid, changes), applied(model, changes)]);
  }
  return states;
};

const steps = fc.array(step, { minLength: 1, maxLength: 60 });

describe('a state snapshot', () => {
  it('holds what a plain map would', () => {
    fc.assert(
      fc.property(steps, (given) => {
        for (const [state, model] of grow(given)) {
          expect(state.toMap()).toEqual(model);
          expect([...state.entries()]).toHaveLength(model.size);
          for (const key of keys) expect(state.get(key)).toEqual(model.get(key));
        }
      }),
    );
  });

  it('tells the changes that lead to any other', () => {
    fc.assert(
      fc.property(steps, fc.nat(), fc.nat(), (given, first, second) => {
        const states = grow(given);
        const [a, before] = states[first % states.length] as [StateSnapshot, Model];
        const [b, after] = states[second % states.length] as [StateSnapshot, Model];
        const changes = a.changesTo(b);
        expect(applied(before, changes)).toEqual(after);
        for (const [key, change] of changes) {
          const nid = 'removedNid' in change ? undefined : change.nid;
          expect(nid).not.toBe(before.get(key)?.nid);
        }
      }),
    );
  });

  it('has short chains, and stores each change few times', () => {
    let state = StateSnapshot.empty;
    let stored = 0;
    const changes = 1024;
    for (let nid = 1; nid <= changes; nid += 1) {
      state = state.with(nid, new Map([[stateKeyOf('t', `${nid}`), refOf(nid)]]));
      stored += state.delta.size;
      expect(1 + state.below().length).toBeLessThanOrEqual(Math.ceil(Math.log2(nid + 1)));
    }
    expect(stored / changes).toBeLessThanOrEqual(Math.log2(changes) / 2 + 1);
  });
});
