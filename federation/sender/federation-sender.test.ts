import { silentLogger } from '../../homeserver/ops/logger.ts';
import { createTestAuthority } from '../../homeserver/outbound/testing/test-authority.ts';
import { soleOwner } from '../../homeserver/owners.ts';
import { systemRandom } from '../../homeserver/random.ts';
import type { JsonObject } from '../../spec/event.ts';
import type { ServerName } from '../../spec/identifiers.ts';
import { MemoryLog, presence, transactionsSentTo, typing, until } from '../testing/memory-log.ts';
import { HERE, TestFederation } from '../testing/test-federation.ts';
import { TestPeer } from '../testing/test-peer.ts';
import { FederationSender, type FederationSenderOptions } from './federation-sender.ts';
import { OwnedSender } from './owned-sender.ts';

const authority = createTestAuthority();

describe('federation sender', () => {
  let our: TestFederation;
  let peer: TestPeer;
  let log: MemoryLog;
  let sender: FederationSender;

  const start = (options: Partial<FederationSenderOptions> = {}) =>
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
      saveIntervalMs: 1_000_000,
      ...options,
    });
  const sent = (by = peer) => transactionsSentTo(by);
  const pdus = (by = peer) => sent(by).flatMap((transaction) => transaction.pdus);
  const appendMany = (count: number, to: ServerName[] = [peer.name]) =>
    Array.from({ length: count }, () => log.append(to));
  const refuse = (status = 503) => {
    peer.handler = () => ({ status, body: '{}' });
  };
  const accept = () => {
    peer.handler = () => ({ pdus: {} });
  };
  /** Goes on to the time at which the destination is tried again; anything for it is a reason. */
  const retry = async () => {
    await until(() => our.health.isLeftAlone(peer.name));
    our.clock.set(our.health.retryAtMs(peer.name) + 1);
    sender.sendEphemeral([peer.name], typing(0));
  };
  const stored = async () => {
    const { rows } = await our.database.query({
      text: `SELECT destination, sent_pos FROM destinations WHERE sent_pos IS NOT NULL`,
    });
    return rows;
  };
  beforeEach(async () => {
    our = await TestFederation.start({
      authority,
      policy: { firstDelayMs: 100, maxDelayMs: 3_600_000 },
    });
    peer = await TestPeer.start(authority, () => our.clock.nowMs());
    accept();
    log = new MemoryLog();
    sender = await start();
  });
  afterEach(async () => {
    await sender.stop();
    await our.stop();
    await peer.stop();
  });

  it('sends what is addressed to a server, in order, signed, and nothing else', async () => {
    const first = log.append([peer.name]);
    log.append(['127.0.0.1:9' as ServerName]);
    const third = log.append([peer.name]);
    await until(() => pdus().length === 2);
    expect(pdus()).toEqual([first, third]);
    const [request] = peer.received;
    expect(request?.method).toBe('PUT');
    expect(request?.url).toMatch(/^\/_matrix\/federation\/v1\/send\/[\w-]+$/);
    expect(JSON.parse(request?.text ?? '')).toMatchObject({
      origin: HERE,
      origin_server_ts: our.clock.nowMs(),
    });
    expect(request?.headers.authorization).toContain(`origin="${HERE}"`);
  });

  it('sends one transaction at a time, of at most 50 PDUs', async () => {
    let running = 0;
    let most = 0;
    peer.handler = async () => {
      most = Math.max(most, ++running);
      await new Promise((resolve) => setTimeout(resolve, 10));
      running--;
      return { pdus: {} };
    };
    const ids = appendMany(120);
    await until(() => pdus().length === 120);
    expect(pdus()).toEqual(ids);
    expect(most).toBe(1);
    expect(Math.max(...sent().map((transaction) => transaction.pdus.length))).toBe(50);
    expect(log.catchUpReads).toBe(0);
  });

  it('repeats a failed transaction as it was, then goes on', async () => {
    refuse();
    const first = log.append([peer.name]);
    await until(() => sent().length === 1);
    const second = log.append([peer.name]);
    accept();
    await retry();
    await until(() => sent().length === 3);
    const [failed, again, next] = sent();
    expect(again).toEqual(failed);
    expect(failed?.pdus).toEqual([first]);
    expect(next?.pdus).toEqual([second]);
    expect(next?.txnId).not.toBe(failed?.txnId);
  });

  it('uses the same id for the same events even when put together anew, before any others', async () => {
    refuse();
    const [first] = appendMany(1);
    await until(() => our.health.isLeftAlone(peer.name));
    const [failed] = sent();
    const [second] = appendMany(1);
    // Too late to repeat the very same transaction: its time of origin is another.
    our.clock.advance(2 * 3_600_000);
    accept();
    sender.sendEphemeral([peer.name], typing(0));
    await until(() => sent().length === 3);
    expect(sent()[1]).toEqual(failed);
    expect(sent().map((transaction) => transaction.pdus)).toEqual([[first], [first], [second]]);
    expect(peer.received[1]?.text).not.toBe(peer.received[0]?.text);
  });

  it.each([400, 403, 404, 500])('does not take %i for an answer', async (status) => {
    refuse(status);
    const id = log.append([peer.name]);
    await until(() => sent().length === 1);
    await retry();
    await until(() => sent().length >= 2);
    await until(() => our.health.retryAtMs(peer.name) - our.clock.nowMs() > 150);
    accept();
    await retry();
    await until(() => pdus().length === 3);
    expect(pdus()).toEqual([id, id, id]);
  });

  /** The other side has an event before we have its answer; a save lets go of who has everything. */
  const settled = (): Promise<void> =>
    until(async () => {
      await sender.save();
      return sender.busyDestinations === 0;
    });

  it('loses nothing in a long outage and keeps little in memory', async () => {
    refuse();
    log.append([peer.name]);
    await until(() => our.health.isLeftAlone(peer.name));
    const before = sent().length;
    appendMany(500);
    for (let day = 0; day < 5; day++) {
      our.clock.advance(24 * 3_600_000);
      const count = sent().length;
      appendMany(100);
      await until(() => sent().length > count && our.health.isLeftAlone(peer.name));
    }
    expect(sent().length).toBe(before + 5);
    peer.requests.length = 0;
    accept();
    await retry();
    await until(() => new Set(pdus()).size === 1001);
    expect(pdus()).toEqual(Array.from({ length: 1001 }, (_, index) => `$${index + 1}`));
    appendMany(1);
    await until(() => pdus().length === 1002);
    await settled();
    expect(await stored()).toEqual([]);
  });

  it('falls behind a slow server and catches up from the log', async () => {
    let release: () => void = () => undefined;
    peer.handler = () =>
      new Promise((resolve) => {
        release = () => resolve({ pdus: {} });
      });
    const ids = appendMany(1);
    await until(() => sent().length === 1);
    ids.push(...appendMany(400));
    await until(() => log.position() === 401);
    accept();
    release();
    await until(() => pdus().length === 401);
    expect(pdus()).toEqual(ids);
    expect(log.catchUpReads).toBeGreaterThan(0);
  });

  it('resumes after a restart, clean or not', async () => {
    refuse();
    const ids = appendMany(3);
    await until(() => our.health.isLeftAlone(peer.name));
    await sender.save();
    expect(await stored()).toEqual([{ destination: peer.name, sent_pos: 0 }]);
    await sender.stop();
    ids.push(...appendMany(2));
    accept();
    our.clock.set(our.health.retryAtMs(peer.name) + 1);
    peer.requests.length = 0;
    sender = await start();
    await until(() => pdus().length >= 5);
    expect(pdus()).toEqual(ids);
    await settled();
    expect(await stored()).toEqual([]);

    // Killed without saving: what was sent since then is sent again, and nothing is missing.
    const late = appendMany(2);
    await until(() => pdus().length === 7);
    peer.requests.length = 0;
    const crashed = sender;
    sender = await start();
    await until(() => pdus().length === 2);
    expect(pdus()).toEqual(late);
    await crashed.stop();
  });

  it('sends nothing older than its very first start', async () => {
    await sender.stop();
    await our.database.query({ text: 'DELETE FROM federation_senders' });
    log = new MemoryLog();
    appendMany(3);
    sender = await start();
    const id = log.append([peer.name]);
    await until(() => pdus().length === 1);
    expect(pdus()).toEqual([id]);
  });

  it('tries at once when it hears from the server', async () => {
    refuse();
    log.append([peer.name]);
    await until(() => sent().length === 1);
    for (let i = 0; i < 12; i++) {
      await retry();
      const count = sent().length;
      await until(() => sent().length > count);
    }
    expect(our.health.retryAtMs(peer.name) - our.clock.nowMs()).toBeGreaterThan(100_000);
    accept();
    our.clock.advance(6000);
    our.health.heardFrom(peer.name);
    await until(() => !our.health.isFailing(peer.name));
  });

  it('keeps other destinations going while one is silent', async () => {
    peer.handler = () => 'hang';
    const other = await TestPeer.start(authority, () => our.clock.nowMs());
    appendMany(30, [peer.name, other.name]);
    await until(() => pdus(other).length === 30);
    await sender.stop({ graceMs: 50 });
    expect(await stored()).toEqual([{ destination: peer.name, sent_pos: 0 }]);
    expect(our.health.isFailing(peer.name)).toBe(false);
    await other.stop();
  });

  it('bounds how many transactions run at a time', async () => {
    await sender.stop();
    sender = await start({ maxConcurrentTransactions: 2 });
    let running = 0;
    let most = 0;
    const peers = await Promise.all(
      Array.from({ length: 5 }, () => TestPeer.start(authority, () => our.clock.nowMs())),
    );
    for (const one of peers) {
      one.handler = async () => {
        most = Math.max(most, ++running);
        await new Promise((resolve) => setTimeout(resolve, 20));
        running--;
        return { pdus: {} };
      };
    }
    appendMany(
      3,
      peers.map(({ name }) => name),
    );
    await until(() => peers.every((one) => pdus(one).length === 3));
    expect(most).toBe(2);
    await Promise.all(peers.map((one) => one.stop()));
  });

  it('survives a database that is away for a while', async () => {
    log.broken = true;
    const id = log.append([peer.name]);
    await new Promise((resolve) => setTimeout(resolve, 20));
    log.broken = false;
    await until(() => pdus().length === 1);
    expect(pdus()).toEqual([id]);
  });

  it('keeps servers apart that are not allowed or belong to another share', async () => {
    await sender.stop();
    const other = '127.0.0.1:9' as ServerName;
    sender = await start({
      isAllowed: (name) => name !== other,
      share: { name: 'half', owns: (name) => name !== peer.name },
    });
    appendMany(1, [peer.name, other]);
    sender.sendEphemeral([peer.name, other], typing(1));
    expect(sender.busyDestinations).toBe(0);
  });

  describe('EDUs', () => {
    it('travel with the next transaction, at most 100 in one', async () => {
      let release: () => void = () => undefined;
      peer.handler = () =>
        new Promise((resolve) => {
          release = () => resolve({ pdus: {} });
        });
      log.append([peer.name]);
      await until(() => sent().length === 1);
      accept();
      for (let n = 0; n < 130; n++) sender.sendEphemeral([peer.name], typing(n));
      const durable = log.append([peer.name], 'edu');
      await new Promise((resolve) => setImmediate(resolve));
      release();
      await until(() => sent().length === 3);
      const [, second, third] = sent();
      expect([second?.edus.length, third?.edus.length]).toEqual([100, 31]);
      expect(second?.edus[0]).toEqual({ content: { id: durable }, edu_type: 'm.direct_to_device' });
    });

    it('of which only the newest counts replace each other while they wait', async () => {
      let release: () => void = () => undefined;
      peer.handler = () =>
        new Promise((resolve) => {
          release = () => resolve({ pdus: {} });
        });
      sender.sendEphemeral([peer.name], typing(0));
      await until(() => sent().length === 1);
      accept();
      for (let n = 0; n < 20; n++) sender.sendEphemeral([peer.name], presence('a', n));
      sender.sendEphemeral([peer.name], presence('b', 0));
      release();
      await until(() => sent().length === 2);
      expect(sent()[1]?.edus.map((edu) => edu['content'])).toEqual([
        { n: 19, user: 'a' },
        { n: 0, user: 'b' },
      ]);
    });

    it('are dropped or kept small while the server is away, unless they are in the log', async () => {
      refuse();
      sender.sendEphemeral([peer.name], presence('early', 1));
      sender.sendEphemeral([peer.name], typing(1));
      await until(() => our.health.isLeftAlone(peer.name));
      for (let n = 0; n < 300; n++) {
        sender.sendEphemeral([peer.name], typing(n));
        sender.sendEphemeral([peer.name], presence(`u${n % 150}`, n));
      }
      sender.sendEphemeral([peer.name], presence('early', 2));
      const durable = log.append([peer.name], 'edu');
      peer.requests.length = 0;
      accept();
      our.clock.advance(3 * 3_600_000);
      await until(() => sent().flatMap(({ edus }) => edus).length >= 101);
      const contents = sent().flatMap(({ edus }) =>
        edus.map((edu) => edu['content'] as JsonObject),
      );
      expect(contents.filter(({ id }) => id === durable)).toHaveLength(1);
      expect(contents.filter(({ user }) => user === 'early')).toEqual([{ n: 2, user: 'early' }]);
      expect(contents).toHaveLength(101);
    });

    it('get an id that is never used twice', async () => {
      sender.sendEphemeral([peer.name], typing(1));
      await until(() => sent().length === 1);
      sender.sendEphemeral([peer.name], typing(1));
      await until(() => sent().length === 2);
      const [first, second] = sent();
      expect(first?.edus).toEqual(second?.edus);
      expect(first?.txnId).not.toBe(second?.txnId);
    });
  });

  it('hands an event to 200 servers in far less than 5 ms', async () => {
    // Servers that are left alone: what is measured is the enqueueing.
    const names = Array.from({ length: 200 }, (_, n) => `10.0.0.1:${n + 1}` as ServerName);
    for (const name of names) our.health.failed(name, our.clock.nowMs());
    const item = { kind: 'pdu' as const, id: '$x', canonicalJson: '{}' };
    const durations: number[] = [];
    for (let n = 0; n < 50; n++) {
      const started = performance.now();
      sender.dispatch([{ item: { ...item, position: 1000 + n }, destinations: names }]);
      durations.push(performance.now() - started);
    }
    durations.sort((a, b) => a - b);
    expect(durations[25]).toBeLessThan(5);
    await sender.save();
    expect(await stored()).toHaveLength(200);
  });

  it('is taken up by the process that owns it, with nothing left out', async () => {
    await sender.stop();
    const owners = [0, 1].map((nth) => {
      const listeners: (() => void)[] = [];
      return {
        ...soleOwner,
        elsewhere: () => (owner === nth ? undefined : 'another'),
        onChange: (listener: () => void) => listeners.push(listener),
        listeners,
      };
    });
    let owner = 0;
    let started = 0;
    const both = await Promise.all(
      owners.map((own) =>
        OwnedSender.start({
          owners: own,
          logger: silentLogger,
          start: () => {
            started += 1;
            return start({ saveIntervalMs: 20 });
          },
        }),
      ),
    );
    try {
      expect(started).toBe(1);
      const items = appendMany(5);
      await until(() => pdus().length === 5);
      refuse();
      items.push(...appendMany(3));
      for (const each of both) each.sendEphemeral([peer.name], typing(1));
      await until(() => our.health.isLeftAlone(peer.name));
      owner = 1;
      for (const { listeners } of owners) for (const changed of listeners) changed();
      accept();
      await until(() => started === 2);
      items.push(...appendMany(2));
      our.clock.set(our.health.retryAtMs(peer.name) + 1);
      for (const each of both) each.sendEphemeral([peer.name], typing(2));
      await until(() => new Set(pdus().map((pdu) => JSON.stringify(pdu))).size >= items.length);
    } finally {
      for (const each of both) await each.stop();
    }
  });
});
