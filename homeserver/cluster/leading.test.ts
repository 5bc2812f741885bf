import { eventually } from '../testing/server-process.ts';
import { noCounts } from './counts.ts';
import { Leading, type LeadingOptions } from './leading.ts';
import type { Membership } from './members.ts';
import { StreamReader } from './stream-reader.ts';
import { Wire } from './testing/connected.ts';

let wire: Wire;
beforeEach(async () => {
  wire = await Wire.open({});
});
afterEach(() => wire.close());

const held = (term: number, provenMs = () => performance.now()) => ({
  term,
  position: 100,
  provenMs,
  confirm: () => Promise.reject(new Error('replaced')),
  atRest: (run: () => void) => run(),
});

const leads = (options: Partial<LeadingOptions> = {}) => {
  const epochs: Membership[] = [];
  const leading = new Leading({
    counts: noCounts(),
    self: { id: 'far', addresses: [] },
    lead: held(3),
    maxUnprovenMs: 1_000,
    expected: [],
    gatherMs: 50,
    maxStreamBytes: 1_000,
    onMembership: (membership) => epochs.push(membership),
    ...options,
  });
  return { leading, epochs, ids: () => epochs.at(-1)?.members.map(({ id }) => id) };
};

/** A member that follows, and all it has heard. */
const connected = async (id: string) => {
  const heard: unknown[] = [];
  const reader = new StreamReader({
    onReset: (position) => heard.push({ reset: position }),
    onMembership: ({ members }) => heard.push(members.map((member) => member.id)),
    onStream: (position, writes) => heard.push([position, ...writes]),
  });
  const near = await wire.dial(wire.far, {
    self: () => ({ id, addresses: [] }),
    post: (kind, payload) => reader.read(kind, payload),
  });
  const far = wire.accepted.at(-1) as typeof near;
  return { far, heard, reader };
};

const follower = async (leading: Leading, id: string) => {
  const member = await connected(id);
  leading.join(member.far);
  return member;
};

describe('Leading', () => {
  it('numbers epochs above those of every term before, one for all that come in one turn', async () => {
    const { leading, epochs, ids } = leads();
    leading.begin();
    await eventually('the first epoch', () => epochs.length === 1);
    expect(ids()).toEqual(['far']);
    const { leading: next, epochs: later } = leads({ lead: held(4) });
    next.begin();
    await eventually('the next term', () => later.length === 1);
    expect(later[0]?.epoch).toBeGreaterThan(epochs[0]?.epoch as number);
    const [a, b] = [await connected('a'), await connected('b')];
    leading.join(a.far);
    leading.join(b.far);
    await eventually('all three', () => ids()?.length === 3);
    leading.left(a.far);
    await eventually('two', () => ids()?.length === 2);
    expect(epochs).toHaveLength(3);
    for (const [at, { epoch }] of epochs.entries())
      expect(epoch - (epochs[0]?.epoch ?? 0)).toBe(at);
  });

  it('waits a while for those who were there before, so that their rooms stay', async () => {
    const { leading, epochs, ids } = leads({ expected: ['a', 'b'], gatherMs: 60_000 });
    leading.begin();
    const { heard } = await follower(leading, 'a');
    expect([epochs, heard]).toEqual([[], []]);
    await follower(leading, 'b');
    await eventually('all three', () => ids()?.length === 3);
    expect(epochs).toHaveLength(1);
    await eventually('a welcome', () => heard.length === 2);
    const { leading: impatient, ids: those } = leads({ expected: ['gone'] });
    impatient.begin();
    await eventually('an epoch without it', () => those()?.join() === 'far');
  });

  it('tells each what was written by others, and what became of its own', async () => {
    const { leading } = leads();
    leading.begin();
    const a = await follower(leading, 'a');
    const b = await follower(leading, 'b');
    await eventually('welcomes', () => a.heard.length > 1 && b.heard.length > 1);
    leading.publish(100, 102, [
      { origin: 'a', body: { text: 'ä' }, receipt: 101 },
      { body: { text: 'of the leader' } },
    ]);
    leading.publish(102, 102, [{ body: 'typing' }]);
    await eventually('both', () => a.heard.length > 4 && b.heard.length > 3);
    expect(a.heard.slice(0, 2)).toEqual([{ reset: 100 }, ['a', 'far']]);
    const rest = [{ text: 'of the leader' }];
    expect(a.heard.slice(-2)).toEqual([
      [102, 101, ...rest],
      [102, 'typing'],
    ]);
    expect(b.heard.slice(-2)).toEqual([
      [102, { text: 'ä' }, ...rest],
      [102, 'typing'],
    ]);
    expect([await leading.position(), a.reader.position, b.reader.position]).toEqual([
      102, 102, 102,
    ]);
  });

  it('tells the position alone where that is missing which lies before, or it is too much to tell', async () => {
    const { leading } = leads();
    leading.begin();
    const { heard } = await follower(leading, 'a');
    await eventually('a welcome', () => heard.length === 2);
    leading.publish(105, 106, [{ body: 'after something unheard' }]);
    leading.publish(106, 107, [{ body: 'x'.repeat(2_000) }]);
    leading.publish(107, 108, [{ body: 'next' }]);
    await eventually('all', () => heard.length === 5);
    expect(heard.slice(2)).toEqual([{ reset: 106 }, { reset: 107 }, [108, 'next']]);
  });

  it('does not say where the log is when it may have been replaced', async () => {
    const { leading } = leads();
    expect(await leading.position()).toBe(100);
    const { leading: stood } = leads({ lead: held(3, () => performance.now() - 1_001) });
    await expect(stood.position()).rejects.toThrow('replaced');
  });

  it('lets one that leaves own nothing, and follow on', async () => {
    const { leading, ids } = leads();
    leading.begin();
    const { heard, far } = await follower(leading, 'a');
    await eventually('both', () => ids()?.length === 2);
    leading.leaving('a');
    await eventually('one', () => ids()?.join() === 'far');
    leading.publish(100, 101, [{ body: 'still heard' }]);
    await eventually('news', () => heard.length === 4);
    expect(heard.slice(2)).toEqual([['far'], [101, 'still heard']]);
    expect(leading.connection('a')).toBe(far);
    leading.leaving('far');
    leading.left(far);
    await eventually('nobody else', () => leading.connection('a') === undefined);
    expect(ids()).toEqual(['far']);
  });

  it('takes one that comes anew in place of its connection before', async () => {
    const { leading, ids } = leads();
    leading.begin();
    const first = await follower(leading, 'a');
    const second = await follower(leading, 'a');
    await eventually('a welcome', () => second.heard.length === 2);
    expect(first.far.isOpen).toBe(false);
    leading.left(first.far);
    expect(leading.connection('a')).toBe(second.far);
    expect(ids()).toEqual(['a', 'far']);
  });
});
