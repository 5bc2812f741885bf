/** Keeps the index of words: one step of the log at a time. */
import type { JsonObject } from '../../spec/event.ts';
import { wordsOf } from '../../spec/words.ts';
import type { Tx } from '../storage/database.ts';
import {
  deleteRedactedWords,
  type EventWords,
  putEventWords,
  redactionType,
  type SearchableEvent,
  searchableEvents,
  searchedTypes,
} from '../storage/event-words.ts';
import { turns } from '../turns.ts';

/** Of one step: few enough to be done with soon, and many enough that the step itself is cheap. */
export const eventsPerStep = 250;
const bytesPerStep = 1_000_000;
const positionsPerStep = 20_000;
const maxTextLength = 20_000;

/** An `IndexStep` of `LogReader`. */
export const indexWords = async (tx: Tx, after: number, upTo: number): Promise<number> => {
  const end = Math.min(upTo, after + positionsPerStep);
  const events = await searchableEvents(tx, after, end, eventsPerStep, bytesPerStep);
  const rows: EventWords[] = [];
  const redacted: { roomNid: number; eventId: string }[] = [];
  let bytes = 0;
  const giveWay = turns();
  for (const event of events) {
    bytes += Buffer.byteLength(event.json);
    const { content, redacts } = JSON.parse(event.json) as JsonObject & { content: JsonObject };
    if (event.type === redactionType) {
      const eventId = content['redacts'] ?? redacts;
      if (typeof eventId === 'string') redacted.push({ roomNid: event.roomNid, eventId });
    } else {
      const row = rowOf(event, content);
      if (row !== undefined) rows.push(row);
    }
    const pause = giveWay();
    if (pause !== undefined) await pause;
  }
  if (rows.length > 0) await putEventWords(tx, rows);
  if (redacted.length > 0) await deleteRedactedWords(tx, redacted);
  // Fewer than asked for, and not for want of bytes: that was all.
  const isAll = events.length < eventsPerStep && bytes < bytesPerStep;
  return isAll ? end : (events.at(-1)?.streamPos ?? end);
};

const rowOf = (
  { roomNid, eventNid, streamPos, type }: SearchableEvent,
  content: JsonObject,
): EventWords | undefined => {
  const key = searchedTypes[type];
  if (key === undefined) return undefined;
  const text = content[key.slice('content.'.length)];
  const words = typeof text === 'string' ? wordsOf(text.slice(0, maxTextLength)) : [];
  return words.length === 0 ? undefined : { roomNid, eventNid, streamPos, key, words };
};
