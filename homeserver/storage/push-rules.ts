/** The table `push_rules`: its log section, and reading it. */
import type { UserId } from '../../spec/identifiers.ts';
import { filledIn, type LogSection } from '../streams/log-batch.ts';
import type { Db } from './database.ts';

export interface PushRulesRow {
  readonly userId: UserId;
  /** JSON of `UserPushRules`. */
  readonly rules: string;
  /** Filled in by the log. */
  streamPos: number;
}

/** Where a batch writes the rules of one person twice, the last ones count. */
export const pushRulesSection: LogSection<PushRulesRow> = {
  name: 'push rules',
  ...filledIn<PushRulesRow>('streamPos'),
  needsTransaction: () => false,
  async write(tx, rows) {
    const latest = [...new Map(rows.map((row) => [row.userId, row])).values()];
    const { rows: stored } = await tx.query<{ user_id: UserId; stream_pos: number }>({
      name: 'log-push-rules',
      text: `INSERT INTO push_rules (user_id, rules, stream_pos)
        SELECT user_id, rules, nextval('stream_positions')
        FROM unnest($1::text[], $2::text[]) AS r (user_id, rules)
        ON CONFLICT (user_id) DO UPDATE
          SET rules = EXCLUDED.rules, stream_pos = EXCLUDED.stream_pos
        RETURNING user_id, stream_pos`,
      values: [latest.map(({ userId }) => userId), latest.map(({ rules }) => rules)],
    });
    const positions = new Map(stored.map((row) => [row.user_id, row.stream_pos]));
    for (const row of rows) row.streamPos = positions.get(row.userId) as number;
    return Math.max(...positions.values());
  },
};

/** Those who have changed nothing are left out. */
export const pushRulesOf = async (
  db: Db,
  userIds: readonly UserId[],
): Promise<Map<UserId, PushRulesRow>> => {
  const { rows } = await db.query<{ user_id: UserId; rules: string; stream_pos: number }>({
    name: 'push-rules-of',
    text: 'SELECT user_id, rules, stream_pos FROM push_rules WHERE user_id = ANY($1::text[])',
    values: [userIds],
  });
  return new Map(
    rows.map(({ user_id: userId, rules, stream_pos: streamPos }) => [
      userId,
      { userId, rules, streamPos },
    ]),
  );
};
