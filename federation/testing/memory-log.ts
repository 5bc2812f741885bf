/** A log in memory for tests of the sender, and what a peer has received from it. */
import type { JsonObject } from '../../spec/event.ts';
import type { ServerName } from '../../spec/identifiers.ts';
import type {
  AddressedItem,
  EphemeralEdu,
  OutboundItem,
  OutboundSource,
} from '../sender/outbound-source.ts';
import type { TestPeer } from './test-peer.ts';

/** A log in memory: every append is addressed to given servers. */
export class MemoryLog implements OutboundSource {
  readonly #entries: { item: OutboundItem; destinations: ServerName[] }[] = [];
  readonly #listeners: (() => void)[] = [];
  catchUpReads = 0;
  broken = false;

  append(destinations: readonly ServerName[], kind: OutboundItem['kind'] = 'pdu'): string {
    const position = this.#entries.length + 1;
    const id = `$${position}`;
    const content = kind === 'pdu' ? { id } : { content: { id }, edu_type: 'm.direct_to_device' };
    const item = { position, kind, id, canonicalJson: JSON.stringify(content) };
    this.#entries.push({ item, destinations: [...destinations] });
    for (const listener of this.#listeners) listener();
    return id;
  }

  position(): number {
    return this.#entries.length;
  }

  onAdvance(listener: () => void): void {
    this.#listeners.push(listener);
  }

  async read(after: number, limit: number) {
    if (this.broken) throw new Error('the database is away');
    const items: AddressedItem[] = this.#entries.slice(after, after + limit);
    return { items, upTo: after + items.length };
  }

  async readFor(destination: ServerName, after: number, limit: number) {
    if (this.broken) throw new Error('the database is away');
    this.catchUpReads++;
    const mine = this.#entries
      .slice(after)
      .filter(({ destinations }) => destinations.includes(destination))
      .map(({ item }) => item);
    const items = mine.slice(0, limit);
    const isAll = items.length === mine.length;
    return { items, upTo: isAll ? this.position() : (items.at(-1)?.position ?? after) };
  }
}

export interface SentTransaction {
  readonly txnId: string;
  readonly pdus: string[];
  readonly edus: JsonObject[];
}

export const transactionsSentTo = (peer: TestPeer): SentTransaction[] =>
  peer.received.map(({ url, text }) => {
    const body = JSON.parse(text) as { pdus: { id: string }[]; edus: JsonObject[] };
    return {
      txnId: url.slice(url.lastIndexOf('/') + 1),
      pdus: body.pdus.map(({ id }) => id),
      edus: body.edus,
    };
  });

/** Waits for something that happens soon, or fails. */
export const until = async (condition: () => boolean | Promise<boolean>): Promise<void> => {
  // Long for a machine that does much else; who waits in vain waits no longer than a test may take.
  const deadline = Date.now() + 40_000;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error('waited in vain');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
};

/** Each of its own key, and not worth waiting for a server that is away. */
export const typing = (n: number): EphemeralEdu => ({
  canonicalJson: `{"content":{"n":${n}},"edu_type":"m.typing"}`,
  key: `typing ${n}`,
  keepWhenDown: false,
});

/** The newest of a user counts, whenever it arrives. */
export const presence = (user: string, n: number): EphemeralEdu => ({
  canonicalJson: `{"content":{"n":${n},"user":"${user}"},"edu_type":"m.presence"}`,
  key: `presence ${user}`,
  keepWhenDown: true,
});
