/**
 * Texts that are looked up by a short key: the SQL function `text_key` hashes them to 64 bits, with a
 * seed that each database has of its own. Whoever looks for a text compares the text as well.
 */

/** SQL for the list of keys of a parameter that is a list of texts, such as `$1`. */
export const keysOf = (parameter: string): string =>
  `ARRAY(SELECT text_key(text) FROM unnest(${parameter}::text[]) AS texts (text))`;

/** SQL for the entry of a room state, as index state_changes_current has it. */
export const stateEntryKey = (type: string, stateKey: string): string =>
  `hashtextextended(${stateKey}, text_key(${type}))`;

/** SQL for whose transaction it is, as index events_transactions has it. */
export const deviceKey = (sender: string, device: string): string =>
  `text_key(${sender} || chr(10) || ${device})`;

/** SQL for a transaction of a device, as index events_transactions has it. */
export const transactionKey = (
  roomNid: string,
  type: string,
  target: string,
  txnId: string,
): string =>
  `text_key(${roomNid}::text || chr(10) || ${type} || chr(10) || ${target} || chr(10) || ${txnId})`;
