/** The order in which the servers of an SRV record set are tried. */

import type { ServiceRecord } from '../../homeserver/outbound/resolver.ts';
import type { Random } from '../../homeserver/random.ts';

/**
 * By priority, lowest first; within one priority at random, in proportion to the weights.
 * https://www.rfc-editor.org/rfc/rfc2782 ("Weight")
 */
export const serviceOrder = (
  records: readonly ServiceRecord[],
  random: Random,
): ServiceRecord[] => {
  const ordered: ServiceRecord[] = [];
  const waiting = [...records].sort((a, b) => a.priority - b.priority || a.weight - b.weight);
  while (waiting.length > 0) {
    const { priority } = waiting[0] as ServiceRecord;
    const group = waiting.filter((record) => record.priority === priority);
    const total = group.reduce((sum, { weight }) => sum + weight, 0);
    // A number from 0 to the total, both included, so that records of weight 0 have a chance.
    let left = random.bytes(4).readUInt32BE() % (total + 1);
    const chosen = group.find(({ weight }) => {
      left -= weight;
      return left <= 0;
    }) as ServiceRecord;
    ordered.push(chosen);
    waiting.splice(waiting.indexOf(chosen), 1);
  }
  return ordered;
};
