/**
 * The opaque tokens clients carry: how far a sync has read, and where a page of history begins. Each
 * starts with a letter for its kind and the number of its format.
 */
import { matrixError } from '../../spec/errors.ts';
import type { TimelinePlace } from '../storage/events.ts';

export interface SyncToken {
  /** Of the log. */
  readonly position: number;
  /** Of streams that live in memory alone; both are times in ms, so that they survive a restart. */
  readonly typing: number;
  readonly presence: number;
  /** Up to where messages for the device have been given, where that is not all there were. */
  readonly toDevice?: number;
  /**
   * Rooms (nids, the newest) where the client has been told of somebody who types, and of nobody
   * since: after a restart nothing else knows that they have stopped.
   */
  readonly typingIn?: readonly number[];
}

/** More rooms than that nobody watches. */
export const maxTypingIn = 8;

const syncPattern =
  /^s1_(\d{1,15})_(\d{1,15})_(\d{1,15})(?:_(\d{1,15}))?(?:~(\d{1,15}(?:,\d{1,15}){0,7}))?$/;
const placePattern = /^t1_(\d{1,15})_(-?\d{1,15})$/;

export const formatSyncToken = (token: SyncToken): string => {
  const { position, typing, presence, toDevice, typingIn } = token;
  let text = `s1_${position}_${typing}_${presence}`;
  if (toDevice !== undefined) text += `_${toDevice}`;
  if (typingIn !== undefined && typingIn.length > 0) text += `~${typingIn.join(',')}`;
  return text;
};

/** @throws MatrixError M_INVALID_PARAM */
export const parseSyncToken = (text: string): SyncToken => {
  const match = syncPattern.exec(text);
  if (match === null) throw matrixError('M_INVALID_PARAM', 'Not a sync token of this server');
  const [, position, typing, presence, toDevice, typingIn] = match;
  return {
    position: Number(position),
    typing: Number(typing),
    presence: Number(presence),
    ...(toDevice !== undefined && { toDevice: Number(toDevice) }),
    ...(typingIn !== undefined && { typingIn: typingIn.split(',').map(Number) }),
  };
};

/** A token between the event at this place and the one after it. */
export const formatPlace = ({ streamPos, backfillPos }: TimelinePlace): string =>
  `t1_${streamPos}_${backfillPos}`;

/** The token just before an event. */
export const placeBefore = ({ streamPos, backfillPos }: TimelinePlace): string =>
  formatPlace({ streamPos, backfillPos: backfillPos - 1 });

/** A place, from a token of history or of sync. @throws MatrixError M_INVALID_PARAM */
export const parsePlace = (text: string): TimelinePlace => {
  const match = placePattern.exec(text);
  if (match !== null) return { streamPos: Number(match[1]), backfillPos: Number(match[2]) };
  return { streamPos: parseSyncToken(text).position, backfillPos: 0 };
};
