/**
 * What someone outside a room may see of it with an invite or a knock.
 * https://spec.matrix.org/v1.19/client-server-api/#stripped-state
 */
import { toStrippedState } from '../../spec/client-event.ts';
import type { MatrixEvent } from '../../spec/event.ts';
import { stateKeyOf } from '../../spec/event.ts';
import type { EventStore } from './event-store.ts';
import type { StateSnapshot } from './state-snapshot.ts';

/** Those first without which a room cannot be told from others. */
const shownTypes = [
  'm.room.create',
  'm.room.name',
  'm.room.avatar',
  'm.room.join_rules',
  'm.room.canonical_alias',
  'm.room.encryption',
  'm.room.topic',
];

/** Of one invite or knock: a sync has those of all rooms at once. */
export const maxStrippedStateBytes = 64 * 1024;

/** The events that introduce a room, and the member event of whoever acts. */
export const introducingEvents = async (
  events: EventStore,
  roomNid: number,
  state: StateSnapshot,
  sender: string,
): Promise<MatrixEvent[]> => {
  const keys = [
    ...shownTypes.map((type) => stateKeyOf(type, '')),
    stateKeyOf('m.room.member', sender),
  ];
  const nids = keys.flatMap((key) => state.get(key)?.nid ?? []);
  const found = await events.manyByNid(roomNid, nids);
  return nids.flatMap((nid) => found.get(nid)?.event ?? []);
};

export const strippedJson = (event: MatrixEvent): string => JSON.stringify(toStrippedState(event));

/**
 * The list a client is given: a JSON array of these stripped events (JSON texts), the one that is
 * the reason of it all last. What does not fit into `maxStrippedStateBytes` beside it is left out.
 */
export const strippedList = (shown: readonly string[], reason: string): string => {
  const kept: string[] = [];
  let left = maxStrippedStateBytes - Buffer.byteLength(reason) - 2;
  for (const text of shown) {
    const bytes = Buffer.byteLength(text) + 1;
    if (bytes > left) continue;
    left -= bytes;
    kept.push(text);
  }
  return `[${[...kept, reason].join(',')}]`;
};

export const strippedStateJson = (shown: readonly MatrixEvent[], reason: MatrixEvent): string => {
  const others = shown.filter(
    ({ type, stateKey }) => type !== reason.type || stateKey !== reason.stateKey,
  );
  return strippedList(others.map(strippedJson), datedJson(reason));
};

/** The reason of an invite or knock with its time, by which clients date it. */
export const datedJson = (reason: MatrixEvent): string =>
  JSON.stringify({ ...toStrippedState(reason), origin_server_ts: reason.originServerTs });

/** Whether what came with an invite says that somebody ignored sent it. */
export const isFromIgnored = (
  strippedState: string | undefined,
  ignoredUsers: ReadonlySet<string>,
): boolean => {
  if (ignoredUsers.size === 0 || strippedState === undefined) return false;
  // The invite itself comes last: see `strippedList`.
  const invite = (JSON.parse(strippedState) as { sender?: unknown }[]).at(-1);
  return typeof invite?.sender === 'string' && ignoredUsers.has(invite.sender);
};

const importance = new Map(
  [...shownTypes, 'm.room.member'].map((type, index) => [type, index] as const),
);

/** How far back an event stands in an introduction, by its type: lower comes first. */
export const importanceOf = (type: string): number => importance.get(type) ?? importance.size;
