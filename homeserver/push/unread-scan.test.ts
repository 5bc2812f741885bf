/** Counting by marks gives what asking the rules about every event gives. */
import fc from 'fast-check';
import type { JsonObject } from '../../spec/event.ts';
import type { EventId, RoomId, UserId } from '../../spec/identifiers.ts';
import type { PushAction, PushRule } from '../../spec/push-rules/push-rule.ts';
import {
  NO_USER_PUSH_RULES,
  putRule,
  type UserPushRules,
} from '../../spec/push-rules/user-rules.ts';
import { storedEventFrom } from '../rooms/event-store.ts';
import { eventsToJudge } from '../storage/unread-events.ts';
import { localUser, type TestCore, testCore } from '../testing/test-core.ts';
import { type TestRooms, testRooms } from '../testing/test-rooms.ts';
import { type StatementWatch, watchStatements } from '../testing/watched-database.ts';
import { RoomCounter } from './room-counter.ts';
import { countEvent, type Reader, UnreadScan } from './unread-scan.ts';
import { UserRules } from './user-rules.ts';

let test: TestCore;
let rooms: TestRooms;
let scan: UnreadScan;
let watch: StatementWatch;
beforeAll(async () => {
  test = await testCore();
  rooms = testRooms(test.core);
  const { database, events, pushEvaluator: evaluator } = test.core;
  watch = watchStatements(database);
  scan = new UnreadScan({ database, events, evaluator });
});
afterAll(() => test.close());

const [me, bob, carol] = [localUser('me'), localUser('bob'), localUser('carol')];

type Said = { sender: UserId; kind: string; target: number };

const said = fc.record({
  sender: fc.constantFrom(me, bob, bob, carol),
  kind: fc
    .constantFrom('text', 'text', 'notice', 'cake', 'mention', 'room', 'edit', 'reaction')
    .chain((kind) => fc.constantFrom(kind, 'thread', 'reply', 'topic', 'encrypted')),
  target: fc.nat(50),
});

const say = async (roomId: RoomId, { sender, kind, target }: Said, earlier: EventId[]) => {
  const parent = earlier[target % earlier.length];
  const text = { msgtype: 'm.text', body: 'hello' };
  const relating = (type: string): JsonObject => ({
    'm.relates_to': { rel_type: type, event_id: parent ?? '' },
  });
  const contents: Record<string, JsonObject> = {
    text,
    notice: { ...text, msgtype: 'm.notice' },
    cake: { ...text, body: 'there is cake' },
    mention: { ...text, 'm.mentions': { user_ids: [me] } },
    room: { ...text, 'm.mentions': { room: true } },
    edit: { ...text, ...relating('m.replace') },
    thread: { ...text, ...relating('m.thread') },
    reply: { ...text, ...relating('org.example.reply') },
    encrypted: { ciphertext: 'x' },
  };
  const types: Record<string, string> = {
    topic: 'org.example.topic',
    encrypted: 'm.room.encrypted',
  };
  const content = kind === 'reaction' ? relating('m.annotation') : (contents[kind] ?? {});
  const type = kind === 'reaction' ? 'm.reaction' : (types[kind] ?? 'm.room.message');
  earlier.push(await test.core.localEvents.send(roomId, { type, sender, content }));
};

const rule = (id: string, actions: PushAction[], more: Partial<PushRule> = {}): PushRule => ({
  rule_id: id,
  default: false,
  enabled: true,
  actions,
  ...more,
});

const rulesets = (roomId: RoomId): UserPushRules[] => {
  const none = NO_USER_PUSH_RULES;
  const inRoom = { kind: 'event_match', key: 'room_id', pattern: roomId };
  const elsewhere = { ...inRoom, pattern: '!elsewhere' };
  return [
    none,
    putRule(none, 'override', rule('mute', [], { conditions: [inRoom] })),
    putRule(none, 'override', rule('mute', [], { conditions: [elsewhere] })),
    putRule(none, 'room', rule(roomId, [])),
    putRule(none, 'room', rule(roomId, ['notify', { set_tweak: 'highlight' }])),
    putRule(
      none,
      'content',
      rule('cake', ['notify', { set_tweak: 'highlight' }], { pattern: 'cake' }),
    ),
    putRule(
      putRule(none, 'room', rule(roomId, [])),
      'content',
      rule('c', ['notify'], { pattern: 'cake' }),
    ),
    putRule(none, 'sender', rule(bob, [])),
    { ...none, changes: { '.m.rule.master': { enabled: true } } },
    { ...none, changes: { '.m.rule.suppress_notices': { enabled: false } } },
    { ...none, changes: { '.m.rule.message': { actions: [] } } },
    { ...none, changes: { '.m.rule.call': { actions: ['notify'] } } },
  ];
};

const textOf = (counter: RoomCounter): string =>
  JSON.stringify([...counter.threads].sort(([a], [b]) => (a < b ? -1 : 1)));

/** As if each event were asked about. */
const straightforward = async (
  reader: Reader,
  roomNid: number,
  counter: RoomCounter,
  range: { after: number; upTo: number },
): Promise<void> => {
  const { database, events, pushEvaluator } = test.core;
  const records = await eventsToJudge(database, [{ roomNid, ...range, whole: true }], [], 10_000);
  const context = (await pushEvaluator.contextsOf([roomNid], reader.rules)).get(roomNid);
  for (const stored of records.map(storedEventFrom)) {
    const args = [events, pushEvaluator, { counter }, reader, context, stored] as const;
    const thread = countEvent(...args);
    if (thread !== undefined) countEvent(...args, await thread);
  }
};

describe('counting by marks', () => {
  it('gives what asking about every event gives, whatever the rules', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(said, { minLength: 5, maxLength: 25 }),
        fc.nat(10),
        fc.boolean(),
        async (conversation, skipped, ignoresCarol) => {
          const roomId = await rooms.roomCreator.create(bob, { preset: 'public_chat' });
          for (const user of [me, carol]) await rooms.membership.join(user, roomId);
          const room = await test.core.registry.find(roomId);
          const roomNid = room?.nid ?? 0;
          const start = test.core.log.position;
          const earlier: EventId[] = [];
          for (const each of conversation) await say(roomId, each, earlier);
          const upTo = test.core.log.position;
          const after = start + Math.min(skipped, conversation.length);
          const ignored = new Set(ignoresCarol ? [carol] : []);
          for (const [index, stored] of rulesets(roomId).entries()) {
            const rules = new UserRules(me, stored, index);
            const reader: Reader = { userId: me, rules, ignored };
            const begin = { countedPos: after, receiptsPos: upTo, readPos: start };
            const [counted, expected] = [new RoomCounter(begin), new RoomCounter(begin)];
            const task = { room: { roomNid, roomId }, counter: counted, after, upTo };
            await scan.count(reader, [task]);
            await straightforward(reader, roomNid, expected, { after, upTo });
            expect([index, textOf(counted)]).toEqual([index, textOf(expected)]);
          }
        },
      ),
      { seed: 13, numRuns: 60 },
    );
  });

  it('takes one statement for many rooms full of unread messages, and reads none of them', async () => {
    const many: { roomNid: number; roomId: RoomId }[] = [];
    for (let count = 0; count < 30; count += 1) {
      const roomId = await rooms.roomCreator.create(bob, { preset: 'public_chat' });
      await rooms.membership.join(me, roomId);
      const nid = (await test.core.registry.find(roomId))?.nid ?? 0;
      many.push({ roomNid: nid, roomId });
    }
    const after = test.core.log.position;
    for (const { roomId } of many) {
      await Promise.all(Array.from({ length: 30 }, () => rooms.say(roomId, bob, 'hello')));
    }
    const upTo = test.core.log.position;
    const reader = {
      userId: me,
      rules: new UserRules(me, NO_USER_PUSH_RULES, 0),
      ignored: new Set<UserId>(),
    };
    const tasks = many.map((room) => ({
      room,
      counter: new RoomCounter({ countedPos: after, receiptsPos: upTo, readPos: after }),
      after,
      upTo,
    }));
    watch.reset();
    await scan.count(reader, tasks);
    expect(tasks.map(({ counter }) => counter.total())).toEqual(
      tasks.map(() => ({ notifications: 30, highlights: 0 })),
    );
    expect(watch.seen.map(({ name, rowCount }) => [name, rowCount])).toEqual([
      ['unread-marked-counts', 30],
    ]);
  });
});
