import fc from 'fast-check';
import type { EventId } from '../../spec/identifiers.ts';
import { RoomBuilder } from '../../spec/testing/room-builder.ts';
import { localUser, type TestCore, testCore } from '../testing/test-core.ts';
import { testRooms } from '../testing/test-rooms.ts';
import type { ChainGraph, Reach } from './chain-graph.ts';
import type { StoredEvent } from './stored-event.ts';

let test: TestCore;
beforeAll(async () => {
  test = await testCore();
});
afterAll(() => test.close());

const template = new RoomBuilder().create;
let graphs = 0;

/** State events numbered from 1, each with the auth events named: smaller numbers. */
const eventsWith = (authNids: readonly (readonly number[])[]): StoredEvent[] => {
  graphs += 1;
  const idOf = (nid: number): EventId => `$${graphs}-${nid}` as EventId;
  return authNids.map((auth, index) => ({
    nid: index + 1,
    roomNid: graphs,
    event: { ...template, eventId: idOf(index + 1), authEventIds: auth.map(idOf) },
    streamPos: undefined,
    backfillPos: 0,
    snapshotBefore: undefined,
    snapshotAfter: undefined,
    currentSnapshot: undefined,
    replacesNid: undefined,
    rejectedReason: undefined,
    softFailed: false,
    redactedByNid: undefined,
    senderDevice: undefined,
    txnId: undefined,
  }));
};

/** A random graph: the auth events of each event are among those before it. */
const authGraph = fc
  .array(fc.array(fc.nat(), { maxLength: 4 }), { minLength: 1, maxLength: 40 })
  .map((lists) =>
    lists.map((list, index) =>
      index === 0 ? [] : [...new Set(list.map((value) => (value % index) + 1))],
    ),
  );

/** The events in the auth chains of these, by walking. */
const walked = (auth: readonly (readonly number[])[], starts: readonly number[]): Set<number> => {
  const found = new Set<number>();
  const queue = starts.flatMap((nid) => auth[nid - 1] ?? []);
  for (let nid = queue.pop(); nid !== undefined; nid = queue.pop()) {
    if (found.has(nid)) continue;
    found.add(nid);
    queue.push(...(auth[nid - 1] ?? []));
  }
  return found;
};

const graphOf = async (
  auth: readonly (readonly number[])[],
  batch: number,
): Promise<ChainGraph> => {
  const { chains } = test.core;
  const events = eventsWith(auth);
  for (const stored of events) test.core.events.remember(stored);
  chains.begin(graphs);
  // In batches, each in an order that is not that of the graph.
  for (let start = 0; start < events.length; start += batch) {
    await chains.place(graphs, events.slice(start, start + batch).reverse());
  }
  return chains.graphOf(graphs);
};

const sorted = (nids: Iterable<number>): number[] => [...nids].sort((a, b) => a - b);

describe('a chain cover', () => {
  it('finds the same auth chain differences as walking', async () => {
    await fc.assert(
      fc.asyncProperty(
        authGraph,
        fc.integer({ min: 1, max: 10 }),
        fc.array(fc.array(fc.nat(), { minLength: 1, maxLength: 4 }), {
          minLength: 1,
          maxLength: 3,
        }),
        async (auth, batch, sets) => {
          const graph = await graphOf(auth, batch);
          const picked = sets.map((set) => set.map((value) => (value % auth.length) + 1));
          const walks = picked.map((set) => walked(auth, set));
          const reaches = picked.map((set) => graph.authChainReach(set) as Reach);
          const all = new Set(walks.flatMap((walk) => [...walk]));
          const expected = [...all].filter((nid) => !walks.every((walk) => walk.has(nid)));
          expect(sorted(graph.difference(reaches))).toEqual(sorted(expected));
        },
      ),
    );
  });

  it('finds the same events that nobody leads to as walking, or gives up in time', async () => {
    let gaveUp = 0;
    let found = 0;
    await fc.assert(
      fc.asyncProperty(
        authGraph,
        fc.array(fc.nat(), { minLength: 1, maxLength: 8 }),
        fc.array(fc.nat(), { minLength: 0, maxLength: 4 }),
        fc.constantFrom(4, 1000),
        async (auth, picks, starts, maxVisits) => {
          const graph = await graphOf(auth, 10);
          const numbered = (values: readonly number[]) =>
            new Set(values.map((value) => (value % auth.length) + 1));
          const [wanted, startNids] = [numbered(picks), numbered(starts)];
          const below = walked(auth, [...startNids]);
          const outside = graph.inNoAuthChain(wanted, (nid) => startNids.has(nid), maxVisits);
          const expected = [...wanted].filter((nid) => !below.has(nid));
          if (outside === undefined) gaveUp += 1;
          else {
            found += 1;
            expect(sorted(outside)).toEqual(sorted(expected));
          }
          if (maxVisits === 1000) expect(outside).toBeDefined();
          const reach = graph.authChainReach(startNids) as Reach;
          const notReached = [...wanted].filter((nid) => !graph.reaches(reach, nid));
          expect(sorted(notReached)).toEqual(sorted(expected));
        },
      ),
    );
    expect([gaveUp > 0, found > 0]).toEqual([true, true]);
  });

  it('looks at no more than what leads to an event, though thousands rest on one before it', async () => {
    // The first member's event stands in the chain of what all the others rest on.
    const members = Array.from({ length: 500 }, () => [1]);
    const graph = await graphOf([[], ...members], 1_000);
    const { nid, chain } = [...Array(501).keys()]
      .map((index) => ({ nid: index + 1, ...graph.placeOf(index + 1) }))
      .find(({ seq }) => seq === 2) as { nid: number; chain: number };
    expect(graph.placeOf(1)?.chain).toBe(chain);
    expect(graph.inNoAuthChain([nid], (start) => start !== nid, 10)).toEqual([nid]);
    expect(graph.inNoAuthChain([1], () => false, 10)).toBeUndefined();
  });

  it('finds the same events between as walking', async () => {
    await fc.assert(
      fc.asyncProperty(
        authGraph,
        fc.integer({ min: 1, max: 10 }),
        fc.array(fc.nat(), { minLength: 1, maxLength: 5 }),
        async (auth, batch, picks) => {
          const graph = await graphOf(auth, batch);
          const ends = [...new Set(picks.map((value) => (value % auth.length) + 1))];
          const below = new Set([...ends, ...walked(auth, ends)]);
          const expected = [...below].filter((nid) => {
            const reached = walked(auth, [nid]);
            return ends.some((end) => end === nid || reached.has(end));
          });
          expect(sorted(graph.between(ends) as number[])).toEqual(sorted(expected));
        },
      ),
    );
  });

  it('is as good when read back from the database', async () => {
    const { roomCreator } = testRooms(test.core);
    const roomId = await roomCreator.create(localUser('alice'), { name: 'x' });
    const room = await test.core.registry.find(roomId);
    const nids = [...(room?.state.entries() ?? [])].map(([, ref]) => ref.nid);
    const before = (await test.core.chains.graphOf(room?.nid ?? 0)).authChainReach(nids);
    test.core.chains.clear();
    const after = (await test.core.chains.graphOf(room?.nid ?? 0)).authChainReach(nids);
    expect(before?.size).toBeGreaterThan(0);
    expect(after).toEqual(before);
  });
});
