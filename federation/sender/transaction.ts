/**
 * Putting a transaction together.
 *
 * Specification: https://spec.matrix.org/v1.19/server-server-api/#transactions
 */
import { createHash } from 'node:crypto';
import type { EphemeralEdu, OutboundItem } from './outbound-source.ts';

export const MAX_PDUS = 50;
export const MAX_EDUS = 100;

export interface Transaction {
  readonly txnId: string;
  /** Canonical JSON. */
  readonly body: string;
  readonly items: readonly OutboundItem[];
  readonly ephemeral: readonly EphemeralEdu[];
  readonly builtAtMs: number;
}

/**
 * The id of a transaction that has only what will be sent again after a failure or a restart is
 * made of that, so that the same content always travels under the same id.
 */
const contentId = (items: readonly OutboundItem[]): string => {
  const hash = createHash('sha256');
  for (const { kind, id } of items) hash.update(`${kind} ${id}\n`);
  return hash.digest('base64url');
};

/**
 * @param items at most {@link MAX_PDUS}, of either kind
 * @param ephemeral so many that there are at most {@link MAX_EDUS} EDUs in all
 * @param freshId never used before, for a transaction with contents that will not come again
 */
export const buildTransaction = ({
  origin,
  items,
  ephemeral,
  nowMs,
  freshId,
}: {
  origin: string;
  items: readonly OutboundItem[];
  ephemeral: readonly EphemeralEdu[];
  nowMs: number;
  freshId: () => string;
}): Transaction => {
  const jsonOf = (kind: OutboundItem['kind']) =>
    items.filter((item) => item.kind === kind).map(({ canonicalJson }) => canonicalJson);
  const edus = [...jsonOf('edu'), ...ephemeral.map(({ canonicalJson }) => canonicalJson)];
  const body =
    `{"edus":[${edus.join(',')}],"origin":${JSON.stringify(origin)},` +
    `"origin_server_ts":${nowMs},"pdus":[${jsonOf('pdu').join(',')}]}`;
  const txnId = ephemeral.length === 0 ? contentId(items) : freshId();
  return { txnId, body, items, ephemeral, builtAtMs: nowMs };
};
