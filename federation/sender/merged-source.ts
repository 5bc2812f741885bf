/** Several sources of what goes to other servers, read as one in the order of the log. */
import type { ServerName } from '../../spec/identifiers.ts';
import type { AddressedItem, OutboundItem, OutboundSource } from './outbound-source.ts';

type Reading = Pick<OutboundSource, 'read' | 'readFor'>;

interface Page<T> {
  readonly items: readonly T[];
  readonly upTo: number;
}

/** Positions are those of the first source: all of them stand for places in one log. */
export const mergedSource = (
  first: OutboundSource,
  ...others: readonly Reading[]
): OutboundSource => {
  const sources: readonly Reading[] = [first, ...others];
  return {
    position: () => first.position(),
    onAdvance: (listener) => first.onAdvance(listener),
    read: async (after, limit) =>
      merge<AddressedItem>(
        await Promise.all(sources.map((source) => source.read(after, limit))),
        limit,
        ({ item }) => item.position,
      ),
    readFor: async (destination: ServerName, after, limit) =>
      merge<OutboundItem>(
        await Promise.all(sources.map((source) => source.readFor(destination, after, limit))),
        limit,
        ({ position }) => position,
      ),
  };
};

/** As far as every page reaches, and no more than one page may have. */
const merge = <T>(
  pages: readonly Page<T>[],
  limit: number,
  positionOf: (item: T) => number,
): Page<T> => {
  const upTo = Math.min(...pages.map((page) => page.upTo));
  const items = pages
    .flatMap((page) => page.items)
    .filter((item) => positionOf(item) <= upTo)
    .sort((a, b) => positionOf(a) - positionOf(b));
  const last = items[limit - 1];
  return last === undefined || items.length === limit
    ? { items, upTo }
    : { items: items.slice(0, limit), upTo: positionOf(last) };
};
