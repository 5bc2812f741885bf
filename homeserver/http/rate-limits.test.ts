import { FakeClock } from '../testing/fake-clock.ts';
import { RateLimits } from './rate-limits.ts';

const limits = () => {
  const clock = new FakeClock();
  const table = { general: { perSecond: 1, burst: 2 }, login: { perSecond: 0.1, burst: 1 } };
  return { clock, limits: new RateLimits(table, clock) };
};
const refusal = (work: () => void): unknown => {
  try {
    work();
  } catch (error) {
    return error;
  }
  return undefined;
};

describe('RateLimits', () => {
  it('allows a burst, then what has been regained', () => {
    const { clock, limits: rate } = limits();
    rate.take('general', 'alice');
    rate.take('general', 'alice');
    expect(refusal(() => rate.take('general', 'alice'))).toMatchObject({
      errcode: 'M_LIMIT_EXCEEDED',
      status: 429,
      fields: { retry_after_ms: 1_000 },
    });
    clock.advance(500);
    expect(refusal(() => rate.take('general', 'alice'))).toMatchObject({
      fields: { retry_after_ms: 500 },
    });
    clock.advance(500);
    expect(refusal(() => rate.take('general', 'alice'))).toBeUndefined();
  });

  it('keeps names and keys apart, and never holds more than the burst', () => {
    const { clock, limits: rate } = limits();
    rate.take('login', 'alice');
    rate.take('login', 'bob');
    rate.take('general', 'alice');
    expect(refusal(() => rate.take('login', 'alice'))).toMatchObject({
      fields: { retry_after_ms: 10_000 },
    });
    clock.advance(3_600_000);
    rate.take('login', 'alice');
    expect(refusal(() => rate.take('login', 'alice'))).toBeDefined();
  });

  it('counts an IPv6 network of 64 bits as one address', () => {
    const { limits: rate } = limits();
    rate.takeForIp('login', '2001:db8::1');
    expect(refusal(() => rate.takeForIp('login', '2001:db8:0:0:ffff::2'))).toBeDefined();
    expect(refusal(() => rate.takeForIp('login', '2001:db8:0:1::1'))).toBeUndefined();
    expect(refusal(() => rate.takeForIp('login', '127.0.0.1'))).toBeUndefined();
  });

  it('gives back what was not to count, and no more than the burst', () => {
    const { limits: rate } = limits();
    rate.take('login', 'alice');
    expect(rate.waitMs('login', 'alice')).toBe(10_000);
    rate.giveBack('login', 'alice');
    rate.giveBack('login', 'alice');
    expect(rate.waitMs('login', 'alice')).toBe(0);
    rate.take('login', 'alice');
    expect(refusal(() => rate.take('login', 'alice'))).toBeDefined();
  });

  it('keeps a bounded number of buckets', () => {
    const table = { general: { perSecond: 1, burst: 1 } };
    const rate = new RateLimits(table, new FakeClock(), 100);
    for (let n = 0; n < 1_000; n++) rate.take('general', `person ${n}`);
    expect(rate.size).toBe(100);
  });
});
