/**
 * Times the push rules of every member of a room of 10,000 on one message: predefined rules with,
 * for every tenth member, a few of their own.
 *
 * Run it after a build: `node dist/spec/push-rules/evaluate.bench.js`
 */
import type { MatrixEvent, Pdu } from '../event.ts';
import type { EventId, RoomId, UserId } from '../identifiers.ts';
import { compileRuleset, evaluateRuleset } from './evaluate.ts';
import { PreparedEvent } from './prepared-event.ts';
import { effectiveRuleset, NO_USER_PUSH_RULES, putRule } from './user-rules.ts';
import { parseUserRule } from './validate-rule.ts';

const MEMBERS = 10_000;
const RUNS = 20;

const content = {
  msgtype: 'm.text',
  body: 'It is a long established fact that a reader will be distracted by readable content. '.repeat(
    3,
  ),
};
const pdu = { type: 'm.room.message', sender: '@bob:b.example', content } as unknown as Pdu;
const event: MatrixEvent = {
  eventId: '$event' as EventId,
  roomId: '!room:a.example' as RoomId,
  type: pdu.type,
  stateKey: undefined,
  sender: pdu.sender as UserId,
  content,
  originServerTs: 0,
  depth: 0,
  prevEventIds: [],
  authEventIds: [],
  pdu,
};

const own = ['coffee', 'tea*time', 'release 1.?'].reduce(
  (stored, pattern) =>
    putRule(stored, 'content', parseUserRule('content', pattern, { pattern, actions: ['notify'] })),
  NO_USER_PUSH_RULES,
);
const compileStart = performance.now();
const rulesets = Array.from({ length: MEMBERS }, (_, index) =>
  compileRuleset(
    effectiveRuleset(`@user${index}:a.example` as UserId, index % 10 ? NO_USER_PUSH_RULES : own),
  ),
);
const compileMs = performance.now() - compileStart;

let notified = 0;
const timesMs = Array.from({ length: RUNS }, () => {
  const start = performance.now();
  const prepared = new PreparedEvent(event, {
    memberCount: MEMBERS,
    senderPowerLevel: 0,
    notificationLevels: {},
  });
  for (const ruleset of rulesets) {
    if (evaluateRuleset(ruleset, prepared, 'User').notify) notified += 1;
  }
  return performance.now() - start;
});
if (notified !== MEMBERS * RUNS) throw new Error('not everybody was notified');
const median = timesMs.toSorted((a, b) => a - b)[RUNS >> 1] ?? Number.NaN;
console.log(
  `push rules of ${MEMBERS} members on one message: median ${median.toFixed(1)} ms ` +
    `(${((median * 1_000) / MEMBERS).toFixed(2)} µs each); compiling ` +
    `${((compileMs * 1_000) / MEMBERS).toFixed(1)} µs each`,
);
