/**
 * What someone outside a room may see of it with an invite or a knock.
 * https://spec.matrix.org/v1.19/client-server-api/#stripped-state
 */
import { toStrippedState } from '../../spec/client-event.ts';
import type { MatrixEvent } from '../../spec/event.ts';
import { stateKeyOf } from '../../spec/event.ts';
import type { EventStore } from './event-store.ts';
import type { StateSnapshot } from './state-snapshot.ts';

const shownTypes = [
  'm.room.create',
  'm.room.name',
  'm.room.avatar',
  'm.room.topic',
  'm.room.join_rules',
  'm.room.canonical_alias',
  'm.room.encryption',
];

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

/** A JSON array, the event that is the reason of it all last. */
export const strippedStateJson = (shown: readonly MatrixEvent[], reason: MatrixEvent): string => {
  const others = shown.filter(
    ({ type, stateKey }) => type !== reason.type || stateKey !== reason.stateKey,
  );
  return `[${[...others, reason].map(strippedJson).join(',')}]`;
};
