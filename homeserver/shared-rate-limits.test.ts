import { RateLimits } from './http/rate-limits.ts';
import { shareRateLimits } from './shared-rate-limits.ts';
import { Hearers } from './streams/broadcast.ts';
import { FakeClock } from './testing/fake-clock.ts';
import { seededRandom } from './testing/seeded-random.ts';

it('a limit holds over four processes', () => {
  const clock = new FakeClock();
  const all = Array.from({ length: 4 }, () => new Hearers());
  const limits = all.map((hearers, nth) => {
    const own = new RateLimits({ general: { perSecond: 2, burst: 10 } }, clock);
    const broadcast = {
      serial: 0,
      keep: () => undefined,
      onTold: (...[kind, handler]: Parameters<Hearers['set']>) => hearers.set(kind, handler),
      tell: (kind: string, payload: unknown) => {
        const text = JSON.stringify(payload);
        for (const each of all) each.tell(kind, JSON.parse(text), 0);
        return undefined;
      },
    };
    shareRateLimits(own, broadcast, seededRandom(`limits ${nth}`));
    return own;
  });
  let admitted = 0;
  for (let tenth = 0; tenth < 600; tenth += 1) {
    for (const own of limits) {
      try {
        own.take('general', 'somebody');
        admitted += 1;
      } catch {
        // Refused.
      }
    }
    for (const own of limits) own.tellUsed();
    clock.advance(100);
  }
  // Ten at once and two a second, for a minute; in one moment each of four may admit one too many.
  expect(admitted).toBeGreaterThanOrEqual(125);
  expect(admitted).toBeLessThanOrEqual(10 + 120 + 4);
});
