import fc from 'fast-check';
import type { MatrixEvent } from '../event.ts';
import type { EventId } from '../identifiers.ts';
import { EventCache } from './event-source.ts';
import { mainlineOrdering } from './mainline-ordering.ts';
import { MinHeap } from './min-heap.ts';
import { reverseTopologicalPowerOrdering } from './power-ordering.ts';

const eventOf = (
  id: string,
  authEventIds: readonly string[] = [],
  { ts = 0, type = 'm.room.topic' } = {},
): MatrixEvent =>
  ({
    eventId: id as EventId,
    type,
    stateKey: '',
    originServerTs: ts,
    authEventIds: authEventIds as EventId[],
  }) as unknown as MatrixEvent;

const ids = (events: readonly MatrixEvent[]): string =>
  events.map(({ eventId }) => eventId).join(' ');

describe('reverse topological power ordering', () => {
  const order = (events: readonly MatrixEvent[], powers: Record<string, number> = {}) =>
    ids(reverseTopologicalPowerOrdering(events, ({ eventId }) => powers[eventId] ?? 0));

  it('puts an event after its auth events, whatever their power', () => {
    const events = [eventOf('a', ['b'], { ts: 1 }), eventOf('b', ['c'], { ts: 2 }), eventOf('c')];
    expect(order(events, { a: 100 })).toBe('c b a');
  });

  it('prefers greater power, then the earlier time, then the lesser id', () => {
    const events = [
      eventOf('b', [], { ts: 5 }),
      eventOf('a', [], { ts: 5 }),
      eventOf('Z', [], { ts: 5 }),
      eventOf('early', [], { ts: 4 }),
      eventOf('creator', [], { ts: 9 }),
      eventOf('other-creator', [], { ts: 8 }),
      eventOf('admin', [], { ts: 9 }),
    ];
    const powers = {
      admin: 100,
      creator: Number.POSITIVE_INFINITY,
      'other-creator': Number.POSITIVE_INFINITY,
    };
    expect(order(events, powers)).toBe('other-creator creator admin early Z a b');
  });

  it('leaves out cycles and what follows from them', () => {
    const events = [eventOf('a', ['b']), eventOf('b', ['a']), eventOf('c', ['a']), eventOf('d')];
    expect(order(events)).toBe('d');
    expect(order([eventOf('self', ['self'])])).toBe('');
  });

  it('takes an auth event listed twice as one', () => {
    expect(order([eventOf('a', ['b', 'b']), eventOf('b')])).toBe('b a');
  });

  it('is the smallest of all topological orderings', () => {
    const graph = fc.array(
      fc.record({
        power: fc.constantFrom(0, 50, Number.POSITIVE_INFINITY),
        ts: fc.nat(2),
        cites: fc.array(fc.nat(5), { maxLength: 3 }),
      }),
      { minLength: 1, maxLength: 6 },
    );
    fc.assert(
      fc.property(graph, (nodes) => {
        const names = ['d', 'B', 'a', 'C', 'f', 'E'];
        const events = nodes.map(({ ts, cites }, index) => {
          const earlier = cites.filter((cited) => cited < index).map((cited) => names[cited]!);
          return eventOf(names[index]!, earlier, { ts });
        });
        const powerOf = ({ eventId }: MatrixEvent) => nodes[names.indexOf(eventId)]!.power;
        const compare = (x: MatrixEvent, y: MatrixEvent): number => {
          if (powerOf(x) !== powerOf(y)) return powerOf(x) > powerOf(y) ? -1 : 1;
          return x.originServerTs - y.originServerTs || (x.eventId < y.eventId ? -1 : 1);
        };
        const smallest = topologicalOrderings(events).reduce((best, ordering) => {
          const at = ordering.findIndex((event, index) => event !== best[index]);
          return at !== -1 && compare(ordering[at]!, best[at]!) < 0 ? ordering : best;
        });
        expect(ids(reverseTopologicalPowerOrdering(events.toReversed(), powerOf))).toBe(
          ids(smallest),
        );
      }),
    );
  });

  const topologicalOrderings = (events: readonly MatrixEvent[]): MatrixEvent[][] =>
    events.length === 0
      ? [[]]
      : events
          .filter((event) => !events.some(({ eventId }) => event.authEventIds.includes(eventId)))
          .flatMap((first) =>
            topologicalOrderings(events.filter((event) => event !== first)).map((rest) => [
              first,
              ...rest,
            ]),
          );
});

describe('mainline ordering', () => {
  const levels = (id: string, ...authEventIds: string[]) =>
    eventOf(id, authEventIds, { type: 'm.room.power_levels' });
  const order = async (
    events: readonly MatrixEvent[],
    powerLevels: MatrixEvent | undefined,
    others: readonly MatrixEvent[] = [],
  ) => {
    const all = [...events, ...others, ...(powerLevels ? [powerLevels] : [])];
    const known = new Map(all.map((event) => [event.eventId, event]));
    const cache = new EventCache(async () => known);
    await cache.load(known.keys());
    return ids(await mainlineOrdering(events, powerLevels, cache));
  };

  it('puts what rests on older power levels first, and what rests on none before that', async () => {
    const [p0, p1, p2] = [levels('p0', 'p1'), levels('p1', 'p2'), levels('p2')];
    const events = [
      eventOf('on-p0', ['p0'], { ts: 1 }),
      eventOf('on-p2', ['p2'], { ts: 3 }),
      eventOf('on-none', [], { ts: 9 }),
      eventOf('on-p1', ['p1'], { ts: 2 }),
    ];
    expect(await order(events, p0, [p1, p2])).toBe('on-none on-p2 on-p1 on-p0');
  });

  it('follows power levels that are not on the mainline to where they leave it', async () => {
    const [p0, p1] = [levels('p0', 'p1'), levels('p1')];
    const branch = [levels('b1', 'b2'), levels('b2', 'p1'), levels('stray')];
    const events = [
      eventOf('on-b1', ['b1'], { ts: 1 }),
      eventOf('on-b2', ['b2'], { ts: 2 }),
      eventOf('on-p1', ['p1'], { ts: 3 }),
      eventOf('on-p0', ['p0'], { ts: 0 }),
      eventOf('on-stray', ['stray'], { ts: 5 }),
    ];
    expect(await order(events, p0, [p1, ...branch])).toBe('on-stray on-b1 on-b2 on-p1 on-p0');
  });

  it('goes by time, then id, where there is no mainline', async () => {
    const events = [
      eventOf('b', ['p'], { ts: 2 }),
      eventOf('a', [], { ts: 2 }),
      eventOf('c', [], { ts: 1 }),
    ];
    expect(await order(events, undefined, [levels('p')])).toBe('c a b');
  });

  it('takes only the room’s own power levels for the mainline', async () => {
    const other = { ...levels('other'), stateKey: 'other' };
    const events = [eventOf('a', ['other', 'p'], { ts: 1 }), eventOf('b', [], { ts: 2 })];
    expect(await order(events, levels('p'), [other])).toBe('b a');
  });

  it('ends on cycles', async () => {
    const [p, q] = [levels('p', 'q'), levels('q', 'p')];
    const [r, s] = [levels('r', 's'), levels('s', 'r')];
    const events = [
      eventOf('on-q', ['q'], { ts: 1 }),
      eventOf('on-r', ['r'], { ts: 3 }),
      eventOf('on-s', ['s'], { ts: 2 }),
    ];
    expect(await order(events, p, [q, r, s])).toBe('on-s on-r on-q');
  });
});

it('a heap gives back its items in order', () => {
  fc.assert(
    fc.property(fc.array(fc.integer()), (numbers) => {
      const heap = new MinHeap<number>((a, b) => a < b);
      for (const number of numbers) heap.push(number);
      const popped = numbers.map(() => heap.pop());
      expect(popped).toEqual(numbers.toSorted((a, b) => a - b));
      expect(heap.pop()).toBeUndefined();
    }),
  );
});
