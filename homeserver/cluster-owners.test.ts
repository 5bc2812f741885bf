import { ClusterOwners, type OwningCluster } from './cluster-owners.ts';
import { LogWriteFailed } from './streams/log.ts';

class Lost extends Error {}

/** Seen from one of its processes: `calls` are answered by those named, in turn. */
const clusterOf = (...calls: (() => Promise<unknown>)[]): OwningCluster & { asked: number } => ({
  id: 'self',
  asked: 0,
  ownerOf: () => 'other',
  call() {
    this.asked += 1;
    return (calls.shift() as () => Promise<unknown>)();
  },
  isUnsent: () => false,
  isLost: (error) => error instanceof Lost,
  position: () => 0,
  reached: () => undefined,
});

const lost = () => Promise.reject(new Lost('Its process is gone'));
const unknown = () => Promise.reject(new LogWriteFailed('The leader of the log is lost'));
const full = () =>
  Promise.reject(
    new LogWriteFailed('No room', {
      cause: Object.assign(new Error('disk full'), { code: '53100', severity: 'ERROR' }),
    }),
  );
const answered = () => Promise.resolve(['done', 0]);

describe('asking an owner that dies', () => {
  it('asks again for what may be done twice', async () => {
    const cluster = clusterOf(lost, lost, answered);
    await expect(new ClusterOwners(cluster).ask('!r', 'send', [], true)).resolves.toBe('done');
    expect(cluster.asked).toBe(3);
  });

  it('asks again where nobody knows whether it was written', async () => {
    const cluster = clusterOf(unknown, answered);
    await expect(new ClusterOwners(cluster).ask('!r', 'send', [], true)).resolves.toBe('done');
    const other = clusterOf(unknown, answered);
    await expect(new ClusterOwners(other).ask('!r', 'kick', [])).rejects.toThrow('leader');
    expect(other.asked).toBe(1);
  });

  it('does not ask again where the database has no room', async () => {
    const cluster = clusterOf(full, answered);
    await expect(new ClusterOwners(cluster).ask('!r', 'send', [], true)).rejects.toThrow('room');
    expect(cluster.asked).toBe(1);
  });

  it('leaves anything else to whoever asked', async () => {
    const cluster = clusterOf(lost, answered);
    await expect(new ClusterOwners(cluster).ask('!r', 'kick', [])).rejects.toThrow(LogWriteFailed);
    expect(cluster.asked).toBe(1);
  });
});
