import { eventually } from '../testing/server-process.ts';
import { type MemberProcess, TestCluster } from './testing/member-process.ts';
import type { ClusterTimings } from './timings.ts';

let cluster: TestCluster;
beforeEach(async () => {
  cluster = await TestCluster.make();
});
afterEach(() => cluster.close());

const three = async (
  timings: Partial<ClusterTimings> = {},
): Promise<{ leader: MemberProcess; others: MemberProcess[] }> => {
  const all = await Promise.all([1, 2, 3].map(() => cluster.add({ timings })));
  const leader = await cluster.agreed(all);
  return { leader, others: all.filter((each) => each !== leader) };
};

const state = async (of: MemberProcess) =>
  (await of.order({ do: 'state' })) as { position: number; followed: number[] };

/** From now until these have a leader and agree, in milliseconds. */
const until = async (
  processes: MemberProcess[],
): Promise<{ leader: MemberProcess; ms: number }> => {
  const startedMs = performance.now();
  const leader = await cluster.agreed(processes);
  return { leader, ms: performance.now() - startedMs };
};

describe('processes of one server', () => {
  it('choose one leader, and hear what it writes in one order', async () => {
    const { leader, others } = await three();
    await Promise.all([...others, leader].map((each) => each.order({ do: 'append' })));
    for (const each of others) {
      expect(await each.order({ do: 'position' })).toEqual({ asked: 3, followed: 3 });
      expect((await state(each)).followed).toEqual([1, 2, 3]);
    }
  });

  it('call each other, over the same connections in both directions, and errors keep their kind', async () => {
    const { leader, others } = await three();
    for (const from of [leader, ...others]) {
      for (const to of [leader, ...others]) {
        const call = { do: 'call', to: to.id, method: 'echo', args: { to: to.id } } as const;
        expect(await from.order(call)).toEqual({ to: to.id });
      }
    }
    const [a, b] = others as [MemberProcess, MemberProcess];
    const refused = a.order({ do: 'call', to: b.id, method: 'refuse' });
    await expect(refused).rejects.toThrow('LogWriteFailed: not the owner');
    const unknown = a.order({ do: 'call', to: 'nobody', method: 'echo' });
    await expect(unknown).rejects.toThrow('CallLost');
  });

  it('have another leader soon after theirs was killed, and everything acknowledged', async () => {
    const { leader, others } = await three();
    const [a, b] = others as [MemberProcess, MemberProcess];
    const acknowledged: number[] = [];
    let isDone = false;
    const writing = [a, b].map(async (each) => {
      while (!isDone) {
        const position = await each.order({ do: 'append' }).catch(() => undefined);
        if (position !== undefined) acknowledged.push(position as number);
      }
    });
    await eventually('some writes', () => acknowledged.length > 20);
    const before = acknowledged.length;
    await leader.kill();
    const { ms } = await until(others);
    expect(ms).toBeLessThan(3_000);
    await eventually('more writes', () => acknowledged.length > before + 20);
    isDone = true;
    await Promise.all(writing);
    expect(new Set(acknowledged).size).toBe(acknowledged.length);
    expect(await cluster.positions()).toEqual(expect.arrayContaining(acknowledged));
  });

  it('replace a frozen leader, which can write nothing more and comes back as a member', async () => {
    const { leader, others } = await three();
    await leader.order({ do: 'append' });
    leader.child.kill('SIGSTOP');
    // Lies in its socket until it goes on.
    leader.child.send({ id: 1_000_000, do: 'append' });
    const { ms } = await until(others);
    expect(ms).toBeLessThan(5_000);
    await others[0]?.order({ do: 'append' });
    // Asked of one that still believes to lead.
    const asked = leader.order({ do: 'position' }).catch(() => 'lost');
    leader.child.kill('SIGCONT');
    expect(await asked).toBe('lost');
    await cluster.agreed([leader, ...others]);
    expect(leader.role).toBe('member');
    expect(await cluster.positions()).toEqual([1, 2]);
    expect(await leader.order({ do: 'position' })).toEqual({ asked: 2, followed: 2 });
  });

  it('give up a member that is killed or frozen, and take it back', async () => {
    const { leader, others } = await three();
    const [a, b] = others as [MemberProcess, MemberProcess];
    const waiting = a.order({ do: 'call', to: b.id, method: 'echo' });
    await waiting;
    const { epoch } = leader;
    await b.kill();
    await cluster.agreed([leader, a]);
    expect(leader.epoch).toBe(epoch + 1);
    a.child.kill('SIGSTOP');
    await cluster.agreed([leader]);
    const missed = await leader.order({ do: 'append' });
    a.child.kill('SIGCONT');
    await cluster.agreed([leader, a]);
    expect(await a.order({ do: 'position' })).toEqual({ asked: missed, followed: missed });
  });

  it('give up a member that does not keep up, and it begins anew where the log is', async () => {
    // Not by their silence, this time.
    const { leader, others } = await three({ maxSilentTicks: 1_000 });
    const [slow, quick] = others as [MemberProcess, MemberProcess];
    slow.child.kill('SIGSTOP');
    // More than may wait for one member.
    for (let n = 0; n < 18; n++) {
      await leader.order({ do: 'append', args: 8_000_000 });
      await quick.order({ do: 'position' });
    }
    await eventually('its end', () => !leader.members.includes(slow.id));
    slow.child.kill('SIGCONT');
    await cluster.agreed([leader, slow, quick]);
    expect(await slow.order({ do: 'position' })).toEqual({ asked: 18, followed: 18 });
    expect(slow.told.filter((told) => 'reset' in told).at(-1)).toEqual({ reset: 18 });
    expect((await state(quick)).followed).toHaveLength(18);
  });

  it('hand over what they own when they leave, whoever leads', async () => {
    const { leader, others } = await three();
    const [a, b] = others as [MemberProcess, MemberProcess];
    await a.order({ do: 'leave' });
    await eventually('an epoch without it', () => leader.members.length === 2);
    expect(leader.members).not.toContain(a.id);
    // It still follows, and finishes what it has begun.
    await a.order({ do: 'append' });
    await a.order({ do: 'stop' });
    await a.kill('SIGTERM');
    await leader.order({ do: 'leave' });
    await eventually('the last owner', () => b.members.join() === b.id);
    const startedMs = performance.now();
    await leader.order({ do: 'stop' });
    await cluster.agreed([b]);
    expect(performance.now() - startedMs).toBeLessThan(3_000);
  });

  it('join under load, and then follow without a gap', async () => {
    const first = await cluster.add();
    const newest = { position: 0 };
    let isDone = false;
    const writing = Promise.all(
      [1, 2, 3, 4].map(async () => {
        while (!isDone) newest.position = (await first.order({ do: 'append' })) as number;
      }),
    );
    const others = await Promise.all([cluster.add(), cluster.add({ tcp: true })]);
    await cluster.agreed([first, ...others]);
    await eventually('writes', () => newest.position > 200);
    isDone = true;
    await writing;
    for (const each of others) {
      await each.order({ do: 'position' });
      const { position, followed } = await state(each);
      const resets = each.told.filter((told) => 'reset' in told);
      expect(resets).toHaveLength(1);
      const from = resets[0]?.['reset'] as number;
      expect(followed).toEqual(Array.from({ length: position - from }, (_, at) => from + at + 1));
    }
  });
});
