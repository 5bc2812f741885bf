/**
 * Where history goes that is fetched into a gap of the timeline.
 *
 * Places before a live event (`backfillPos`) lie in blocks. History that leads up to the event after
 * the gap takes the next places in that event's block. An event from the middle of the gap begins a
 * block of its own, between that one and the next below: what lies between the two may come later, and
 * finds room there.
 */
import type { Db } from '../storage/database.ts';
import type { TimelinePlace } from '../storage/events.ts';
import { backfillPosBelow, lowestBackfillPos } from '../storage/gaps.ts';

/** More events than anyone pages back to. */
const blockSize = 2 ** 28;
const maxBlock = 2 ** 21;
/** Left free above a new lowest block, to be halved ten times; so there may be two thousand of those. */
const stride = 2 ** 10;

const blockOf = ({ backfillPos }: TimelinePlace): number => Math.floor(-backfillPos / blockSize);

/** Below all places of the block that a place is in. */
const endOfBlock = (place: TimelinePlace): number => -(blockOf(place) + 1) * blockSize;

/** Of the first of so many events that lead up to the one after the gap. */
export const placeBefore = async (
  db: Db,
  roomNid: number,
  gapAt: TimelinePlace,
  count: number,
): Promise<TimelinePlace> => {
  const { streamPos, backfillPos } = gapAt;
  const lowest = await lowestBackfillPos(db, roomNid, streamPos, endOfBlock(gapAt));
  return { streamPos, backfillPos: Math.min(lowest ?? backfillPos, backfillPos) - count };
};

/**
 * Of an event from the middle of a gap. Undefined where no room is left: after ten
 * thousand others, or in the order that wastes most, ten.
 */
export const placeApart = async (
  db: Db,
  roomNid: number,
  gapAt: TimelinePlace,
): Promise<TimelinePlace | undefined> => {
  const { streamPos } = gapAt;
  const above = blockOf(gapAt);
  const below = await backfillPosBelow(db, roomNid, streamPos, endOfBlock(gapAt) + 1);
  const block =
    below === undefined
      ? above + stride
      : Math.floor((above + blockOf({ streamPos, backfillPos: below })) / 2);
  return block > above && block < maxBlock
    ? { streamPos, backfillPos: -block * blockSize }
    : undefined;
};
