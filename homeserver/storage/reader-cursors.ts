/** The table `reader_cursors`: how far readers of the log have come that share one place. */
import type { Db, Tx } from './database.ts';

/**
 * The reader's position, which is the caller's to move until the transaction ends; undefined while
 * another process has it.
 */
export const takeCursor = async (tx: Tx, reader: string): Promise<number | undefined> => {
  await tx.query({
    name: 'make-cursor',
    text: 'INSERT INTO reader_cursors (reader, position) VALUES ($1, 0) ON CONFLICT DO NOTHING',
    values: [reader],
  });
  const { rows } = await tx.query<{ position: number }>({
    name: 'take-cursor',
    text: 'SELECT position FROM reader_cursors WHERE reader = $1 FOR UPDATE SKIP LOCKED',
    values: [reader],
  });
  return rows[0]?.position;
};

export const moveCursor = async (tx: Tx, reader: string, position: number): Promise<void> => {
  await tx.query({
    name: 'move-cursor',
    text: 'UPDATE reader_cursors SET position = $2 WHERE reader = $1',
    values: [reader, position],
  });
};

export const cursorOf = async (db: Db, reader: string): Promise<number> => {
  const { rows } = await db.query<{ position: number }>({
    name: 'cursor-of',
    text: 'SELECT position FROM reader_cursors WHERE reader = $1',
    values: [reader],
  });
  return rows[0]?.position ?? 0;
};
