/** The lead as tests take it: the log's lock, with a heart that beats, on a real database. */

import { silentLogger } from '../../ops/logger.ts';
import { readLeader, writeLeader } from '../../storage/cluster.ts';
import type { Database, Db, Statement } from '../../storage/database.ts';
import { LogHeld, type LogSession, LogSessions } from '../../storage/log-session.ts';
import type { Lead } from '../lead.ts';

const heartbeatMs = 500;

export interface TestLead {
  readonly takeLead: () => Promise<Lead | undefined>;
  /** Writes a row on the session of the lead; answers its position. */
  readonly query: (text: string, values: readonly unknown[]) => Promise<number>;
}

export const logLead = (database: Database): TestLead => {
  const sessions = new LogSessions(database, silentLogger, { waitMs: 50, maxSilentMs: 3_000 });
  let held: LogSession | undefined;
  return {
    async takeLead() {
      let session: LogSession;
      try {
        session = await sessions.open();
      } catch (error) {
        if (error instanceof LogHeld) return undefined;
        throw error;
      }
      held = session;
      const db = {
        query: (statement: Statement) => session.client.query(statement as never),
      } as unknown as Db;
      const term = ((await readLeader(db))?.term ?? 0) + 1;
      const position = await session.position();
      let lose: () => void = () => undefined;
      let provenMs = performance.now();
      const confirm = async () => {
        const sentMs = performance.now();
        await session.beat();
        provenMs = sentMs;
      };
      const heart = setInterval(() => confirm().catch(() => lose()), heartbeatMs);
      return {
        term,
        position,
        provenMs: () => provenMs,
        confirm,
        atRest: (run) => run(),
        announce: (self) => writeLeader(db, { ...self, term }),
        onLost(listener) {
          lose = listener;
          session.onLost(listener);
        },
        async release() {
          clearInterval(heart);
          await session.close();
        },
      };
    },
    async query(text, values) {
      if (held === undefined) throw new Error('Does not lead');
      const { rows } = await held.client.query<{ pos: number }>(text, values as unknown[]);
      return rows[0]?.pos as number;
    },
  };
};
