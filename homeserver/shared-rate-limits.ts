/** Limits that several processes keep together. */
import type { RateLimits, UsedAllowance } from './http/rate-limits.ts';
import type { Random } from './random.ts';
import type { Broadcast } from './streams/broadcast.ts';

interface UsedNews {
  readonly from: string;
  readonly used: readonly UsedAllowance[];
}

export const shareRateLimits = (limits: RateLimits, broadcast: Broadcast, random: Random): void => {
  const from = random.bytes(8).toString('hex');
  broadcast.onTold('rate limits', (news: UsedNews) => {
    if (news.from !== from) limits.usedElsewhere(news.used);
  });
  limits.share((used) => {
    const news: UsedNews = { from, used };
    // Untold, it counts in this process alone.
    broadcast.tell('rate limits', news)?.catch(() => undefined);
  });
};
