import fc from 'fast-check';
import type { JsonObject, MatrixEvent } from '../../spec/event.ts';
import type { UserId } from '../../spec/identifiers.ts';
import { defaultRuleset } from '../../spec/push-rules/default-rules.ts';
import { compileRuleset, evaluateRuleset } from '../../spec/push-rules/evaluate.ts';
import { PreparedEvent } from '../../spec/push-rules/prepared-event.ts';
import { relationOf } from '../rooms/relations.ts';
import { pushKindOf, pushKinds, pushMarkOf, senderTag } from './push-mark.ts';

const me = '@me:here.test' as UserId;
const rules = compileRuleset(defaultRuleset(me));

const maybe = <T>(values: readonly T[]) =>
  fc.option(fc.constantFrom(...values), { nil: undefined });

const contents = fc
  .record({
    msgtype: maybe<unknown>(['m.text', 'm.notice', 'M.NOTICE', 7]),
    body: maybe<unknown>(['hello', '@me:here.test', '']),
    membership: maybe<unknown>(['join', 'invite', 'INVITE', 'leave', 3]),
    'm.mentions': maybe<unknown>([
      {},
      { user_ids: [] },
      { user_ids: [me] },
      { user_ids: ['@other:here.test'] },
      { user_ids: me },
      { room: true },
      { room: 'true' },
      [],
    ]),
    'm.relates_to': maybe<unknown>([
      { rel_type: 'm.replace', event_id: '$a' },
      { rel_type: 'm.replace' },
      { rel_type: 'm.thread', event_id: '$a' },
      { rel_type: 'm.thread', event_id: 'a' },
      { 'm.in_reply_to': { event_id: '$a' } },
      'm.replace',
    ]),
  })
  .map((content) => JSON.parse(JSON.stringify(content)) as JsonObject);

const events = fc.record({
  type: fc.constantFrom(
    'm.room.message',
    'm.room.encrypted',
    'M.Room.Message',
    'm.room.member',
    'm.room.tombstone',
    'm.room.server_acl',
    'm.room.topic',
    'm.reaction',
    'm.call.invite',
    'org.example.other',
  ),
  stateKey: maybe(['', me, '@other:here.test']),
  content: contents,
});

describe('the kind of an event', () => {
  it('is what the predefined rules say, in rooms of every kind', () => {
    fc.assert(
      fc.property(events, fc.integer({ min: 1, max: 3 }), fc.boolean(), (parts, members, power) => {
        const { type, stateKey, content } = parts;
        const pdu = { type, content, ...(stateKey !== undefined && { state_key: stateKey }) };
        const event = { ...parts, sender: '@you:here.test', pdu } as unknown as MatrixEvent;
        const prepared = new PreparedEvent(event, {
          memberCount: members,
          senderPowerLevel: power ? 100 : 0,
          notificationLevels: {},
        });
        const { notify, highlight } = evaluateRuleset(rules, prepared, undefined);
        const kind = pushKindOf(event);
        if (kind === pushKinds.quiet) expect(notify).toBe(false);
        if (kind === pushKinds.plain) {
          expect([notify, highlight, relationOf(content)]).toEqual([true, false, undefined]);
        }
      }),
      { seed: 8, numRuns: 3_000 },
    );
  });

  it('of an ordinary message is plain, and of a join quiet: neither is read to be counted', () => {
    const kindOf = (type: string, content: JsonObject) =>
      pushKindOf({ type, content, stateKey: undefined } as unknown as MatrixEvent);
    expect(kindOf('m.room.message', { msgtype: 'm.text', body: 'x', 'm.mentions': {} })).toBe(1);
    expect(kindOf('m.room.encrypted', {})).toBe(1);
    expect(kindOf('m.room.member', { membership: 'join' })).toBe(0);
  });
});

describe('a mark', () => {
  it('holds the kind and the tag of the sender, and fits an int4', () => {
    const event = { type: 'm.room.message', sender: me, content: {} } as unknown as MatrixEvent;
    for (const [mark, kind] of [
      [pushMarkOf(event, false), pushKinds.plain],
      [pushMarkOf(event, true), pushKinds.hidden],
    ] as const) {
      expect(mark & 3).toBe(kind);
      expect(mark >> 2).toBe(senderTag(me));
    }
    fc.assert(
      fc.property(fc.string(), (sender) => {
        const mark = pushMarkOf({ ...event, sender: sender as UserId }, false);
        return mark >= 0 && mark < 2 ** 31;
      }),
    );
  });
});
