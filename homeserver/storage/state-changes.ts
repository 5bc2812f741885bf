/**
 * The table `state_changes` in the long run: changes that later ones have replaced go after a while, so
 * that it grows with the state of rooms and not with their age. Who reads from further back is told so,
 * and reads whole states.
 */
import type { Tx } from './database.ts';
import { logPositionAt } from './log-times.ts';
import type { WalkCursor, WalkStep } from './walk.ts';

/** In `reader_cursors`: after this position all changes are here. */
export const stateChangesCursor = 'state changes';

/**
 * Looks at up to `limit` changes after a position, and all others at the same position as the last;
 * deletes those older than `beforeMs` that are no longer current. Uses index state_changes_stream.
 */
export const deleteReplacedChanges = async (
  tx: Tx,
  beforeMs: number,
  limit: number,
  after: WalkCursor | undefined,
): Promise<WalkStep> => {
  const upTo = await logPositionAt(tx, beforeMs);
  if (upTo === 0) return { deleted: 0, next: undefined };
  // Readers see this and what is deleted at once.
  await tx.query({
    text: `INSERT INTO reader_cursors AS kept (reader, position) VALUES ($1, $2)
      ON CONFLICT (reader) DO UPDATE SET position = greatest(kept.position, EXCLUDED.position)`,
    values: [stateChangesCursor, upTo],
  });
  const { rows } = await tx.query<{ last: number | null; deleted: number }>({
    name: 'delete-replaced-changes',
    text: `WITH page AS MATERIALIZED (
        SELECT ctid AS place, stream_pos, is_current FROM state_changes
        WHERE stream_pos > $1 AND stream_pos <= $2 ORDER BY stream_pos FETCH FIRST $3 ROWS WITH TIES
      ),
      gone AS (
        DELETE FROM state_changes WHERE ctid = ANY(ARRAY(
          SELECT place FROM page WHERE NOT is_current)) RETURNING 1
      )
      SELECT (SELECT max(stream_pos) FROM page) AS last, (SELECT count(*) FROM gone) AS deleted`,
    values: [after?.[0] ?? 0, upTo, limit],
  });
  const { last, deleted } = rows[0] as { last: number | null; deleted: number };
  return { deleted, next: last === null ? undefined : [last] };
};
