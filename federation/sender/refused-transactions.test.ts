import { Registry } from 'prom-client';
import { silentLogger } from '../../homeserver/ops/logger.ts';
import { createTestAuthority } from '../../homeserver/outbound/testing/test-authority.ts';
import { systemRandom } from '../../homeserver/random.ts';
import { MemoryLog, presence, transactionsSentTo, until } from '../testing/memory-log.ts';
import { HERE, TestFederation } from '../testing/test-federation.ts';
import { TestPeer } from '../testing/test-peer.ts';
import { FederationSender } from './federation-sender.ts';
import { senderMetrics } from './sender-metrics.ts';

const authority = createTestAuthority();

describe('a destination that refuses transactions', () => {
  let our: TestFederation;
  let peer: TestPeer;
  let log: MemoryLog;
  let sender: FederationSender;
  let registry: Registry;
  /** What the peer took in, in order. */
  let taken: string[];
  let isGuilty: (text: string) => boolean;
  let status: number;

  const idsIn = (text: string): string[] => {
    const { pdus, edus } = JSON.parse(text);
    return [...edus, ...pdus].map(({ id, content, edu_type }) => id ?? content?.id ?? edu_type);
  };
  const start = () =>
    FederationSender.start({
      origin: HERE,
      database: our.database,
      source: log,
      client: our.client,
      health: our.health,
      clock: our.clock,
      random: systemRandom,
      logger: silentLogger,
      isAllowed: () => true,
      metrics: senderMetrics(registry),
      saveIntervalMs: 1_000_000,
    });
  /** Time passes, and the peer shows that it is there. */
  const inTime = (isDone: () => boolean) =>
    until(() => {
      our.clock.advance(6_000);
      our.health.heardFrom(peer.name);
      return isDone();
    });
  const append = (count: number, kind?: 'pdu' | 'edu') =>
    Array.from({ length: count }, () => log.append([peer.name], kind));
  const setAside = async (kind: string) =>
    (await registry.metrics()).includes(`parley_federation_set_aside_total{kind="${kind}"} 1`);

  beforeEach(async () => {
    our = await TestFederation.start({
      authority,
      policy: { firstDelayMs: 100, maxDelayMs: 3_600_000 },
    });
    peer = await TestPeer.start(authority, () => our.clock.nowMs());
    taken = [];
    status = 400;
    isGuilty = () => false;
    peer.handler = ({ text }) => {
      if (isGuilty(text)) return { status, body: '{"errcode":"M_UNKNOWN"}' };
      taken.push(...idsIn(text));
      return { pdus: {} };
    };
    log = new MemoryLog();
    registry = new Registry();
    sender = await start();
  });
  afterEach(async () => {
    await sender.stop();
    await our.stop();
    await peer.stop();
  });

  it.each([
    [400, 'pdu'],
    [401, 'edu'],
    [403, 'pdu'],
    [413, 'edu'],
  ] as const)('with %i because of one %s gets everything else', async (refusal, kind) => {
    status = refusal;
    const before = append(70);
    const [guilty = ''] = append(1, kind);
    const after = append(40, 'edu');
    isGuilty = (text) => idsIn(text).includes(guilty);
    await inTime(() => taken.includes(after.at(-1) as string));
    expect(new Set(taken)).toEqual(new Set([...before, ...after]));
    expect(taken.filter((id) => before.includes(id))).toEqual(before);
    expect(peer.received.length).toBeLessThan(25);
    expect(await setAside(kind)).toBe(true);
    await sender.save();
    const next = append(1);
    await until(() => taken.includes(next[0] as string));
  });

  it('because of what is worth something only now gets all the rest', async () => {
    isGuilty = (text) => text.includes('m.presence');
    sender.sendEphemeral([peer.name], presence('@a:here.test', 1));
    const items = append(3);
    await inTime(() => taken.includes(items[2] as string));
    expect(taken).toEqual(items);
    sender.sendEphemeral([peer.name], presence('@a:here.test', 2));
    await inTime(() => peer.received.length >= 4);
    const [next = ''] = append(1);
    await inTime(() => taken.includes(next));
  });

  it('whatever is in them is asked with nothing, and gets all of it once it listens', async () => {
    isGuilty = () => true;
    const items = append(60);
    await inTime(() => peer.received.length >= 6);
    expect(taken).toEqual([]);
    // Once it is known that nothing is heard, nothing is all that is said.
    const sent = transactionsSentTo(peer).slice(-3);
    expect(sent.flatMap(({ pdus }) => pdus)).toEqual([]);
    isGuilty = () => false;
    await inTime(() => taken.includes(items.at(-1) as string));
    expect(taken).toEqual(items);
    expect(await setAside('pdu')).toBe(false);
  });

  it('with a status that says nothing of them gets them later', async () => {
    status = 404;
    isGuilty = () => true;
    const items = append(5);
    await inTime(() => peer.received.length >= 5);
    expect(peer.received.every(({ text }) => idsIn(text).length > 0)).toBe(true);
    isGuilty = () => false;
    await inTime(() => taken.length === 5);
    expect(taken).toEqual(items);
  });
});
