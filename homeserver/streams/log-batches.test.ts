import type { RoomId } from '../../spec/identifiers.ts';
import type { Core } from '../core.ts';
import type { Tx } from '../storage/database.ts';
import { localUser, type TestCore, testCore } from '../testing/test-core.ts';
import { testRooms } from '../testing/test-rooms.ts';
import { filledIn, type LogSection, LogWriteFailed, rowsOf } from './log.ts';

const alice = localUser('alice');

let test: TestCore;
let core: Core;
beforeAll(async () => {
  test = await testCore();
  core = test.core;
  await core.database.query({
    text: 'CREATE TABLE notes (note text CHECK (note <> $$bad$$), pos bigint)',
  });
});
afterAll(() => test.close());
beforeEach(() => core.database.query({ text: 'DELETE FROM notes' }));

interface Note {
  readonly note: string;
  pos: number;
}

const notes: LogSection<Note> = {
  name: 'notes',
  ...filledIn<Note>('pos'),
  needsTransaction: () => false,
  async write(tx, rows) {
    const { rows: stored } = await tx.query<{ pos: number }>({
      text: `INSERT INTO notes SELECT note, nextval('stream_positions')
        FROM unnest($1::text[]) AS n (note) RETURNING pos`,
      values: [rows.map(({ note }) => note)],
    });
    for (const [index, row] of rows.entries()) row.pos = stored[index]?.pos as number;
    return Math.max(...stored.map(({ pos }) => pos));
  },
};

/** Stays in the database until it is cut off. */
const endlessNotes: LogSection<Note> = {
  ...notes,
  name: 'endless notes',
  needsTransaction: () => true,
  async write(tx: Tx, rows) {
    const highest = await notes.write(tx, rows);
    await tx.query({ text: 'SELECT pg_sleep(60)' });
    return highest;
  },
};

const note = (text: string): Note => ({ note: text, pos: 0 });
const append = (text: string, section = notes) =>
  core.log.append({ parts: [rowsOf(section, [note(text)])] });
const written = async (): Promise<string[]> => {
  const { rows } = await core.database.query<Note>({ text: 'SELECT * FROM notes ORDER BY pos' });
  return rows.map((row) => row.note);
};

const cutSleeping = async (): Promise<void> => {
  for (;;) {
    const { rowCount } = await core.database.query({
      text: `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND query = 'SELECT pg_sleep(60)'`,
    });
    if (rowCount > 0) return;
  }
};

describe('a batch of the log', () => {
  it('is one commit; memory follows in order before anyone is answered', async () => {
    const heard: string[] = [];
    const rows = [note('first'), note('second')] as const;
    const answered = rows.map((row) =>
      core.log
        .append({
          parts: [rowsOf(notes, [row])],
          committed: () => heard.push(`${row.note} committed`),
        })
        .then(() => heard.push(`${row.note} answered`)),
    );
    await Promise.all(answered);
    expect(heard.slice(0, 2)).toEqual(['first committed', 'second committed']);
    expect(core.log.position).toBe(rows[1].pos);
    expect(rows[1].pos).toBeGreaterThan(rows[0].pos);
    const commits = await core.database.query({
      text: 'SELECT DISTINCT xmin::text FROM notes',
    });
    expect(commits.rows).toHaveLength(1);
  });

  it('fails only the write that the database refuses', async () => {
    const outcomes = await Promise.allSettled(['one', 'bad', 'two'].map((text) => append(text)));
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect(outcomes[1]).toMatchObject({ reason: expect.any(LogWriteFailed) });
    expect(await written()).toEqual(['one', 'two']);
  });

  it('leaves out what builds on a write that has failed', async () => {
    let valid = true;
    const outcomes = await Promise.allSettled([
      core.log.append({
        parts: [rowsOf(notes, [note('bad')])],
        failed: () => {
          valid = false;
        },
      }),
      core.log.append({ parts: [rowsOf(notes, [note('next')])], stillValid: () => valid }),
    ]);
    expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    expect(await written()).toEqual([]);
  });

  it('fails whole, with what waits behind it, when its connection is cut in the middle', async () => {
    const rooms = testRooms(core);
    const roomId: RoomId = await rooms.roomCreator.create(alice, { name: 'kept' });
    const acknowledged = [await rooms.say(roomId, alice, 'before')];
    const room = await core.registry.find(roomId);
    const waiter = core.notifier.register(alice);
    const inFlight = Promise.allSettled([append('cut', endlessNotes), append('with it')]);
    await new Promise((resolve) => setImmediate(resolve));
    const behind = Promise.allSettled([rooms.say(roomId, alice, 'behind it'), append('behind it')]);
    await cutSleeping();
    const outcomes = [...(await inFlight), ...(await behind)];
    for (const outcome of outcomes) {
      expect(outcome).toMatchObject({ status: 'rejected', reason: expect.any(LogWriteFailed) });
    }
    await waiter.wait(10_000);
    core.notifier.release(waiter);
    acknowledged.push(await rooms.say(roomId, alice, 'after'));
    await append('after');
    expect(await written()).toEqual(['after']);
    expect(await core.registry.find(roomId)).not.toBe(room);
    const messages = await core.database.query<{ event_id: string }>({
      text: `SELECT event_id FROM events WHERE type = 'm.room.message' ORDER BY stream_pos`,
    });
    expect(messages.rows.map(({ event_id: id }) => id)).toEqual(acknowledged);
    expect(await rooms.stateOf(roomId, 'm.room.name')).toEqual({ name: 'kept' });
  });
});
