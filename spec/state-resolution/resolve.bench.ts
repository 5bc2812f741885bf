/**
 * Times the resolution of two states of 10,000 entries that differ in 100: bans, a change of the
 * power levels and rejoins on one side, joins and topics on the other. Events come from memory, and
 * the auth difference from walking the auth chains.
 *
 * Run it after a build: `node dist/spec/state-resolution/resolve.bench.js`
 */
import {
  type JsonObject,
  type MatrixEvent,
  type Pdu,
  type StateKey,
  type StateMap,
  stateKeyOf,
} from '../event.ts';
import type { EventId, RoomId, UserId } from '../identifiers.ts';
import { rulesOf } from '../room-versions.ts';
import { resolveState } from './resolve.ts';

const ENTRIES = 10_000;
const DIFFERENT = 100;
const RUNS = 15;

const ROOM_ID = '!create' as RoomId;
const ADMIN = '@admin:a.example' as UserId;
const POWER_LEVELS = stateKeyOf('m.room.power_levels', '');
const JOIN_RULES = stateKeyOf('m.room.join_rules', '');
const memberKey = (userId: string): StateKey => stateKeyOf('m.room.member', userId);
const userIdOf = (index: number): UserId => `@user${index}:b.example` as UserId;

const events = new Map<EventId, MatrixEvent>();

const addEvent = (
  state: Map<StateKey, EventId>,
  sender: UserId,
  type: string,
  stateKey: string,
  content: JsonObject,
): void => {
  const number = events.size;
  const eventId = (number === 0 ? '$create' : `$event${number}`) as EventId;
  const authKeys = new Set([POWER_LEVELS, memberKey(sender), JOIN_RULES, memberKey(stateKey)]);
  if (type !== 'm.room.member') {
    authKeys.delete(JOIN_RULES);
    authKeys.delete(memberKey(stateKey));
  }
  const authEventIds = [...authKeys].map((key) => state.get(key)).filter((id) => id !== undefined);
  const prevEventIds = number === 0 ? [] : [[...events.keys()].at(-1)!];
  events.set(eventId, {
    eventId,
    roomId: ROOM_ID,
    type,
    stateKey,
    sender,
    content,
    originServerTs: number,
    depth: number,
    prevEventIds,
    authEventIds,
    pdu: { content } as Pdu,
  });
  state.set(stateKeyOf(type, stateKey), eventId);
};

const makeStates = (): [StateMap, StateMap] => {
  const base = new Map<StateKey, EventId>();
  addEvent(base, ADMIN, 'm.room.create', '', { room_version: '12' });
  addEvent(base, ADMIN, 'm.room.member', ADMIN, { membership: 'join' });
  addEvent(base, ADMIN, 'm.room.power_levels', '', { users: {} });
  addEvent(base, ADMIN, 'm.room.join_rules', '', { join_rule: 'public' });
  for (let index = 0; base.size < ENTRIES; index++) {
    addEvent(base, userIdOf(index), 'm.room.member', userIdOf(index), { membership: 'join' });
  }
  const [one, other] = [new Map(base), new Map(base)];
  addEvent(one, ADMIN, 'm.room.power_levels', '', { users: { [userIdOf(0)]: 50 } });
  for (let index = 1; index < DIFFERENT / 2; index++) {
    const userId = userIdOf(index);
    if (index % 2 === 0) addEvent(one, ADMIN, 'm.room.member', userId, { membership: 'ban' });
    else addEvent(one, userId, 'm.room.member', userId, { membership: 'leave' });
    addEvent(other, userId, 'm.room.member', userId, { membership: 'join', displayname: 'B' });
  }
  for (let index = DIFFERENT / 2; index < DIFFERENT; index++) {
    addEvent(other, ADMIN, 'org.example.setting', `${index}`, { value: index });
  }
  return [one, other];
};

const rules = rulesOf('12');
if (rules === undefined) throw new Error('room version 12 is unknown');
const states = makeStates();
const source = {
  fetchEvents: async (ids: readonly EventId[]) =>
    new Map(ids.map((eventId) => [eventId, events.get(eventId)!])),
};

const timesMs: number[] = [];
for (let run = 0; run < RUNS; run++) {
  const start = performance.now();
  await resolveState(rules, states, source);
  timesMs.push(performance.now() - start);
}
const [first = Number.NaN] = timesMs;
const median = timesMs.toSorted((a, b) => a - b)[RUNS >> 1] ?? Number.NaN;
console.log(
  `state resolution v2.1, 2 × ${ENTRIES} entries, ${DIFFERENT} different: ` +
    `first ${first.toFixed(1)} ms, median ${median.toFixed(1)} ms`,
);
// For the program that runs this among others.
console.log(JSON.stringify({ firstMs: first, medianMs: median }));
